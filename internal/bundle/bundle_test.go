package bundle

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// maker makes random values. One seed always makes the same.
type maker struct{ *rand.Rand }

func (m maker) text() string {
	words := []string{"a", "kid-1", "https://idp.example/realms/r", `quote " backslash \ <tag>`, "ümlaut", "\x00\x1f", "☃", " two words "}
	return words[m.IntN(len(words))] + words[m.IntN(len(words))]
}

func (m maker) maybe() string {
	if m.IntN(2) == 0 {
		return ""
	}
	return m.text()
}

func list[T any](m maker, make func() T) []T {
	var out []T
	for range m.IntN(4) {
		out = append(out, make())
	}
	return out
}

func (m maker) alg() jose.Alg { return jose.ParseAlg(jose.Algs()[m.IntN(len(jose.Algs()))]) }

func (m maker) key() Key {
	der := make([]byte, m.IntN(40))
	for i := range der {
		der[i] = byte(m.IntN(256))
	}
	return Key{ID: m.maybe(), Alg: list(m, m.alg), DER: string(der), Unusable: m.maybe()}
}

func (m maker) consumer() *Consumer {
	c := &Consumer{ID: m.text(), Username: m.maybe(), CustomID: m.maybe(), Groups: list(m, m.text), Application: m.IntN(2) == 0}
	if c.Application {
		c.Contracts = list(m, m.text)
	}
	return c
}

func (m maker) common() Common {
	c := Common{SkipPreflight: m.IntN(2) == 0, Realm: m.maybe(), AcceptIDTokens: m.IntN(2) == 0, HeaderNames: list(m, m.text),
		QueryNames: list(m, m.text), CookieNames: list(m, m.text), Leeway: m.Int64N(1 << 40), Audiences: list(m, m.text),
		Issuers: list(m, m.text), Algorithms: list(m, m.alg)}
	if m.IntN(2) == 0 {
		c.Anonymous = m.consumer()
	}
	return c
}

func (m maker) trust(id string) *Trust {
	return &Trust{ID: id, Hash: m.text(), Issuers: list(m, m.text), Keys: list(m, m.key), Unavailable: m.maybe()}
}

func (m maker) bundle() *Bundle {
	b := &Bundle{Epoch: m.text(), Generation: m.Uint64N(1 << 50), Source: m.maybe(), Routes: map[string]*Route{}}
	for i := range m.IntN(4) {
		b.Trust = append(b.Trust, m.trust(strings.Repeat("t", i+1)))
	}
	for range m.IntN(5) {
		p := &Plugin{ID: m.text()}
		switch kind := m.IntN(7); {
		case kind == 0:
			p.ACL = &ACL{Groups: append(list(m, m.text), "g"), Deny: m.IntN(2) == 0, HideHeader: m.IntN(2) == 0, Authenticated: m.IntN(2) == 0}
		case kind == 1:
			p.KeyAuth = &KeyAuth{Common: m.common(), Hide: m.IntN(2) == 0}
		case kind == 6:
			p.Registration = &Registration{Service: m.text(), Consumers: m.IntN(2) == 0}
		case kind == 2:
			p.BasicAuth = &BasicAuth{Common: m.common(), Hide: m.IntN(2) == 0}
		case len(b.Trust) > 0 && kind < 5:
			t := b.Trust[m.IntN(len(b.Trust))]
			p.OIDC = &OIDC{Common: m.common(), TrustID: t.ID, Trust: t, Methods: []Method{Bearer}}
			p.OIDC.Required = list(m, func() Requirement {
				return Requirement{Claim: append(list(m, m.text), "scope"), Any: claims.ParseRequirement([]string{"a b", "c"}), Scope: m.IntN(2) == 0}
			})
		default:
			p.JWT = &JWT{Common: m.common(), KeyClaim: m.text(), VerifyExp: m.IntN(2) == 0, VerifyNbf: m.IntN(2) == 0,
				MaximumExpiration: m.Int64N(1 << 30), Base64: m.IntN(2) == 0}
		}
		b.Plugins = append(b.Plugins, p)
	}
	for i := range m.IntN(5) {
		r := &Route{Name: strings.Repeat("r", i+1), Broken: m.maybe(), GRPC: m.IntN(2) == 0, RequireHTTPS: []int{0, 426, 301, 302, 307, 308}[m.IntN(6)]}
		if len(b.Plugins) > 0 {
			r.Chain = list(m, func() *Plugin { return b.Plugins[m.IntN(len(b.Plugins))] })
		}
		b.Routes[r.Name] = r
	}
	return b
}

