package declarative

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// The order of Kong's traditional_compatible router, written by hand from its
// documentation and kong/router/transform.lua (get_priority). Each row has routes
// that all match one request; the first of them has to win, in whatever order
// they stand in the file.
func TestPriority(t *testing.T) {
	get := func(path string, headers ...string) *routing.Request {
		return request("GET", "api.example.com", path, headers...)
	}
	tests := []struct {
		name    string
		routes  []string // the winner first
		request *routing.Request
		why     string
	}{
		{"two attributes before one",
			[]string{`methods: [GET], hosts: [api.example.com]`, `paths: [/a/very/long/path]`},
			get("/a/very/long/path"), "the number of attributes counts before everything else"},
		{"three attributes before two",
			[]string{`methods: [GET], hosts: ["*.example.com"], paths: [/]`, `hosts: [api.example.com], paths: [/abc]`},
			get("/abc"), "even with a wildcard and a shorter path"},
		{"four attributes before three",
			[]string{`methods: [GET], hosts: ["*.example.com"], paths: [/], headers: {x-a: ["1"]}`,
				`hosts: [api.example.com], paths: [/abc], headers: {x-a: ["1"], x-b: ["2"]}`},
			get("/abc", "x-a", "1", "x-b", "2"), "headers are one attribute, however many there are"},
		{"headers are one attribute",
			[]string{`methods: [GET], paths: [/]`, `headers: {x-a: ["1"], x-b: ["2"], x-c: ["3"]}`},
			get("/", "x-a", "1", "x-b", "2", "x-c", "3"), "three headers are one attribute, which is less than two"},
		{"methods count as much as paths",
			[]string{`hosts: [api.example.com]`, `methods: [GET]`},
			get("/"), "one attribute each, but plain hosts have a bit of their own"},
		{"methods against paths",
			[]string{`paths: [/]`, `methods: [GET]`},
			get("/"), "one attribute each, and the length of a path is more than none"},
		{"several values are one attribute",
			[]string{`methods: [GET], hosts: [api.example.com]`, `hosts: [api.example.com, b.example, c.example]`},
			get("/"), "attributes count, not their values"},

		{"plain host before wildcard",
			[]string{`hosts: [api.example.com], paths: [/]`, `hosts: ["*.example.com"], paths: [/longer]`},
			get("/longer"), "a plain host comes before the length of the path"},
		{"plain host before wildcard at the end",
			[]string{`hosts: [api.example.com], paths: [/]`, `hosts: ["api.example.*"], paths: [/longer]`},
			get("/longer"), "both wildcards are wildcards"},
		{"a wildcard among plain hosts",
			[]string{`hosts: [api.example.com], paths: [/]`, `hosts: [api.example.com, "*.example.org"], paths: [/longer]`},
			get("/longer"), "one wildcard takes the whole route down"},
		{"plain host before headers",
			[]string{`hosts: [api.example.com], headers: {x-a: ["1"]}`, `hosts: ["*.example.com"], headers: {x-a: ["1"], x-b: ["2"]}`},
			get("/", "x-a", "1", "x-b", "2"), "the bit of plain hosts stands above the number of headers"},
		{"wildcards of different length are equal, paths decide",
			[]string{`hosts: ["*.com"], paths: [/abc]`, `hosts: ["*.example.com"], paths: [/a]`},
			get("/abc"), "the length of a wildcard does not count"},

		{"more headers before fewer",
			[]string{`paths: [/], headers: {x-a: ["1"], x-b: ["2"]}`, `paths: [/longer], headers: {x-a: ["1"]}`},
			get("/longer", "x-a", "1", "x-b", "2"), "the number of headers stands above the path"},
		{"more headers before a regular expression",
			[]string{`paths: [/], headers: {x-a: ["1"], x-b: ["2"]}`, `paths: ["~/.*"], regex_priority: 100, headers: {x-a: ["1"]}`},
			get("/", "x-a", "1", "x-b", "2"), "the number of headers stands above the kind of path"},
		{"values of one header do not count",
			[]string{`paths: [/longer], headers: {x-a: ["1"]}`, `paths: [/], headers: {x-a: ["1", "2", "3"]}`},
			get("/longer", "x-a", "1"), "headers count, not their values"},

		{"regular expression before prefix",
			[]string{`paths: ["~/a"]`, `paths: [/a/very/long/prefix]`},
			get("/a/very/long/prefix"), "whatever the length"},
		{"regular expression before prefix with regex_priority",
			[]string{`paths: ["~/a"]`, `paths: [/abc], regex_priority: 1000`},
			get("/abc"), "regex_priority means nothing on a prefix"},
		{"higher regex_priority first",
			[]string{`paths: ["~/a"], regex_priority: 2`, `paths: ["~/abc/d+"], regex_priority: 1`},
			get("/abc/ddd"), "the number decides, not the length"},
		{"the highest regex_priority",
			[]string{`paths: ["~/a"], regex_priority: 2147483647`, `paths: ["~/ab"], regex_priority: 2147483646`},
			get("/abc"), "all 31 bits count"},
		{"the length of a regular expression",
			[]string{`paths: ["~/a"], regex_priority: 1`, `paths: ["~/a[b-z]cdefghijkl"]`},
			get("/abcdefghijkl"), "counts for nothing"},

		{"longer prefix first",
			[]string{`paths: [/abc/def]`, `paths: [/abc]`, `paths: [/]`},
			get("/abc/def/ghi"), "the length of the prefix decides"},
		{"a slash more is longer",
			[]string{`paths: [/abc/]`, `paths: [/abc]`},
			get("/abc/x"), "the length is in bytes"},
		{"only the path that matches counts",
			[]string{`paths: [/abc]`, `paths: [/a, /zzzzzzzzzzzzzzz]`},
			get("/abcd"), "Kong splits a route by the lengths of its prefixes"},
		{"a route split over another",
			[]string{`paths: [/abcdef, /a]`, `paths: [/abc]`},
			get("/abcdefg"), "the long part of a split route comes before"},
		{"a route split below another",
			[]string{`paths: [/abc]`, `paths: [/abcdef, /a]`},
			get("/abc"), "and its short part after"},
		{"regular expressions beside prefixes",
			[]string{`paths: ["~/x/.*", /zzz]`, `paths: [/x/y/z]`},
			get("/x/y/z"), "the part with regular expressions is a route of its own"},
		{"the prefix part of a mixed route",
			[]string{`paths: [/x/y/z]`, `paths: ["~/q", /x]`},
			get("/x/y/z"), "which the prefixes are not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range permutations(len(tt.routes)) {
				var b strings.Builder
				b.WriteString("_format_version: '3.0'\nservices: [{name: s, url: http://h}]\nroutes:\n")
				for _, i := range order {
					fmt.Fprintf(&b, "- {name: r%d, service: s, %s}\n", i, tt.routes[i])
				}
				f := read(t, b.String())
				for i, r := range f.Routes { // a row whose loser does not match proves nothing
					alone := &File{Routes: []*Route{r}}
					if alone.Table().Match(tt.request) == nil {
						t.Fatalf("route %d does not match at all", order[i])
					}
				}
				if got := f.Table().Match(tt.request); !strings.HasPrefix(got.Name, "r0.") {
					t.Errorf("in the order %v %s won: %s", order, got.Name, tt.why)
				}
			}
		})
	}
}

