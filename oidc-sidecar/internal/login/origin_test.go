package login

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

func TestOrigin(t *testing.T) {
	in := instance(t, nil)
	in.TrustedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name string
		r    wire.Request
		want string
	}{
		{"http", wire.Request{Scheme: "http", Authority: "a.example", Port: 80}, "http://a.example"},
		{"https", wire.Request{Scheme: "https", Authority: "A.Example", Port: 443}, "https://a.example"},
		{"a port", wire.Request{Scheme: "http", Authority: "a.example", Port: 8000}, "http://a.example:8000"},
		{"http at 443", wire.Request{Scheme: "http", Authority: "a.example", Port: 443}, "http://a.example:443"},
		{"IPv6", wire.Request{Scheme: "http", Authority: "[::1]", Port: 8000}, "http://[::1]:8000"},
		{"IPv6 bare", wire.Request{Scheme: "http", Authority: "::1", Port: 80}, "http://[::1]"},
		{"no port", wire.Request{Scheme: "http", Authority: "a.example"}, "http://a.example"},
		{"a stranger's word", wire.Request{Scheme: "http", Authority: "a.example", Port: 80, Peer: "192.0.2.1:99", ForwardedHost: "evil.example", ForwardedPort: "1"}, "http://a.example"},
		{"nobody's word", wire.Request{Scheme: "http", Authority: "a.example", Port: 80, ForwardedHost: "evil.example"}, "http://a.example"},
		{"trusted", wire.Request{Scheme: "https", Authority: "a", Port: 8000, Peer: "10.1.2.3:99", ForwardedHost: "b.example", ForwardedPort: "443"}, "https://b.example"},
		{"trusted by Envoy", wire.Request{Scheme: "https", Authority: "a", Port: 8000, Peer: "192.0.2.1:0", Trusted: true, ForwardedHost: "b.example"}, "https://b.example"},
		{"trusted, mapped", wire.Request{Scheme: "https", Authority: "a", Peer: "[::ffff:10.1.2.3]:99", ForwardedHost: "b.example"}, "https://b.example"},
		{"trusted, IPv6", wire.Request{Scheme: "https", Authority: "a", Peer: "fd00::1", ForwardedHost: "b.example:8443"}, "https://b.example:8443"},
		{"trusted, its own port", wire.Request{Scheme: "https", Authority: "b.example", Port: 8000, Peer: "10.0.0.1:1", ForwardedPort: "8000"}, "https://b.example"},
		{"trusted, several", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b.example , c.example"}, "https://b.example"},
		{"trusted, IPv6 host", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "[2001:db8::1]:8443"}, "https://[2001:db8::1]:8443"},
		{"like trusted", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1.evil", ForwardedHost: "b.example"}, "https://a"},
		{"a user", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b@c"}, ""},
		{"a path", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b/c"}, ""},
		{"a backslash", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: `b\c`}, ""},
		{"an escape", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b%2fc"}, ""},
		{"a line break", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b\r\nc"}, ""},
		{"a port that is none", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "b:x"}, ""},
		{"a zone", wire.Request{Scheme: "https", Authority: "a", Peer: "10.0.0.1:1", ForwardedHost: "[fe80::1%eth0]"}, ""},
		{"half a bracket", wire.Request{Scheme: "https", Authority: "[::1", Port: 1}, ""},
		{"nothing", wire.Request{Scheme: "https", Port: 443}, ""},
	} {
		if got := in.origin(&tt.r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestHostAllowed(t *testing.T) {
	in := instance(t, nil)
	in.Hosts["r"] = []string{"A.example", "*.wild.example", "front.*"}
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://a.example:8443": true, "http://x.wild.example": true, "http://x.y.wild.example": true, "https://front.example": true,
		"https://wild.example": false, "https://evilwild.example": false, "https://a.example.evil": false, "https://xa.example": false, "https://frontx": false, "": false,
	} {
		if got := in.hostAllowed("r", origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	if !in.hostAllowed("another", "https://anything") || in.hostAllowed("another", "") {
		t.Error("a route without hosts takes every host, and no other thing")
	}
}

// addresses that requests name, and what becomes of them.
var targets = []string{"/", "/a", "//evil.example", "///evil.example/x", `/\evil.example`, `\\evil.example`, `\/evil.example`, "/a//b", "/a?x=//evil", "a", "", "@evil.example", ":80/x",
	"https://evil.example/", "/a\r\nx: y", "/%2f%2fevil.example", "/.evil", "?x", "#x", "//", `/\/\/evil`}

func TestReturnAndRedirect(t *testing.T) {
	const home = "https://a.example:8443"
	fixed := instance(t, func(c *declarative.OIDCConfig) {
		c.Login.RedirectURIs = []string{"https://one.example/cb", "https://A.example:8443/two", "https://three.example/cb"}
	})
	free := instance(t, nil)
	for _, target := range targets {
		r := &wire.Request{Path: target}
		for what, link := range map[string]string{"return": returnURL(r, home), "redirect": free.redirectURI(r, home), "page": home + cleanPath(target)} {
			rest, ok := strings.CutPrefix(link, home+"/")
			if !ok || strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, `\`) {
				t.Errorf("%s: %q leads to %q", what, target, link)
			}
			if u, err := url.Parse(link); err == nil && u.Host != "a.example:8443" {
				t.Errorf("%s: %q leads to %q", what, target, link)
			}
			if what != "return" && strings.Contains(link, "?") {
				t.Errorf("%s: %q has a query: %q", what, target, link)
			}
		}
		if got := fixed.redirectURI(r, home); got != "https://A.example:8443/two" {
			t.Errorf("%q: %q", target, got)
		}
		if got := fixed.redirectURI(r, "https://evil.example"); got != "https://one.example/cb" {
			t.Errorf("%q: %q", target, got)
		}
	}
	long := "/" + strings.Repeat("x", maxReturn)
	if got := returnURL(&wire.Request{Path: "/a?" + long}, home); got != home+"/a" {
		t.Errorf("a long query: %q", got)
	}
	if got := returnURL(&wire.Request{Path: long}, home); got != home+"/" {
		t.Errorf("a long path: %q", got)
	}
}
