package bundle

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/match"
	"github.com/sallyport-auth/sallyport/internal/match/compile"
)

func (m maker) bool() bool { return m.IntN(2) == 0 }

func (m maker) path() []string { return append(list(m, m.text), m.text()) }

func (m maker) login() *Login {
	return &Login{
		Session: m.bool(), Begin: m.bool(), BearerSession: m.bool(), SessionCookie: Cookie{"s" + m.text(), m.bool()},
		FlowCookie: Cookie{"f" + m.text(), m.bool()}, CookieAttributes: m.maybe(), LogoutMethods: list(m, m.text), LogoutQuery: m.maybe(),
		LogoutSuffix: m.maybe(), UnauthorizedRedirect: m.maybe(), ForbiddenRedirect: m.maybe(), UnexpectedRedirect: m.maybe(),
		UnauthorizedText: m.maybe(), ForbiddenText: m.maybe(), DisplayErrors: m.bool(), KeepForbidden: m.bool(), DropForbidden: m.bool(),
	}
}

// program is an expression as it is read.
func (m maker) program(t *testing.T) *match.Program {
	t.Helper()
	expr := []string{".*", "a|b", `staff-\d+`, `(?i)ümlaut\b`, "", "[^☃]{1,3}"}[m.IntN(6)]
	p, err := compile.Expression(expr)
	if err != nil {
		t.Fatal(err)
	}
	var w jsonx.Writer
	p.Write(&w)
	doc, err := jsonx.Parse(string(w.Buf), jsonx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if p = match.Read(doc.Root()); p == nil {
		t.Fatalf("%s: not read: %s", expr, w.Buf)
	}
	return p
}

func (m maker) identity(t *testing.T) Identity {
	header := func() ClaimHeader { return ClaimHeader{m.text(), m.path()} }
	token := func() string { return []string{"access_token", "id_token", "user_info", "session_id"}[m.IntN(4)] }
	return Identity{
		Upstream: list(m, header), Downstream: list(m, header),
		Tokens: list(m, func() TokenHeader { return TokenHeader{m.text(), token(), m.bool(), m.bool()} }),
		Matches: list(m, func() ClaimMatch {
			return ClaimMatch{Header: m.text(), Claim: m.path(), Match: m.program(t), Token: token()}
		}),
		CredentialClaim: list(m, m.text), ConsumerClaims: list(m, m.path), ConsumerBy: append(list(m, m.text), "id"),
		ConsumerOptional: m.bool(), TrustEmail: m.bool(), GroupsClaim: list(m, m.text),
	}
}

// What is written of logins and identities is what is read.
func TestLoginRoundTrip(t *testing.T) {
	for seed := range uint64(1000) {
		m := maker{rand.New(rand.NewPCG(seed, 3))}
		trust := m.trust("t")
		want := &Bundle{Epoch: "e", Trust: []*Trust{trust}, Routes: map[string]*Route{}}
		for i := range 1 + m.IntN(3) {
			p := &Plugin{ID: fmt.Sprint("p", i), OIDC: &OIDC{Common: m.common(), TrustID: "t", Trust: trust, Methods: []Method{Method(1 + i%int(Methods-1))}, Identity: m.identity(t)}}
			if m.bool() {
				p.OIDC.Login = m.login()
			}
			want.Plugins = append(want.Plugins, p)
		}
		src := want.Encode()
		got, err := Decode(string(src))
		if err != nil {
			t.Fatalf("seed %d: %v: %s", seed, err, src)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %s, want %s", seed, got.Encode(), src)
		}
	}
}

// Each field makes a difference to what is written: none is forgotten. Identity's zero
// is not written at all.
func TestLoginFieldsAreWritten(t *testing.T) {
	trust := &Trust{ID: "t", Hash: "h"}
	encode := func(l Login, i Identity) string {
		b := &Bundle{Epoch: "e", Trust: []*Trust{trust}, Plugins: []*Plugin{{ID: "p", OIDC: &OIDC{TrustID: "t", Trust: trust, Login: &l, Identity: i}}}}
		return string(b.Encode())
	}
	base := Login{SessionCookie: Cookie{Name: "s"}, FlowCookie: Cookie{Name: "f"}}
	plain := encode(base, Identity{})
	m := maker{rand.New(rand.NewPCG(1, 1))}
	program := m.program(t)
	var change func(v reflect.Value, path string, try func(path string))
	change = func(v reflect.Value, path string, try func(path string)) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		defer v.Set(old)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Slice:
			one := reflect.New(v.Type().Elem()).Elem()
			if one.Kind() == reflect.Struct && one.Type() == reflect.TypeOf(ClaimMatch{}) {
				one.FieldByName("Match").Set(reflect.ValueOf(program))
			}
			v.Set(reflect.Append(reflect.MakeSlice(v.Type(), 0, 1), one))
			if one.Kind() == reflect.Struct {
				try(path)
				for i := range one.NumField() {
					if f := v.Index(0).Field(i); f.Kind() != reflect.Pointer {
						change(f, path+"[0]."+one.Type().Field(i).Name, try)
					}
				}
				return
			}
		case reflect.Struct:
			for i := range v.NumField() {
				change(v.Field(i), path+"."+v.Type().Field(i).Name, try)
			}
			return
		default:
			t.Fatalf("%s is a %s", path, v.Kind())
		}
		try(path)
	}
	seen := map[string]string{plain: "nothing"}
	l, i := base, Identity{}
	try := func(path string) {
		src := encode(l, i)
		if other, twice := seen[src]; twice {
			t.Errorf("%s is written as %s: %s", path, other, src)
		}
		seen[src] = path
	}
	change(reflect.ValueOf(&l).Elem(), "login", try)
	change(reflect.ValueOf(&i).Elem(), "identity", try)
	if len(seen) < 35 {
		t.Errorf("%d fields", len(seen))
	}
}

