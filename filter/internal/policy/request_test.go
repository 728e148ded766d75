package policy

import (
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// TestTargets: what an upstream may read otherwise than the proxy did is refused.
func TestTargets(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a/b.c/.well-known/x": true, "/a?b=../..;\\ #": true, "/%41/%2f%FF": true, "/...": true, "/.a": true, "/..a/b": true, "/a..": true,
		"/~!$&'()*+,;=:@-_": true, "/.%3c": true, "/.%2b": true, "/?": true,
		"": false, "a": false, "*": false, "http://h/": false,
		"/%": false, "/%4": false, "/%4?": false, "/%zz": false, "/%4g": false, "/%g4": false,
		"/a b": false, "/\x00": false, "/\x1f": false, "/\x7f": false, "/\x80": false, "/\xff": false, "/a\\b": false, "/a#b": false,
		"/.": false, "/..": false, "/a/./b": false, "/a/../b": false, "/..?": false, "/.;x/": false, "/..;x/": false, "/a/..%3bx": false, "/.%3B": false, "/.%3": false,
	} {
		if f := (facts{authority: "h", path: path}); f.wellFormed() != want {
			t.Errorf("path %q: %v, want %v", path, !want, want)
		}
	}
	for authority, want := range map[string]bool{
		"h": true, "h:80": true, "[::1]:80": true, "x!y~z": true, "a_b": true,
		"": false, "a,b": false, "u@h": false, "h/p": false, `h\p`: false, "h?": false, "h#": false, `"h"`: false, "<h>": false, "h ": false, "h\x1f": false, "h\x7f": false, "h\x80": false,
	} {
		if f := (facts{authority: authority, path: "/"}); f.wellFormed() != want {
			t.Errorf("host %q: %v, want %v", authority, !want, want)
		}
	}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": nil})
	if s := ask(e, start, "r", abi.Pair{Key: ":path", Value: "/..;/admin"}); s.Reason != reason.RequestMalformed || s.Response.Status != 400 {
		t.Errorf("%v with %d", s.Reason, s.Response.Status)
	}
}

// TestGRPC: a route for gRPC is for nothing that only looks like it.
func TestGRPC(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": nil})
	e.bundle.Routes["r"].GRPC = true
	for contentType, want := range map[string]reason.Code{
		"application/grpc": reason.Unprotected, "application/grpc+proto": reason.Unprotected,
		"application/grpc-web": reason.ProtocolMismatch, "application/grpcx": reason.ProtocolMismatch, "application/json": reason.ProtocolMismatch, "": reason.ProtocolMismatch,
	} {
		if s := ask(e, start, "r", abi.Pair{Key: "content-type", Value: contentType}); s.Reason != want {
			t.Errorf("%q: %v, want %v", contentType, s.Reason, want)
		}
	}
}

// TestFacts: headers that mean something to us are found, whatever else is sent.
func TestFacts(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": nil})
	s := ask(e, start, "r", abi.Pair{Key: "", Value: "x"}, abi.Pair{Key: ":scheme", Value: "http"}, abi.Pair{Key: "accept", Value: "a"}, abi.Pair{Key: "x-consumer-id", Value: "root"},
		abi.Pair{Key: "X_Consumer.Username", Value: "root"}, abi.Pair{Key: "x-consumer", Value: "kept"}, abi.Pair{Key: "x-request-id", Value: "id"})
	if want := []string{"x-consumer-id", "X_Consumer.Username"}; s.Reason != reason.Unprotected || !slices.Equal(s.Edits.Remove, want) {
		t.Errorf("%v, removed %q, want %q", s.Reason, s.Edits.Remove, want)
	}
	if s = ask(e, start, "other", abi.Pair{Key: "x-request-id", Value: "id"}); s.RequestID != "id" {
		t.Errorf("the id is %q", s.RequestID)
	}
	for _, none := range []abi.Pairs{"", "\x00", abi.Pairs(abi.AppendPairs(nil, nil))} {
		if s := e.Start(&Request{RouteState: RouteChosen, Route: "r", Headers: none}); s.Reason != reason.HostFailure {
			t.Errorf("no headers at all: %v", s.Reason)
		}
	}
}

// TestNew: a header is only called new when the caller has sent none that an upstream
// could take for it, and never one that is made of claims, which may be any header.
func TestNew(t *testing.T) {
	p := oidcPlugin("a", headerOnly, rsaKey("k"))
	p.OIDC.Identity.Upstream = []bundle.ClaimHeader{{Header: "x-sub", Claim: []string{"sub"}}}
	p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "x-token", Token: "access_token", Bearer: true}}
	e := engineWith(t, quietVerifier{}, map[string][]*bundle.Plugin{"r": {p}})
	for sent, fresh := range map[string]int{"x-other": 1, "x-sub": 1, "x-credential-identifier": 0, "X_Credential.Identifier": 0, "x-consumer-id": 0} {
		s := ask(e, start, "r", withToken(issuedTo("alice")), abi.Pair{Key: sent, Value: "root"})
		if s.Reason != reason.Allowed || s.Edits.New != fresh || len(s.Edits.Set) != 3 || s.Edits.Set[0] != (abi.Pair{Key: "x-credential-identifier", Value: "alice"}) {
			t.Errorf("%s: %v, %d new, want %d: %q", sent, s.Reason, s.Edits.New, fresh, s.Edits.Set)
		}
	}
}

// TestTokenAsSent: an access token stays in the Authorization header, where it is not
// written again, only when it stands there as we would write it.
func TestTokenAsSent(t *testing.T) {
	p := oidcPlugin("a", headerOnly, rsaKey("k"))
	p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: true}}
	e := engineWith(t, quietVerifier{}, map[string][]*bundle.Plugin{"r": {p}})
	token := issuedTo("alice")
	for value, written := range map[string]bool{"Bearer " + token: false, "bearer " + token: true, "Bearer  " + token: true, "BEARER " + token + " ": true} {
		for range 2 { // new, and remembered
			s := ask(e, start, "r", abi.Pair{Key: "authorization", Value: value})
			again := slices.Contains(s.Edits.Set, abi.Pair{Key: "authorization", Value: "Bearer " + token})
			if s.Reason != reason.Allowed || again != written {
				t.Errorf("%.9s: %v, written again: %v", value, s.Reason, again)
			}
		}
	}
}
