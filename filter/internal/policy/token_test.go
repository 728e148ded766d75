package policy

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestPlacesTogether: a plugin that looks in several places sees a second token
// wherever it stands.
func TestPlacesTogether(t *testing.T) {
	token := issued("")
	header, cookie, own := withToken(token), abi.Pair{Key: "cookie", Value: "t=" + token}, abi.Pair{Key: "x-token", Value: "Bearer " + token}
	query := abi.Pair{Key: ":path", Value: "/?t=" + token}
	everywhere := bundle.Common{HeaderNames: []string{"authorization", "x-token"}, QueryNames: []string{"t"}, CookieNames: []string{"t"}}
	usual := bundle.Common{HeaderNames: headerOnly.HeaderNames, QueryNames: []string{"t"}, CookieNames: []string{"t"}}
	for name, tt := range map[string]struct {
		places  bundle.Common
		headers []abi.Pair
		want    reason.Code
	}{
		"nowhere":                       {everywhere, nil, reason.CredentialMissing},
		"header":                        {everywhere, []abi.Pair{header}, reason.Allowed},
		"header of ours":                {everywhere, []abi.Pair{own}, reason.Allowed},
		"query":                         {everywhere, []abi.Pair{query}, reason.Allowed},
		"cookie":                        {everywhere, []abi.Pair{cookie}, reason.Allowed},
		"header and query":              {everywhere, []abi.Pair{header, query}, reason.CredentialMultiple},
		"header and cookie":             {everywhere, []abi.Pair{header, cookie}, reason.CredentialMultiple},
		"query and cookie":              {everywhere, []abi.Pair{query, cookie}, reason.CredentialMultiple},
		"two headers":                   {bundle.Common{HeaderNames: everywhere.HeaderNames}, []abi.Pair{header, own}, reason.CredentialMultiple},
		"the usual header and a query":  {usual, []abi.Pair{header, query}, reason.CredentialMultiple},
		"the usual header and a cookie": {usual, []abi.Pair{header, cookie}, reason.CredentialMultiple},
		"the second header":             {bundle.Common{HeaderNames: everywhere.HeaderNames}, []abi.Pair{own}, reason.Allowed},
		"a query that is no place":      {headerOnly, []abi.Pair{header, query}, reason.Allowed},
		"Basic beside it":               {headerOnly, []abi.Pair{{Key: "authorization", Value: "Basic x"}, header}, reason.CredentialMultiple},
		"Basic alone":                   {headerOnly, []abi.Pair{{Key: "authorization", Value: "Basic x"}}, reason.CredentialMissing},
		"quoted":                        {everywhere, []abi.Pair{{Key: "cookie", Value: `a; t = "` + token + `" ;b`}}, reason.Allowed},
		"a quote at one end":            {everywhere, []abi.Pair{{Key: "cookie", Value: `t="` + token}}, reason.TokenEncoding},
		"an empty quoted cookie":        {everywhere, []abi.Pair{{Key: "cookie", Value: `t=""`}}, reason.CredentialMissing},
		"one quote":                     {everywhere, []abi.Pair{{Key: "cookie", Value: `t="`}}, reason.TokenMalformed},
		"an empty parameter":            {everywhere, []abi.Pair{{Key: ":path", Value: "/?t=&t"}}, reason.CredentialMissing},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {oidcPlugin("o", tt.places, rsaKey("k"))}})
			if s := ask(e, start, "r", tt.headers...); s.Reason != tt.want {
				t.Errorf("%v, want %v", s.Reason, tt.want)
			}
		})
	}
}

// TestUnescape: as application/x-www-form-urlencoded is read; broken escapes stay.
func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a+b": "a b", "+": " ", "%41": "A", "%41%4a%4A": "AJJ", "%2B": "+", "a%": "a%", "%4": "%4", "a%4": "a%4",
		"%zz": "%zz", "%4g": "%4g", "%g4": "%g4", "%%41": "%A", "%09": "\t", "%af%AF%f0%F9": "\xaf\xaf\xf0\xf9", "a%41": "aA", "%41+": "A ",
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestHexValue(t *testing.T) {
	for c := range 256 {
		want := strings.IndexByte("0123456789abcdef", byte(c))
		if upper := strings.IndexByte("0123456789ABCDEF", byte(c)); want < 0 {
			want = upper
		}
		if want < 0 {
			want = 16
		}
		if got := hexValue(byte(c)); int(got) != want {
			t.Errorf("%q is %d, want %d", rune(c), got, want)
		}
	}
}
