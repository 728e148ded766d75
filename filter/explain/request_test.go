package explain

import (
	"strings"
	"testing"
	"time"
)

func TestArrive(t *testing.T) {
	for _, test := range []struct {
		name    string
		r       Request
		line    string
		shown   []string // parts of what the filter is shown
		missing []string
	}{
		{"as it stands", Request{URL: "https://h.example/a?b=c&d"}, "GET https://h.example/a?b=…&d",
			[]string{":path\x00/a?b=c&d\x00", "x-forwarded-proto\x00https\x00", ":authority\x00h.example\x00", "x-forwarded-port\x00443\x00"}, nil},
		{"a port", Request{URL: "http://h.example:8000/", Method: "PUT"}, "PUT http://h.example:8000/",
			[]string{":authority\x00h.example\x00", "x-forwarded-port\x008000\x00", ":method\x00PUT\x00"}, nil},
		{"no path", Request{URL: "HTTP://h.example?x=1"}, "GET http://h.example/?x=…", []string{":path\x00/?x=1\x00"}, nil},
		{"a path with dots", Request{URL: "http://h/a/../b"}, "GET http://h/b", []string{":path\x00/b\x00"}, nil},
		{"another host", Request{URL: "http://h/", Headers: []Header{{"Host", "other.example:1"}}}, "GET http://other.example/",
			[]string{":authority\x00other.example\x00"}, []string{"host\x00other.example:1"}},
		{"headers about the connection", Request{URL: "http://h/", Headers: []Header{{"X-Forwarded-Proto", "https"}, {"X-Request-ID", "mine"}, {"Connection", "close, X-Gone"}, {"X-Gone", "1"}, {"X-Kept", "2"}}},
			"GET http://h/", []string{"x-kept\x002\x00", "x-forwarded-proto\x00http\x00"}, []string{"mine", "x-gone", "connection"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := arrive(test.r)
			if err != nil {
				t.Fatal(err)
			}
			l := a.line()
			if got := l.Method + " " + l.URL; got != test.line {
				t.Errorf("%s, want %s", got, test.line)
			}
			shown := string(a.shown(nil).Headers)
			for _, want := range test.shown {
				if !strings.Contains(shown, want) {
					t.Errorf("no %q in %q", want, shown)
				}
			}
			for _, not := range test.missing {
				if strings.Contains(shown, not) {
					t.Errorf("%q is in %q", not, shown)
				}
			}
		})
	}
	for _, r := range []Request{
		{}, {URL: "/a"}, {URL: "ftp://h/"}, {URL: "http:///a"}, {URL: "http://user@h/"}, {URL: "http://h/#a"}, {URL: "http://h:0/"}, {URL: "http://h:x/"},
		{URL: "http://h/", Method: "GET /"}, {URL: "http://h/", Headers: []Header{{"a b", ""}}}, {URL: "http://h/", Headers: []Header{{"a", "b\nc"}}}, {URL: "http://h/", Headers: []Header{{"", ""}}},
	} {
		if a, err := arrive(r); err == nil {
			t.Errorf("%+v is taken as %+v", r, a)
		}
	}
	if a, err := arrive(Request{URL: "http://h/a%2fb"}); err != nil || a.readable {
		t.Errorf("%+v, %v", a, err)
	}
	if a, _ := arrive(Request{URL: "http://h/"}); time.Since(time.Unix(a.now, 0)) > time.Hour {
		t.Error("the zero time is not now")
	}
}

func TestHeadersThatMayBeShown(t *testing.T) {
	s := &secrets{list: []string{"a-session-that-is-long", "a-session-that-is-long-er"}}
	const jws = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl"
	for _, test := range [][3]string{
		{"x", "plain", "plain"},
		{"authorization", "Bearer " + jws, "Bearer [" + fingerprint(jws) + "]"},
		{"x", "a-session-that-is-long-er", "[" + fingerprint("a-session-that-is-long-er") + "]"},
		{"set-cookie", "session=abc; Path=/; HttpOnly", "session=…; Path=/; HttpOnly"},
		{"set-cookie", "session=; Max-Age=0", "session=; Max-Age=0"},
		{"cookie", "a=b; c=d=e; f", "a=…; c=…; =…"},
		{"location", "https://id/authorize?client_id=app&state=s&nonce=n&code_challenge=c&id_token_hint=t&scope=openid", "https://id/authorize?client_id=app&state=…&nonce=…&code_challenge=…&id_token_hint=…&scope=openid"},
		{"location", "/plain", "/plain"},
	} {
		if got := s.header(test[0], test[1]); got.Value != test[2] {
			t.Errorf("%s: %s is shown as %s, want %s", test[0], test[1], got.Value, test[2])
		}
	}
	if got := printable("a\x1b[31mb\nc\u202ed"); got != "a?[31mb?c?d" {
		t.Errorf("%q", got)
	}
}

// FuzzArrive: whatever is asked for, the line that names the request has no value of its
// query, and the filter is shown a path.
func FuzzArrive(f *testing.F) {
	for _, s := range []string{"http://h/a?b=", "https://[::1]:8000/?=", "http://h?", "http://h/../%2e?&&a=", "HTTPS://h:443//;?x&"} {
		f.Add(s)
	}
	const value = "0123456789-value-0123456789"
	f.Fuzz(func(t *testing.T, url string) {
		a, err := arrive(Request{URL: url + value})
		if err != nil || !strings.Contains(a.query, "="+value) {
			return
		}
		if l := a.line(); strings.Contains(l.URL, value) {
			t.Errorf("%q: %s", url, l.URL)
		}
		if a.path[0] != '/' || a.host == "" {
			t.Errorf("%q: %+v", url, a)
		}
	})
}
