package policy

import (
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestACL: every branch of kong/plugins/acl/handler.lua.
func TestACL(t *testing.T) {
	member := func(groups ...string) *bundle.Consumer {
		return &bundle.Consumer{ID: "id", Username: "alice", Groups: groups}
	}
	const (
		none      = ""
		consumer  = "x-consumer-groups"
		byToken   = "x-authenticated-groups"
		forbidden = `{"message":"You cannot consume this service"}`
		unknown   = `{"message":"Unauthorized"}`
	)
	for _, tt := range []struct {
		name   string
		who    caller
		acl    bundle.ACL
		want   reason.Code
		header string
		value  string
	}{
		{"nobody, allow", caller{}, bundle.ACL{}, reason.CredentialMissing, none, ""},
		{"nobody, deny", caller{}, bundle.ACL{Deny: true}, reason.CredentialMissing, none, ""},
		{"no consumer, no groups, allow", caller{authenticated: true}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"no consumer, no groups, deny", caller{authenticated: true}, bundle.ACL{Deny: true}, reason.GroupRefused, none, ""},
		{"no consumer, groups, allow", caller{authenticated: true, groups: []string{"x", "b"}}, bundle.ACL{}, reason.Allowed, byToken, "x, b"},
		{"no consumer, other groups, allow", caller{authenticated: true, groups: []string{"x"}}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"no consumer, groups, deny", caller{authenticated: true, groups: []string{"x", "b"}}, bundle.ACL{Deny: true}, reason.GroupRefused, none, ""},
		{"no consumer, other groups, deny", caller{authenticated: true, groups: []string{"x"}}, bundle.ACL{Deny: true}, reason.Allowed, byToken, "x"},

		{"consumer, allow", caller{authenticated: true, consumer: member("a", "z")}, bundle.ACL{}, reason.Allowed, consumer, "a, z"},
		{"consumer, other group, allow", caller{authenticated: true, consumer: member("z")}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"consumer, a part of a group", caller{authenticated: true, consumer: member("aa", "A", "a ")}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"consumer without groups, allow", caller{authenticated: true, consumer: member()}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"consumer without groups, deny", caller{authenticated: true, consumer: member()}, bundle.ACL{Deny: true}, reason.Allowed, none, ""},
		{"consumer, deny", caller{authenticated: true, consumer: member("a")}, bundle.ACL{Deny: true}, reason.GroupRefused, none, ""},
		{"consumer, other group, deny", caller{authenticated: true, consumer: member("z")}, bundle.ACL{Deny: true}, reason.Allowed, consumer, "z"},
		{"consumer, hidden", caller{authenticated: true, consumer: member("a")}, bundle.ACL{HideHeader: true}, reason.Allowed, none, ""},

		{"consumer before the token's groups", caller{authenticated: true, consumer: member("z"), groups: []string{"a"}}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"the token's groups first", caller{authenticated: true, consumer: member("z"), groups: []string{"a"}}, bundle.ACL{Authenticated: true}, reason.Allowed, byToken, "a"},
		{"the token's groups first, refused", caller{authenticated: true, consumer: member("a"), groups: []string{"z"}}, bundle.ACL{Authenticated: true}, reason.GroupRefused, none, ""},
		{"the token's groups first, none", caller{authenticated: true, consumer: member("a")}, bundle.ACL{Authenticated: true}, reason.Allowed, consumer, "a"},

		{"anonymous in a group", caller{anonymous: true, consumer: member("a")}, bundle.ACL{}, reason.Allowed, consumer, "a"},
		{"anonymous in another group", caller{anonymous: true, consumer: member("z")}, bundle.ACL{}, reason.GroupRefused, none, ""},
		{"anonymous without groups, allow", caller{anonymous: true, consumer: member()}, bundle.ACL{}, reason.CredentialMissing, none, ""},
		{"anonymous without groups, deny", caller{anonymous: true, consumer: member()}, bundle.ACL{Deny: true}, reason.Allowed, none, ""},

		{"a group that reads as two", caller{authenticated: true, groups: []string{"x,admin", "a"}}, bundle.ACL{}, reason.Allowed, byToken, "a"},
		{"a group that begins with a comma", caller{authenticated: true, groups: []string{",admin", "a"}}, bundle.ACL{}, reason.Allowed, byToken, "a"},
		{"a group that ends the header", caller{authenticated: true, groups: []string{"a", "b\r\nx: y"}}, bundle.ACL{}, reason.Allowed, byToken, "a, b??x: y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.acl.Groups = []string{"a", "b"}
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {{ID: "acl", ACL: &tt.acl}}})
			r := &run{engine: e, bundle: e.bundle, route: e.bundle.Routes["r"], now: start, who: tt.who}
			s := r.chain()
			if tt.want != reason.Allowed {
				body := forbidden
				if tt.want == reason.CredentialMissing {
					body = unknown
				}
				if s.Kind != Deny || s.Reason != tt.want || s.Response.Status != tt.want.Status() || s.Response.Body != body || s.Plugin != "acl" {
					t.Errorf("%+v", s)
				}
				return
			}
			if s.Kind != Allow {
				t.Fatalf("%v", s.Reason)
			}
			for _, name := range []string{consumer, byToken} {
				got := ""
				for _, h := range s.Edits.Set {
					if h.Key == name {
						got = h.Value
					}
				}
				if want := map[bool]string{true: tt.value}[name == tt.header]; got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestGroupsOfATokenForACL: the groups come from the claim that is configured, and
// what a caller sends as groups is removed.
func TestGroupsOfATokenForACL(t *testing.T) {
	with := func(claim ...string) []*bundle.Plugin {
		p := oidcPlugin("a", headerOnly, rsaKey("k"))
		p.OIDC.Identity.GroupsClaim = claim
		return []*bundle.Plugin{p, {ID: "acl", ACL: &bundle.ACL{Groups: []string{"gold"}}}}
	}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"words": with("scope"), "nested": with("realm_access", "roles"), "none": with(),
	})
	token := withToken(issued(`,"scope":"openid gold","realm_access":{"roles":["silver","gold"]}`))
	poor := withToken(issued(`,"scope":"golden gol d","realm_access":{"roles":[["gold"],{"gold":1},1]}`))
	for route, want := range map[string]string{"words": "openid, gold", "nested": "silver, gold"} {
		for range 3 { // from the cache too
			s := ask(e, start, route, token, abi.Pair{Key: "x-authenticated-groups", Value: "root"}, abi.Pair{Key: "x_consumer_groups", Value: "root"})
			got := ""
			for _, h := range s.Edits.Set {
				if h.Key == "x-authenticated-groups" {
					got = h.Value
				}
			}
			if s.Kind != Allow || got != want || len(s.Edits.Remove) != 2 {
				t.Errorf("%s: %v, groups %q, removed %q", route, s.Reason, got, s.Edits.Remove)
			}
			if s := ask(e, start, route, poor); s.Reason != reason.GroupRefused || s.Response.Status != 403 {
				t.Errorf("%s: a token without the group: %v", route, s.Reason)
			}
		}
	}
	if s := ask(e, start, "none", token); s.Reason != reason.GroupRefused {
		t.Errorf("without a claim for groups: %v", s.Reason)
	}
}

// TestGroupsAreWhole: the elements of a list are not taken apart. A word of a group's
// name lets nobody pass, and a name of several words is found by deny.
func TestGroupsAreWhole(t *testing.T) {
	with := func(c bundle.ACL) []*bundle.Plugin {
		p := oidcPlugin("a", headerOnly, rsaKey("k"))
		p.OIDC.Identity.GroupsClaim = []string{"groups"}
		return []*bundle.Plugin{p, {ID: "acl", ACL: &c}}
	}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"allow": with(bundle.ACL{Groups: []string{"gold", "Domain Admins", "100"}}),
		"deny":  with(bundle.ACL{Groups: []string{"gold", "Domain Admins", "100"}, Deny: true}),
	})
	for claim, member := range map[string]bool{
		`["gold"]`: true, `"gold"`: true, `"silver gold"`: true, `["x","Domain Admins"]`: true, `[100]`: true,
		`["team gold"]`: false, `["Domain","Admins"]`: false, `["gold "]`: false, `"golden"`: false, `[1000]`: false,
	} {
		token := withToken(issued(`,"groups":` + claim))
		for route, passes := range map[string]bool{"allow": member, "deny": !member} {
			if s := ask(e, start, route, token); (s.Kind == Allow) != passes {
				t.Errorf("%s %s: %v", route, claim, s.Reason)
			}
		}
	}
	// What is no list of groups is none: without a consumer nobody passes, by deny either.
	for _, claim := range []string{`[]`, `""`, `null`, `{"gold":1}`, `[["gold"]]`, `1`} {
		for _, route := range []string{"allow", "deny"} {
			if s := ask(e, start, route, withToken(issued(`,"groups":`+claim))); s.Reason != reason.GroupRefused {
				t.Errorf("%s %s: %v", route, claim, s.Reason)
			}
		}
	}
}

// TestRefusedByGroupsKeepsTheSession: a session that was renewed for a request reaches
// the browser though acl refuses the request.
func TestRefusedByGroupsKeepsTheSession(t *testing.T) {
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"r": {sessionPlugin("a"), {ID: "acl", ACL: &bundle.ACL{Groups: []string{"gold"}}}},
	})
	s := opened(t, e, start, "r", sessionAnswer("alice"), sealed("x"))
	var got []string
	for _, h := range s.Response.Headers {
		if h.Key == "set-cookie" {
			got = append(got, h.Value)
		}
	}
	if want := []string{"session=new; Path=/", "session_2=; Max-Age=0"}; s.Reason != reason.GroupRefused || !slices.Equal(got, want) {
		t.Errorf("%v with %q, want %q", s.Reason, got, want)
	}
}
