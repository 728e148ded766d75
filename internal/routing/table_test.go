package routing

import (
	"regexp"
	"testing"
)

func TestStripPort(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "example.com", "example.com:80": "example.com", "example.com:": "example.com", "example.com:x": "example.com:x",
		"example.com:80x": "example.com:80x", "[::1]": "[::1]", "[::1]:80": "[::1]", "a:09": "a", "a:0/": "a:0/", "a:0;": "a:0;", "::1": "::1", "a:b:80": "a:b:80", "": "", ":80": "",
	} {
		if got := StripPort(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	if got := CanonicalHost("ExAmPlE.com:8443"); got != "example.com" {
		t.Error(got)
	}
}

// header returns a Request's Header for one header.
func header(name, value string) func(string) (string, bool) {
	return func(n string) (string, bool) { return value, n == name }
}

func TestMatchFirst(t *testing.T) {
	table := &Table{Entries: []*Entry{
		{Name: "tls twin", Path: Path{Prefix: "/tls"}, PlainOnly: true},
		{Name: "tls", Path: Path{Prefix: "/tls"}},
		{Name: "exact", Path: Path{Exact: "/exact"}},
		{Name: "regex", Path: Path{Regex: regexp.MustCompile(`^(?:/r\d)$`)}},
		{Name: "hosts", Hosts: []Host{{Exact: "a.example"}, {Suffix: ".b.example"}, {Prefix: "c."}}, Path: Path{Prefix: "/"}},
		{Name: "method", Methods: []string{"PUT", "POST"}, Path: Path{Prefix: "/"}},
		{Name: "header", Headers: []Header{{Name: "x", Exact: []string{"one", "two"}}}, Path: Path{Prefix: "/"}},
		{Name: "header regex", Headers: []Header{{Name: "y", Regex: regexp.MustCompile(`^v\d$`)}}, Path: Path{Prefix: "/"}},
		{Name: "two headers", Headers: []Header{{Name: "z", Exact: []string{"1"}}, {Name: "q", Exact: []string{"1"}}}, Path: Path{Prefix: "/"}},
		{Name: "last", Path: Path{Prefix: "/last"}},
	}}
	none := header("", "")
	tests := []struct {
		r    Request
		want string
	}{
		{Request{Path: "/tls/x", Header: none}, "tls twin"},
		{Request{Path: "/tls/x", TLS: true, Header: none}, "tls"},
		{Request{Path: "/exact", Header: none}, "exact"},
		{Request{Path: "/exact/", Header: none}, ""},
		{Request{Path: "/r1", Header: none}, "regex"},
		{Request{Path: "/r12", Header: none}, ""},
		{Request{Path: "/", Host: "A.example:80", Header: none}, "hosts"},
		{Request{Path: "/", Host: "x.b.example", Header: none}, "hosts"},
		{Request{Path: "/", Host: "b.example", Header: none}, ""},
		{Request{Path: "/", Host: "c.anything", Header: none}, "hosts"},
		{Request{Path: "/", Host: "c", Header: none}, ""},
		{Request{Path: "/", Method: "POST", Header: none}, "method"},
		{Request{Path: "/", Method: "GET", Header: none}, ""},
		{Request{Path: "/", Header: header("x", "TWO")}, "header"},
		{Request{Path: "/", Header: header("x", "one,two")}, ""},
		{Request{Path: "/", Header: header("y", "v1")}, "header regex"},
		{Request{Path: "/", Header: header("y", "v12")}, ""},
		{Request{Path: "/", Header: header("z", "1")}, ""},
		{Request{Path: "/", Header: func(string) (string, bool) { return "1", true }}, "two headers"},
		{Request{Path: "/lastly", Header: none}, "last"},
		{Request{Path: "", Header: none}, ""},
	}
	for _, tt := range tests {
		got := ""
		if e := table.Match(&tt.r); e != nil {
			got = e.Name
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
	if (&Table{}).Match(&Request{Path: "/", Header: none}) != nil {
		t.Error("an empty table matches")
	}
}

func TestApply(t *testing.T) {
	for _, tt := range []struct {
		e    Entry
		want string
	}{
		{Entry{Path: Path{Prefix: "/a"}}, "/a/b"},
		{Entry{Path: Path{Prefix: "/a"}, Rewrite: Rewrite{Set: true, Prefix: "/x"}}, "/x/b"},
		{Entry{Path: Path{Prefix: "/a"}, Rewrite: Rewrite{Set: true}}, "/b"},
		{Entry{Path: Path{Prefix: "/a"}, Rewrite: Rewrite{Prefix: "/x"}}, "/a/b"},
		{Entry{Path: Path{Exact: "/a/b"}, Rewrite: Rewrite{Set: true, Prefix: "/x"}}, "/x"},
		{Entry{Rewrite: Rewrite{Regex: regexp.MustCompile("^/a(.*)$"), Substitution: `/$1${1}x\1`}}, "/$1${1}x/b"},
	} {
		if got := tt.e.Apply("/a/b"); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.e, got, tt.want)
		}
	}
}
