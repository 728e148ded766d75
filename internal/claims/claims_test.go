package claims

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

func parse(t testing.TB, src string) jsonx.Value {
	t.Helper()
	doc, err := jsonx.Parse(src, jsonx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

func read(t testing.TB, src string) *Set {
	t.Helper()
	s := Read(parse(t, src))
	return &s
}

func TestTimes(t *testing.T) {
	const now = 1_700_000_000
	tests := []struct {
		name, claims string
		rules        Times
		want         reason.Code
	}{
		{"nothing", `{}`, Times{}, 0},
		{"exp required", `{}`, Times{RequireExp: true}, reason.ClaimMissing},
		{"exp null", `{"exp":null}`, Times{}, reason.ClaimInvalid},
		{"exp ahead", `{"exp":1700000001}`, Times{RequireExp: true}, 0},
		{"exp this second", `{"exp":1700000000}`, Times{}, reason.TokenExpired},
		{"exp past", `{"exp":1699999999}`, Times{}, reason.TokenExpired},
		{"exp past within leeway", `{"exp":1699999991}`, Times{Leeway: 10}, 0},
		{"exp past at the edge of leeway", `{"exp":1699999990}`, Times{Leeway: 10}, reason.TokenExpired},
		{"exp zero", `{"exp":0}`, Times{}, reason.TokenExpired},
		{"exp negative", `{"exp":-1}`, Times{}, reason.TokenExpired},
		{"exp a string", `{"exp":"1800000000"}`, Times{}, reason.ClaimInvalid},
		{"exp a fraction", `{"exp":1800000000.5}`, Times{}, reason.ClaimInvalid},
		{"exp with exponent", `{"exp":18e8}`, Times{}, reason.ClaimInvalid},
		{"exp beyond floats", `{"exp":1e400}`, Times{}, reason.ClaimInvalid},
		{"exp beyond int64", `{"exp":99999999999999999999}`, Times{}, reason.ClaimInvalid},
		{"exp the greatest we read", `{"exp":999999999999999999}`, Times{Leeway: 1 << 31}, 0},
		{"exp true", `{"exp":true}`, Times{}, reason.ClaimInvalid},
		{"nbf now", `{"nbf":1700000000}`, Times{}, 0},
		{"nbf ahead", `{"nbf":1700000001}`, Times{}, reason.TokenNotYetValid},
		{"nbf ahead within leeway", `{"nbf":1700000010}`, Times{Leeway: 10}, 0},
		{"nbf ahead beyond leeway", `{"nbf":1700000011}`, Times{Leeway: 10}, reason.TokenNotYetValid},
		{"nbf a string", `{"nbf":"1"}`, Times{}, reason.ClaimInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rules.Check(read(t, tt.claims), now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestIssuerAndAudience(t *testing.T) {
	accepted := []string{"https://a", "https://b/"}
	tests := []struct {
		claims   string
		iss, aud reason.Code
	}{
		{`{}`, reason.ClaimMissing, reason.AudienceMismatch},
		{`{"iss":"https://a","aud":"https://a"}`, 0, 0},
		{`{"iss":"https://b/","aud":["x","https://b/"]}`, 0, 0},
		{`{"iss":"https://b","aud":["x"]}`, reason.IssuerUnknown, reason.AudienceMismatch},
		{`{"iss":"HTTPS://a","aud":"https://a https://b/"}`, reason.IssuerUnknown, reason.AudienceMismatch},
		{`{"iss":["https://a"],"aud":{"https://a":1}}`, reason.ClaimInvalid, reason.ClaimInvalid},
		{`{"iss":1,"aud":["https://a",1]}`, reason.ClaimInvalid, reason.ClaimInvalid},
		{`{"iss":null,"aud":[]}`, reason.ClaimInvalid, reason.AudienceMismatch},
	}
	for _, tt := range tests {
		set := read(t, tt.claims)
		if got := set.IssuedBy(accepted); got != tt.iss {
			t.Errorf("%s: iss %v, want %v", tt.claims, got, tt.iss)
		}
		if got := set.MeantFor(accepted); got != tt.aud {
			t.Errorf("%s: aud %v, want %v", tt.claims, got, tt.aud)
		}
		if got := set.MeantFor(nil); got != 0 {
			t.Errorf("%s: aud %v where none is asked for", tt.claims, got)
		}
	}
	if read(t, `{"iss":"https://a"}`).IssuedBy(nil) != reason.IssuerUnknown {
		t.Error("an empty list of issuers accepts an issuer")
	}
}

func TestRequirement(t *testing.T) {
	tests := []struct {
		name     string
		required []string
		claim    string
		want     bool
	}{
		{"nothing required", nil, `null`, true},
		{"one", []string{"a"}, `"a"`, true},
		{"one of a list of words", []string{"b"}, `"a b c"`, true},
		{"missing", []string{"d"}, `"a b c"`, false},
		{"a part of a word", []string{"ad"}, `"admin read"`, false},
		{"or", []string{"x", "b"}, `"a b"`, true},
		{"and", []string{"a b"}, `"b a"`, true},
		{"and, one missing", []string{"a x"}, `"a b"`, false},
		{"and or", []string{"a x", "b c"}, `"a b c"`, true},
		{"array", []string{"a b"}, `["a","b"]`, true},
		{"array of words", []string{"a b"}, `["a b","c"]`, true},
		{"array with other kinds", []string{"a"}, `[1,null,"a"]`, true},
		{"only other kinds", []string{"1"}, `[1]`, false},
		{"a number is no word", []string{"1"}, `1`, false},
		{"an object is no list", []string{"a"}, `{"a":"a"}`, false},
		{"absent", []string{"a"}, ``, false},
		{"empty element", []string{""}, `""`, false},
		{"empty element, some words", []string{"  "}, `"a"`, false},
		{"tab is no separator", []string{"a"}, `"a\tb"`, false},
		{"newline is no separator", []string{"b"}, `"a\nb"`, false},
		{"many spaces", []string{"b"}, `"  a   b  "`, true},
		{"case matters", []string{"A"}, `"a"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v jsonx.Value
			if tt.claim != "" {
				v = parse(t, tt.claim)
			}
			if got := ParseRequirement(tt.required).Met(v); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWordsStops(t *testing.T) {
	var seen []string
	Words(parse(t, `["a b","c"]`), func(w string) bool { seen = append(seen, w); return len(seen) < 2 })
	if strings.Join(seen, ",") != "a,b" {
		t.Errorf("saw %q", seen)
	}
	seen = nil
	Words(parse(t, `["a","b c"]`), func(w string) bool { seen = append(seen, w); return true })
	if strings.Join(seen, ",") != "a,b,c" {
		t.Errorf("saw %q", seen)
	}
}

func TestLookup(t *testing.T) {
	root := parse(t, `{"user.login":"x","user":{"login":"y"}}`)
	if s, _ := Lookup(root, []string{"user.login"}).Text(); s != "x" {
		t.Errorf("a name with a dot: %q", s)
	}
	if s, _ := Lookup(root, []string{"user", "login"}).Text(); s != "y" {
		t.Errorf("nested: %q", s)
	}
	if Lookup(root, []string{"user", "none", "login"}).Exists() {
		t.Error("a path into nothing exists")
	}
}

func TestPurpose(t *testing.T) {
	tests := []struct {
		claims          string
		strict, lenient reason.Code
	}{
		{`{"sub":"s"}`, 0, 0},
		{`{"typ":"Bearer"}`, 0, 0},
		{`{"typ":"ID"}`, reason.TokenIsID, 0},
		{`{"at_hash":"x"}`, reason.TokenIsID, 0},
		{`{"c_hash":"x"}`, reason.TokenIsID, 0},
		{`{"typ":"Bearer","at_hash":"x"}`, reason.TokenIsID, 0},
		{`{"typ":"Refresh"}`, reason.TokenType, reason.TokenType},
		{`{"typ":"Offline"}`, reason.TokenType, reason.TokenType},
		{`{"typ":"Logout"}`, reason.TokenType, reason.TokenType},
		{`{"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`, reason.TokenType, reason.TokenType},
		{`{"events":null,"at_hash":"x"}`, reason.TokenType, reason.TokenType},
	}
	for _, tt := range tests {
		set := read(t, tt.claims)
		if got := set.Purpose(false); got != tt.strict {
			t.Errorf("%s: %v, want %v", tt.claims, got, tt.strict)
		}
		if got := set.Purpose(true); got != tt.lenient {
			t.Errorf("%s with ID tokens allowed: %v, want %v", tt.claims, got, tt.lenient)
		}
	}
}

// FuzzRequirement: a requirement is met only by words that are really there.
func FuzzRequirement(f *testing.F) {
	f.Add("a b", "c", `"a b c"`)
	f.Add("x", "", `["a b",1]`)
	f.Fuzz(func(t *testing.T, first, second, claim string) {
		doc, err := jsonx.Parse(claim, jsonx.Limits{})
		if err != nil {
			return
		}
		have := map[string]bool{}
		Words(doc.Root(), func(w string) bool { have[w] = true; return true })
		want := false
		for _, element := range []string{first, second} {
			all := strings.FieldsFunc(element, func(r rune) bool { return r == ' ' })
			ok := len(all) > 0
			for _, w := range all {
				ok = ok && have[w]
			}
			want = want || ok
		}
		if got := ParseRequirement([]string{first, second}).Met(doc.Root()); got != want {
			t.Errorf("%q, %q on %s: %v, want %v", first, second, claim, got, want)
		}
	})
}