// A login or an identity that is none makes the bundle none.
func TestLoginDecodeRefuses(t *testing.T) {
	const cookies = `"session_cookie":"s","flow_cookie":"f"`
	const program = `{"source":"a","inst":[[1,0,0]]}`
	tests := map[string]bool{
		`"login":{` + cookies + `}`:                                              true,
		`"login":{` + cookies + `,"later":[1]}`:                                  true,
		`"login":{}`:                                                             false,
		`"login":[]`:                                                             false,
		`"login":null`:                                                           false,
		`"login":true`:                                                           false,
		`"login":{"session_cookie":"s"}`:                                         false,
		`"login":{"flow_cookie":"f"}`:                                            false,
		`"login":{"session_cookie":"s","flow_cookie":"s"}`:                       false,
		`"login":{"session_cookie":7,"flow_cookie":"f"}`:                         false,
		`"login":{` + cookies + `,"session":"true"}`:                             false,
		`"login":{` + cookies + `,"begin":1}`:                                    false,
		`"login":{` + cookies + `,"bearer_session":null}`:                        false,
		`"login":{` + cookies + `,"session_cookie_host":"x"}`:                    false,
		`"login":{` + cookies + `,"logout_methods":"GET"}`:                       false,
		`"login":{` + cookies + `,"logout_methods":[1]}`:                         false,
		`"login":{` + cookies + `,"logout_query":false}`:                         false,
		`"login":{` + cookies + `,"unauthorized_redirect":[]}`:                   false,
		`"login":{` + cookies + `,"display_errors":"false"}`:                     false,
		`"login":{` + cookies + `,"keep_forbidden":0}`:                           false,
		`"methods":["x"]`:                                                        false,
		`"identity":{}`:                                                          true,
		`"identity":[]`:                                                          false,
		`"identity":{"upstream":[{"header":"x","claim":["a"]}]}`:                 true,
		`"identity":{"upstream":[{"header":"","claim":["a"]}]}`:                  false,
		`"identity":{"upstream":[{"claim":["a"]}]}`:                              false,
		`"identity":{"upstream":[{"header":"x"}]}`:                               false,
		`"identity":{"upstream":[{"header":"x","claim":[]}]}`:                    false,
		`"identity":{"upstream":[{"header":"x","claim":"a"}]}`:                   false,
		`"identity":{"upstream":{"header":"x","claim":["a"]}}`:                   false,
		`"identity":{"downstream":["x"]}`:                                        false,
		`"identity":{"tokens":[{"header":"x","token":"id_token"}]}`:              true,
		`"identity":{"tokens":[{"header":"x","token":"refresh"}]}`:               false,
		`"identity":{"tokens":[{"header":"x"}]}`:                                 false,
		`"identity":{"tokens":[{"token":"id_token"}]}`:                           false,
		`"identity":{"tokens":[{"header":"x","token":"id_token","bearer":"x"}]}`: false,
		`"identity":{"matches":[{"header":"x","claim":["a"],"token":"id_token","match":` + program + `}]}`: true,
		`"identity":{"matches":[{"header":"x","claim":["a"],"token":"id_token"}]}`:                         false,
		`"identity":{"matches":[{"header":"x","claim":["a"],"match":{"inst":[]}}]}`:                        false,
		`"identity":{"matches":[{"header":"x","claim":["a"],"match":{"inst":[[1,9,0]]}}]}`:                 false,
		`"identity":{"matches":[{"header":"x","claim":["a"],"match":{"inst":[[99,0,0]]}}]}`:                false,
		`"identity":{"matches":[{"header":"x","match":` + program + `}]}`:                                  false,
		`"identity":{"credential_claim":"sub"}`:                                                            false,
		`"identity":{"consumer_claims":[["a"]],"consumer_by":["id"]}`:                                      true,
		`"identity":{"consumer_claims":[["a"]]}`:                                                           false,
		`"identity":{"consumer_claims":[[]],"consumer_by":["id"]}`:                                         false,
		`"identity":{"consumer_claims":["a"],"consumer_by":["id"]}`:                                        false,
		`"identity":{"consumer_optional":"x"}`:                                                             false,
		`"identity":{"trust_email":1}`:                                                                     false,
	}
	for src, ok := range tests {
		whole := `{"version":2,"epoch":"e","trust":[{"id":"t","hash":"h"}],"plugins":[{"id":"p","oidc":{"trust":"t","methods":["bearer"],` + src + `}}]}`
		if b, err := Decode(whole); (err == nil) != ok || (b != nil) != ok {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// What was read shares no memory with the source.
func TestLoginCopies(t *testing.T) {
	src := []byte(`{"version":2,"epoch":"e","trust":[{"id":"t","hash":"h"}],"plugins":[{"id":"p","oidc":{"trust":"t","methods":["bearer"],` +
		`"login":{"session_cookie":"session","flow_cookie":"flow","logout_methods":["GET"]},"identity":{"upstream":[{"header":"x-a","claim":["a"]}]}}}]}`)
	b, err := Decode(unsafe.String(&src[0], len(src)))
	if err != nil {
		t.Fatal(err)
	}
	clear(src)
	o := b.Plugins[0].OIDC
	if got := strings.Join([]string{o.Login.SessionCookie.Name, o.Login.FlowCookie.Name, o.Login.LogoutMethods[0], o.Identity.Upstream[0].Header, o.Identity.Upstream[0].Claim[0]}, " "); got != "session flow GET x-a a" {
		t.Errorf("%q", got)
	}
}