// permutations returns all orders of 0 … n-1, for small n.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}

// Between equals, which Kong leaves to chance, the file's order holds.
func TestEqualRoutesKeepTheFilesOrder(t *testing.T) {
	for _, paths := range []string{`[/same]`, `["~/same"]`} {
		var b strings.Builder
		b.WriteString("_format_version: '3.0'\nservices: [{name: s, url: http://h}]\nroutes:\n")
		for i := range 40 {
			fmt.Fprintf(&b, "- {name: r%02d, service: s, paths: %s}\n", i, paths)
		}
		got := ""
		for _, e := range read(t, b.String()).Table().Entries {
			name, _, _ := strings.Cut(e.Name, ".")
			if name < got {
				t.Fatalf("%s stands behind %s", name, got)
			}
			got = name
		}
	}
}

// More headers than Kong's field has room for count as many as it has.
func TestManyHeaders(t *testing.T) {
	headers := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("h%d: [v]", i))
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	f := read(t, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, url: http://h}], routes: [
		{name: many, service: s, paths: [/], headers: %s}, {name: fewer, service: s, paths: [/long], headers: %s}]}`, headers(300), headers(255)))
	e := f.Table().Match(&routing.Request{Method: "GET", Path: "/long", Header: func(string) (string, bool) { return "v", true }})
	if !strings.HasPrefix(e.Name, "fewer.") {
		t.Errorf("%s won: 300 headers count as 255, then the path decides", e.Name)
	}
}

// What a route matches on, one attribute at a time.
func TestMatch(t *testing.T) {
	tests := []struct {
		route   string
		request *routing.Request
		want    bool
	}{
		{`paths: [/a]`, request("GET", "h", "/a"), true},
		{`paths: [/a]`, request("GET", "h", "/ab"), true},
		{`paths: [/a]`, request("GET", "h", "/A"), false},
		{`paths: [/a]`, request("GET", "h", "/"), false},
		{`paths: [/a/]`, request("GET", "h", "/a"), false},
		{`paths: ["~/a$"]`, request("GET", "h", "/a"), true},
		{`paths: ["~/a$"]`, request("GET", "h", "/ab"), false},
		{`paths: ["~/a"]`, request("GET", "h", "/ab/c"), true},
		{`paths: ["~/b"]`, request("GET", "h", "/a/b"), false}, // anchored at the start
		{`paths: ["~/a|/b"]`, request("GET", "h", "/x/b"), false},
		{`paths: ["~/a|/b"]`, request("GET", "h", "/b"), true},
		{`paths: ["~/(?i)abc"]`, request("GET", "h", "/ABC"), true},
		{`methods: [GET, POST]`, request("POST", "h", "/"), true},
		{`methods: [GET, POST]`, request("PUT", "h", "/"), false},
		{`methods: [GET]`, request("get", "h", "/"), false},
		{`methods: [PROPFIND]`, request("PROPFIND", "h", "/"), true},
		{`hosts: [Example.com]`, request("GET", "eXample.com", "/"), true},
		{`hosts: [example.com]`, request("GET", "example.com:8443", "/"), true},
		{`hosts: [example.com]`, request("GET", "example.com.evil.org", "/"), false},
		{`hosts: ["*.example.com"]`, request("GET", "a.b.example.com", "/"), true},
		{`hosts: ["*.example.com"]`, request("GET", "example.com", "/"), false},
		{`hosts: ["*.example.com"]`, request("GET", "evilexample.com", "/"), false},
		{`hosts: ["example.*"]`, request("GET", "example.org", "/"), true},
		{`hosts: ["example.*"]`, request("GET", "example", "/"), false},
		{`hosts: ["example.*"]`, request("GET", "examples.org", "/"), false},
		{`hosts: ["[::1]"]`, request("GET", "[::1]:80", "/"), true},
		{`headers: {X-A: [One]}`, request("GET", "h", "/", "x-a", "oNE"), true},
		{`headers: {x-a: [one]}`, request("GET", "h", "/", "x-a", "ones"), false},
		{`headers: {x-a: [one]}`, request("GET", "h", "/"), false},
		{`headers: {x-a: [one, two]}`, request("GET", "h", "/", "x-a", "two"), true},
		{`headers: {x-a: [one], x-b: [two]}`, request("GET", "h", "/", "x-a", "one"), false},
		{`headers: {x-a: ["~*^v\\d+$"]}`, request("GET", "h", "/", "x-a", "V12"), true},
		{`headers: {x-a: ["~*^v\\d+$"]}`, request("GET", "h", "/", "x-a", "V12x"), false},
		{`headers: {x-a: ["~*b"]}`, request("GET", "h", "/", "x-a", "abc"), true},
		{`headers: {x-a: ["~*b", c]}`, request("GET", "h", "/", "x-a", "C"), true},
		{`headers: {x-a: ["~*b", c]}`, request("GET", "h", "/", "x-a", "cd"), false},
	}
	for _, tt := range tests {
		t.Run(tt.route+" "+tt.request.Method+" "+tt.request.Host+tt.request.Path, func(t *testing.T) {
			f := read(t, `{_format_version: "3.0", services: [{name: s, url: http://h, routes: [{name: r, `+tt.route+`}]}]}`)
			if got := f.Table().Match(tt.request) != nil; got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A route for TLS alone has a twin for requests without, which the filter answers.
func TestTwinsForTLS(t *testing.T) {
	f := read(t, `{_format_version: "3.0", services: [{name: s, url: http://h, routes: [
		{name: tls, paths: [/tls], protocols: [https]}, {name: both, paths: [/both]}, {name: plain, paths: [/plain], protocols: [http]}]}]}`)
	tests := []struct {
		path       string
		tls        bool
		want       string
		noUpstream bool
	}{
		{"/tls", true, f.Routes[0].BundleName(), false},
		{"/tls", false, f.Routes[0].HTTPSName(), true},
		{"/tls/x", false, f.Routes[0].HTTPSName(), true},
		{"/both", true, f.Routes[1].BundleName(), false},
		{"/both", false, f.Routes[1].BundleName(), false},
		{"/plain", true, f.Routes[2].BundleName(), false}, // Kong asks only whether https is all there is
		{"/plain", false, f.Routes[2].BundleName(), false},
	}
	for _, tt := range tests {
		r := request("GET", "h", tt.path)
		r.TLS = tt.tls
		e := f.Table().Match(r)
		if e == nil || e.Name != tt.want || e.NoUpstream != tt.noUpstream {
			t.Errorf("%s, TLS %v: %+v, want %s", tt.path, tt.tls, e, tt.want)
		}
	}
}