func (m maker) credential() *Credential {
	c := &Credential{ID: m.text(), Key: m.maybe(), Version: m.text(), Alg: list(m, m.alg), Keys: list(m, m.key), Remote: m.IntN(2) == 0,
		Issuers: list(m, m.text), Audiences: list(m, m.text), Leeway: m.Int64N(1 << 40), Expires: m.Int64N(1 << 40)}
	if m.IntN(2) == 0 {
		c.Consumer = m.consumer()
	}
	return c
}

// What is written is what is read, whatever it is.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(2000) {
		m := maker{rand.New(rand.NewPCG(seed, 1))}
		want := m.bundle()
		src := want.Encode()
		got, err := Decode(string(src))
		if err != nil {
			t.Fatalf("seed %d: %v: %s", seed, err, src)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %s, want %s", seed, got.Encode(), src)
		}
		credential := m.credential()
		var w jsonx.Writer
		credential.Write(&w)
		doc, err := jsonx.Parse(string(w.Buf), jsonx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadCredential(doc.Root()); !reflect.DeepEqual(got, credential) {
			t.Fatalf("seed %d: got %+v, want %s", seed, got, w.Buf)
		}
		trust := m.trust("t")
		w = jsonx.Writer{}
		trust.Write(&w)
		if doc, err = jsonx.Parse(string(w.Buf), jsonx.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := ReadTrust(doc.Root()); !reflect.DeepEqual(got, trust) {
			t.Fatalf("seed %d: got %+v, want %s", seed, got, w.Buf)
		}
	}
}

