package policy

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// FuzzBasic: what is read of a header, net/http reads too, and no other text stands for
// the same user name and password.
func FuzzBasic(f *testing.F) {
	for _, s := range []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic YTpi", "Basic YTpi, Basic YTpi", "Basic", "Basic Ong=", "Basic YQ==",
		"Bearer YTpi", "Basic  YTo6 ", "Basic YTpiCg==", "Basic YWz/aWNlOng=", "Basic YTpj=", "BasicYTpi", "Basic YTp\nj", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		headers := abi.Pairs(abi.AppendPairs(nil, []abi.Pair{{Key: ":path", Value: "/"}, {Key: "authorization", Value: value}}))
		r := &run{headers: headers}
		if !r.facts.read(headers) {
			t.Skip()
		}
		raw, code := r.basic()
		if code != reason.Unspecified {
			return
		}
		user, password, ok := parseBasic(raw)
		if !hasBasic(value) || len(raw) > len(value) {
			t.Fatalf("%q: found %q", value, raw)
		}
		if !ok {
			return
		}
		if again := base64.StdEncoding.EncodeToString([]byte(user + ":" + password)); again != raw {
			t.Errorf("%q is another text for %q", raw, again)
		}
		if user == "" || strings.Contains(user, ":") || !utf8.ValidString(user+password) || len(raw) > maxBasic {
			t.Errorf("%q: %q, %q", raw, user, password)
		}
		u, p, known := (&http.Request{Header: http.Header{"Authorization": {"Basic " + raw}}}).BasicAuth()
		if !known || u != user || p != password {
			t.Errorf("%q: %q, %q, net/http says %q, %q", raw, user, password, u, p)
		}
	})
}

// FuzzAPIKey: the key that is found is the only value under its names, in headers and
// query, as net/url reads them.
func FuzzAPIKey(f *testing.F) {
	f.Add("apikey", "k", "x-api-key", "l", "apikey=m")
	f.Add("apikey", "k", "a", "b", "")
	f.Add("a", "b", "c", "d", "x=y&ap%69key=k%2B")
	f.Add("APIKEY", "k", "api_key", "l", "apikey=&apikey=k")
	f.Add("x-api_key", "k", "X-Api-Key", "l", "X-API-KEY=k;a=b")
	f.Add("a", "b", "c", "d", "x=1;apikey=other&apikey=k")
	f.Add("a", "b", "c", "d", "x;apikey=other;y&apikey=k")
	f.Add("apikey", "k,l", "apikey", "", "%zz=1&apikey")
	c := &bundle.Common{HeaderNames: []string{"apikey", "x-api-key"}, QueryNames: []string{"apikey", "X-API-Key"}}
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, query string) {
		pairs := []abi.Pair{{Key: ":path", Value: "/?" + query}, {Key: name1, Value: value1}, {Key: name2, Value: value2}}
		headers := abi.Pairs(abi.AppendPairs(nil, pairs))
		r := &run{headers: headers}
		if !r.facts.read(headers) || r.facts.path != "/?"+query {
			t.Skip()
		}
		key, code := r.apiKey(c)
		var found, alike []string
		look := func(name, value string, names []string) {
			for _, n := range names {
				if name == n {
					found = append(found, value)
					return
				}
			}
			for _, n := range names {
				if levelName(name) == levelName(n) {
					alike = append(alike, value)
					return
				}
			}
		}
		for _, p := range pairs[1:] {
			look(p.Key, trimSpace(p.Value), c.HeaderNames)
		}
		params, err := url.ParseQuery(query)
		if err != nil {
			return // the pieces that net/url leaves out
		}
		for name, values := range params {
			for _, v := range values {
				look(name, v, c.QueryNames)
			}
		}
		switch code {
		case reason.Unspecified:
			if len(found) != 1 || found[0] != key || len(alike) > 0 || !isKey(key) || strings.Contains(query, ";apikey=") {
				t.Errorf("found %q; there are %q, and %q look alike", key, found, alike)
			}
		case reason.CredentialMissing:
			if len(found) > 1 || len(found) == 1 && found[0] != "" {
				t.Errorf("missing; there are %q", found)
			}
		case reason.CredentialMultiple:
			if len(found) == 0 || len(found) == 1 && len(alike) == 0 && !strings.Contains(found[0], ",") && !strings.Contains(query, ";") && !strings.Contains(query, "%3") {
				t.Errorf("multiple; there are %q, and %q look alike", found, alike)
			}
		}
	})
}

// levelName is sameHeader's way to compare, written in another way.
func levelName(name string) string {
	const known = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, len(name))
	for i := range out {
		if out[i] = '-'; strings.IndexByte(known, name[i]|0x20) >= 0 && name[i] >= '0' {
			out[i] = name[i] | 0x20
		}
	}
	return string(out)
}
