package declarative

import (
	"slices"
	"strings"
	"testing"
)

const groupsFile = `
_format_version: "3.0"
services:
- name: s
  url: http://10.0.0.1
  routes:
  - {name: guarded, paths: [/guarded]}
  - name: alone
    paths: [/alone]
plugins:
- {name: jwt, route: guarded}
- {name: acl, route: guarded, config: {allow: [gold, silver], hide_groups_header: true, always_use_authenticated_groups: true, include_consumer_groups: false}}
- {name: acl, route: alone, config: {deny: [bad]}}
consumers:
- {username: alice, acls: [{group: gold, tags: [t]}, {group: gold}, {group: silver}]}
- {username: bob}
acls:
- {group: bronze, consumer: bob}
- {group: gold, consumer: {username: bob}}
`

func TestGroups(t *testing.T) {
	f, problems := Parse("kong.yml", []byte(groupsFile), Options{})
	if f == nil {
		t.Fatal(problems)
	}
	for name, want := range map[string][]string{"alice": {"gold", "silver"}, "bob": {"bronze", "gold"}} {
		if got := f.ConsumerBy(name).Groups; !slices.Equal(got, want) {
			t.Errorf("%s is in %q, want %q", name, got, want)
		}
	}
	chain := f.Chain(f.Routes[0])
	if len(chain) != 2 || chain[0].JWT == nil || chain[1].ACL == nil {
		t.Fatalf("the chain is %+v: acl runs after authentication", chain)
	}
	if a := chain[1].ACL; !slices.Equal(a.Allow, []string{"gold", "silver"}) || len(a.Deny) > 0 || !a.HideGroupsHeader || !a.AuthenticatedGroups {
		t.Errorf("%+v", a)
	}
	if a := f.Chain(f.Routes[1])[0].ACL; len(a.Allow) > 0 || !slices.Equal(a.Deny, []string{"bad"}) || a.HideGroupsHeader || a.AuthenticatedGroups {
		t.Errorf("%+v", a)
	}
	text := ""
	for _, p := range problems {
		text += p.String() + "\n"
	}
	if want := "kong.yml:13: warning: plugins[2]: acl has no authentication plugin before it on the route of line 8: every request there is answered 401; put an authentication plugin on the route, or take acl off it [acl-alone]"; strings.Count(text, "acl has no") != 1 || !strings.Contains(text, want) {
		t.Errorf("warnings:\n%swant\n%s", text, want)
	}
}

func TestRefusedGroups(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"acls:\n- {group: g}", "3: acls[0]: has no consumer"},
		{"acls:\n- {consumer: u}\nconsumers: [{username: u}]", "3: acls[0]: has no group"},
		{"acls:\n- {group: g, consumer: nobody}", `3: acls[0].consumer: refers to "nobody", which is not among the consumers`},
		{"consumers:\n- {username: u, acls: [{group: g, consumer: u}]}", "3: consumers[0].acls[0].consumer: unknown field"},
	} {
		f, problems := Parse("kong.yml", []byte("_format_version: '3.0'\n"+tt.src), Options{})
		if f != nil || !strings.HasPrefix(problems.Errors()[0].String(), "kong.yml:"+tt.want) {
			t.Errorf("%s: %v", tt.src, problems)
		}
	}
}