// A bundle is taken over whole or not at all.
func TestDecodeRefuses(t *testing.T) {
	const jwt = `{"id":"p","jwt":{"key_claim":"iss"}}`
	const oidc = `{"id":"p","oidc":{"trust":"t","methods":["bearer"]}}`
	const trust = `"trust":[{"id":"t","hash":"h"}]`
	tests := []struct {
		name, src string
		want      error
	}{
		{"the least", `{"version":2,"epoch":"e"}`, nil},
		{"zeros that are written out", `{"version":2,"epoch":"e","generation":0,"routes":[{"name":"r","require_https":0,"grpc":false}]}`, nil},
		{"members of a later version", `{"version":2,"epoch":"e","more":{"x":[1]},"routes":[{"name":"r","more":1}]}`, nil},
		{"a whole one", `{"version":2,"epoch":"e",` + trust + `,"plugins":[` + jwt + `,` + oidc + `],"routes":[{"name":"r","chain":[1,0]}]}`, nil},
		{"nothing", ``, jsonx.ErrSyntax},
		{"a member twice", `{"version":2,"version":2,"epoch":"e"}`, jsonx.ErrDuplicate},
		{"no version", `{"epoch":"e"}`, ErrVersion},
		{"a later version", `{"version":3,"epoch":"e"}`, ErrVersion},
		{"a version in quotes", `{"version":"1","epoch":"e"}`, ErrVersion},
		{"no object", `[]`, ErrVersion},
		{"no epoch", `{"version":2}`, ErrInvalid},
		{"an epoch that is no text", `{"version":2,"epoch":7}`, ErrInvalid},
		{"a negative generation", `{"version":2,"epoch":"e","generation":-1}`, ErrInvalid},
		{"a generation with a fraction", `{"version":2,"epoch":"e","generation":1.5}`, ErrInvalid},
		{"routes that are no list", `{"version":2,"epoch":"e","routes":{"r":{"name":"r"}}}`, ErrInvalid},
		{"plugins that are no list", `{"version":2,"epoch":"e","plugins":"x"}`, ErrInvalid},
		{"trust records that are no list", `{"version":2,"epoch":"e","trust":7}`, ErrInvalid},
		{"null for a list", `{"version":2,"epoch":"e","routes":null}`, ErrInvalid},
		{"a route without a name", `{"version":2,"epoch":"e","routes":[{}]}`, ErrInvalid},
		{"a route that is no object", `{"version":2,"epoch":"e","routes":["r"]}`, ErrInvalid},
		{"a route twice", `{"version":2,"epoch":"e","routes":[{"name":"r"},{"name":"r"}]}`, ErrInvalid},
		{"a chain with a plugin that is not there", `{"version":2,"epoch":"e","plugins":[` + jwt + `],"routes":[{"name":"r","chain":[1]}]}`, ErrInvalid},
		{"a chain with a negative plugin", `{"version":2,"epoch":"e","plugins":[` + jwt + `],"routes":[{"name":"r","chain":[-1]}]}`, ErrInvalid},
		{"a chain that is no list", `{"version":2,"epoch":"e","plugins":[` + jwt + `],"routes":[{"name":"r","chain":0}]}`, ErrInvalid},
		{"a chain with text", `{"version":2,"epoch":"e","plugins":[` + jwt + `],"routes":[{"name":"r","chain":["0"]}]}`, ErrInvalid},
		{"another status than a redirect's", `{"version":2,"epoch":"e","routes":[{"name":"r","require_https":200}]}`, ErrInvalid},
		{"grpc that is no boolean", `{"version":2,"epoch":"e","routes":[{"name":"r","grpc":1}]}`, ErrInvalid},
		{"a plugin of no kind", `{"version":2,"epoch":"e","plugins":[{"id":"p"}]}`, ErrInvalid},
		{"a plugin of two kinds", `{"version":2,"epoch":"e",` + trust + `,"plugins":[{"id":"p","jwt":{"key_claim":"k"},"oidc":{"trust":"t","methods":["bearer"]}}]}`, ErrInvalid},
		{"a plugin without an id", `{"version":2,"epoch":"e","plugins":[{"jwt":{"key_claim":"k"}}]}`, ErrInvalid},
		{"a jwt plugin without a key claim", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":{}}]}`, ErrInvalid},
		{"a jwt plugin that is no object", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":true}]}`, ErrInvalid},
		{"verify_exp that is no boolean", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":{"key_claim":"k","verify_exp":"true"}}]}`, ErrInvalid},
		{"an algorithm that nobody knows", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":{"key_claim":"k","alg":["none"]}}]}`, ErrInvalid},
		{"a negative leeway", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":{"key_claim":"k","leeway":-1}}]}`, ErrInvalid},
		{"an anonymous consumer that is text", `{"version":2,"epoch":"e","plugins":[{"id":"p","jwt":{"key_claim":"k","anonymous":"x"}}]}`, ErrInvalid},
		{"a registration", `{"version":2,"epoch":"e","plugins":[{"id":"p","registration":{"service":"s","consumers":true}}]}`, nil},
		{"a registration for no service", `{"version":2,"epoch":"e","plugins":[{"id":"p","registration":{"consumers":true}}]}`, ErrInvalid},
		{"a registration that is no object", `{"version":2,"epoch":"e","plugins":[{"id":"p","registration":"s"}]}`, ErrInvalid},
		{"a registration beside acl", `{"version":2,"epoch":"e","plugins":[{"id":"p","registration":{"service":"s"},"acl":{"groups":["g"]}}]}`, ErrInvalid},
		{"consumers that are no boolean", `{"version":2,"epoch":"e","plugins":[{"id":"p","registration":{"service":"s","consumers":"false"}}]}`, ErrInvalid},
		{"an issuer without a trust record", `{"version":2,"epoch":"e","plugins":[` + oidc + `]}`, ErrInvalid},
		{"a requirement without a claim", `{"version":2,"epoch":"e",` + trust + `,"plugins":[{"id":"p","oidc":{"trust":"t","methods":["bearer"],"required":[{"any":["a"]}]}}]}`, ErrInvalid},
		{"a requirement that all meet", `{"version":2,"epoch":"e",` + trust + `,"plugins":[{"id":"p","oidc":{"trust":"t","methods":["bearer"],"required":[{"claim":["a"]}]}}]}`, ErrInvalid},
		{"a trust record without an id", `{"version":2,"epoch":"e","trust":[{"hash":"h"}]}`, ErrInvalid},
		{"a trust record without a hash", `{"version":2,"epoch":"e","trust":[{"id":"t"}]}`, ErrInvalid},
		{"a trust record twice", `{"version":2,"epoch":"e","trust":[{"id":"t","hash":"h"},{"id":"t","hash":"i"}]}`, ErrInvalid},
		{"a key that is not base64", `{"version":2,"epoch":"e","trust":[{"id":"t","hash":"h","keys":[{"der":"*"}]}]}`, ErrInvalid},
		{"too deep", `{"version":2,"epoch":"e","x":[[[[[[[[[[1]]]]]]]]]]}`, jsonx.ErrDepth},
		{"too long", `{"version":2,"epoch":"` + strings.Repeat("e", MaxBytes) + `"}`, jsonx.ErrSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Decode(tt.src)
			if err != tt.want || (b == nil) != (err != nil) {
				t.Errorf("got %v, %v, want %v", b, err, tt.want)
			}
		})
	}
}

func TestReadCredentialRefuses(t *testing.T) {
	for src, ok := range map[string]bool{
		`{"id":"i","version":"v"}`: true, `{"id":"i"}`: false, `{"version":"v"}`: false, `{}`: false, `"x"`: false, `null`: false,
		`{"id":"i","version":"v","remote":1}`: false, `{"id":"i","version":"v","alg":["HS257"]}`: false, `{"id":"i","version":"v","leeway":-1}`: false,
		`{"id":"i","version":"v","consumer":"c"}`: false, `{"id":"i","version":"v","keys":{}}`: false, `{"id":"i","version":"v","issuers":[1]}`: false,
	} {
		doc, err := jsonx.Parse(src, jsonx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadCredential(doc.Root()) != nil; got != ok {
			t.Errorf("%s: %v", src, got)
		}
	}
	for src, ok := range map[string]bool{`{"id":"i","hash":"h"}`: true, `{"id":"i"}`: false, `[]`: false, `null`: false, `{"id":"i","hash":"h","issuers":"x"}`: false} {
		doc, err := jsonx.Parse(src, jsonx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadTrust(doc.Root()) != nil; got != ok {
			t.Errorf("%s: %v", src, got)
		}
	}
}

// TestReadConsumerRefuses: a consumer whose contracts cannot be read is none, and so is
// one that has contracts and is no application, or more than may be.
func TestReadConsumerRefuses(t *testing.T) {
	contracts := func(n int) string { return `["s"` + strings.Repeat(`,"s"`, n-1) + `]` }
	for src, ok := range map[string]bool{
		`{"id":"i"}`: true, `{"id":"i","application":true}`: true, `{"id":"i","application":true,"contracts":[]}`: true,
		`{"id":"i","application":true,"contracts":` + contracts(MaxContracts) + `}`:   true,
		`{"id":"i","application":true,"contracts":` + contracts(MaxContracts+1) + `}`: false,
		`{"id":"i","contracts":["s"]}`:                     false,
		`{"id":"i","application":false,"contracts":["s"]}`: false,
		`{"id":"i","application":"true"}`:                  false,
		`{"id":"i","application":true,"contracts":"s"}`:    false,
		`{"id":"i","application":true,"contracts":[1]}`:    false,
		`{"application":true}`:                             false, `[]`: false, `null`: false,
	} {
		doc, err := jsonx.Parse(src, jsonx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadConsumer(doc.Root()) != nil; got != ok {
			t.Errorf("%.80s: %v", src, got)
		}
	}
}

func TestKeyAllows(t *testing.T) {
	k := Key{Alg: []jose.Alg{jose.RS256, jose.PS256}}
	if !k.Allows(jose.RS256) || !k.Allows(jose.PS256) || k.Allows(jose.HS256) || (&Key{}).Allows(jose.RS256) {
		t.Error("a key allows what it does not list, or the other way round")
	}
}

// The result shares no memory with the source: an arena is used again.
func TestDecodeCopies(t *testing.T) {
	src := []byte(`{"version":2,"epoch":"epoch","routes":[{"name":"route"}]}`)
	b, err := Decode(unsafe.String(&src[0], len(src)))
	if err != nil {
		t.Fatal(err)
	}
	clear(src)
	if b.Epoch != "epoch" || b.Routes["route"] == nil {
		t.Errorf("%+v", b)
	}
}

// FuzzDecode: no input crashes the decoder, and what it takes it takes for good:
// written again and read again it is the same.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(string(maker{rand.New(rand.NewPCG(seed, 2))}.bundle().Encode()))
	}
	f.Add(`{"version":2,"epoch":"e","routes":{"r":1}}`)
	f.Fuzz(func(t *testing.T, src string) {
		b, err := Decode(src)
		if err != nil {
			if b != nil {
				t.Fatal("a bundle beside an error")
			}
			return
		}
		again, err := Decode(string(b.Encode()))
		if err != nil {
			t.Fatalf("%v: %s from %s", err, b.Encode(), src)
		}
		if string(again.Encode()) != string(b.Encode()) {
			t.Fatalf("%s, then %s", b.Encode(), again.Encode())
		}
		for name, r := range b.Routes {
			if name == "" || r.Name != name {
				t.Errorf("route %q is called %q", name, r.Name)
			}
			for _, p := range r.Chain {
				kinds := 0
				for _, is := range []bool{p.JWT != nil, p.OIDC != nil, p.ACL != nil, p.KeyAuth != nil, p.BasicAuth != nil, p.Registration != nil} {
					if is {
						kinds++
					}
				}
				if kinds != 1 || p.ACL != nil && len(p.ACL.Groups) == 0 || p.Registration != nil && p.Registration.Service == "" || p.OIDC != nil && p.OIDC.Trust == nil {
					t.Errorf("plugin %+v", p)
				}
				p.Common()
			}
		}
	})
}
