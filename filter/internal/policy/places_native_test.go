//go:build !wasip1

package policy

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// TestPlaces holds what people are told of where a token is against what the machine
// finds, for every choice of headers.
func TestPlaces(t *testing.T) {
	c := &bundle.Common{HeaderNames: []string{"x-token", "authorization"}, QueryNames: []string{"jwt", "t"}, CookieNames: []string{"session"}}
	choices := []abi.Pair{
		{Key: "authorization", Value: "Bearer a"}, {Key: "authorization", Value: "Basic b"}, {Key: "authorization", Value: "bearer c, Bearer d"},
		{Key: "x-token", Value: "BEARER e"}, {Key: "x-token", Value: "f"}, {Key: "cookie", Value: `x=y; session="g"`}, {Key: "cookie", Value: "session="},
		{Key: ":path", Value: "/?j%77t=h&t="},
	}
	for set := range 1 << len(choices) {
		pairs := []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}}
		for i, p := range choices {
			switch {
			case set&(1<<i) == 0:
			case p.Key == ":path":
				pairs[1] = p
			default:
				pairs = append(pairs, p)
			}
		}
		headers := abi.Pairs(abi.AppendPairs(nil, pairs))
		r := &run{headers: headers}
		if !r.facts.read(headers) {
			t.Fatal(pairs)
		}
		token, code := r.find(c)
		list := Places(headers, &bundle.Plugin{JWT: &bundle.JWT{Common: *c}})
		ok := code == reason.CredentialMultiple
		switch len(list) {
		case 0:
			ok = code == reason.CredentialMissing
		case 1:
			ok = ok || code == reason.Unspecified && token == list[0].Token // or it stands beside another scheme
		}
		if !ok {
			t.Errorf("%q: %q, %s, but %+v", pairs, token, code, list)
		}
	}
}

// TestSecretPlaces does the same for API keys and passwords.
func TestSecretPlaces(t *testing.T) {
	k := &bundle.Plugin{KeyAuth: &bundle.KeyAuth{Common: bundle.Common{HeaderNames: []string{"apikey", "x-key"}, QueryNames: []string{"apikey"}}}}
	b := &bundle.Plugin{BasicAuth: &bundle.BasicAuth{}}
	choices := []abi.Pair{
		{Key: "apikey", Value: "a"}, {Key: "x-key", Value: "b,c"}, {Key: "x-key", Value: ""}, {Key: "other", Value: "d"},
		{Key: "authorization", Value: "Basic YTpi"}, {Key: "authorization", Value: "Bearer e"}, {Key: "authorization", Value: "basic YTpi, x"},
		{Key: ":path", Value: "/?%61pikey=f&x=y"},
	}
	for set := range 1 << len(choices) {
		pairs := []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}}
		for i, p := range choices {
			switch {
			case set&(1<<i) == 0:
			case p.Key == ":path":
				pairs[1] = p
			default:
				pairs = append(pairs, p)
			}
		}
		headers := abi.Pairs(abi.AppendPairs(nil, pairs))
		r := &run{headers: headers}
		if !r.facts.read(headers) {
			t.Fatal(pairs)
		}
		key, code := r.apiKey(&k.KeyAuth.Common)
		basic, basicCode := r.basic()
		for _, tt := range []struct {
			list   []Place
			secret string
			code   reason.Code
		}{{Places(headers, k), key, code}, {Places(headers, b), basic, basicCode}} {
			ok := tt.code == reason.CredentialMultiple // or it stands beside what is none
			switch len(tt.list) {
			case 0:
				ok = tt.code == reason.CredentialMissing
			case 1:
				ok = ok || tt.code == reason.Unspecified && tt.secret == tt.list[0].Token
			}
			if !ok {
				t.Errorf("%q: %q, %s, but %+v", pairs, tt.secret, tt.code, tt.list)
			}
		}
	}
	if len(Places("", &bundle.Plugin{ACL: &bundle.ACL{}})) != 0 || UserOf("YTpi") != "a" || PasswordOf("YTpi") != "b" || UserOf("x") != "" {
		t.Error("what is none is found, or what is one is not read")
	}
}
