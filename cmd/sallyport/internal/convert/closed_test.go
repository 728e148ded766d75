package convert

import (
	"slices"
	"strings"
	"testing"
)

// open lists the routes that let a request through which nothing authenticates.
func open(t *testing.T, r *Result) (names []string) {
	f := r.parsed(t)
	for _, route := range f.Routes {
		if len(f.Chain(route)) == 0 {
			names = append(names, route.Name)
		}
	}
	return names
}

const head = "_format_version: \"3.0\"\n"

// A guard that cannot be converted: its routes refuse everything, or there is no file.
func TestGuardsAreNotLost(t *testing.T) {
	const publicAnd = head + `services:
- name: s
  url: http://s.internal
  routes:
  - {name: public, paths: [/]}
  - name: guarded
`
	for _, test := range []struct {
		name, file string
		closed     string // routes, spaces between them
		open       string
		refused    string // or why there is no file
	}{
		{"a plugin of a route", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction}]\n", "guarded", "public", ""},
		{"one that is not known", publicAnd + "    paths: [/admin]\n    plugins: [{name: our-own}]\n", "guarded", "public", ""},
		{"one without a name", publicAnd + "    paths: [/admin]\n    plugins: [{config: {}}]\n", "guarded", "public", ""},
		{"a field that is misspelt", publicAnd + "    paths: [/admin]\n    plugins: [{name: jwt, config: {claim_to_verify: [exp]}}]\n", "guarded", "public", ""},
		{"a plugin that is off", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction, enabled: false}]\n", "", "public guarded", ""},
		{"one that guards nothing", publicAnd + "    paths: [/admin]\n    plugins: [{name: cors}]\n", "", "public guarded", ""},
		{"beside an acl of the same route", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction}, {name: acl, config: {allow: [a]}}]\n", "guarded", "public", ""},
		{"bound by name", publicAnd + "    paths: [/admin]\nplugins: [{name: ip-restriction, route: guarded}]\n", "guarded", "public", ""},
		{"bound to both", publicAnd + "    paths: [/admin]\nplugins: [{name: ip-restriction, route: guarded, service: s}]\n", "guarded", "public", ""},
		{"an acl of route and service would be nearer", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction}]\n" +
			"plugins: [{name: acl, route: guarded, service: s, config: {deny: [x]}}]\n", "guarded", "public", ""},
		{"an acl of the service that names the route would be nearer", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction}]\n" +
			"  plugins: [{name: acl, route: guarded, config: {deny: [x]}}]\n", "guarded", "public", ""},
		{"somebody has the group", publicAnd + "    paths: [/admin]\n    plugins: [{name: ip-restriction}]\nconsumers: [{username: a, acls: [{group: nobody-may-pass}]}]\n",
			"", "", "which nobody may have"},
		{"bound to the service", publicAnd + "    paths: [/admin]\n  plugins: [{name: ip-restriction}]\n", "public guarded", "", ""},
		{"bound to the service by name", publicAnd + "    paths: [/admin]\nplugins: [{name: ip-restriction, service: {name: s}}]\n", "public guarded", "", ""},
		{"application-registration behind a guard that is left out", publicAnd + "    paths: [/admin]\n    plugins: [{name: hmac-auth}]\n" +
			"  plugins: [{name: application-registration, config: {display_name: S}}]\n", "public guarded", "", ""},
		{"bound to everything", publicAnd + "    paths: [/admin]\nplugins: [{name: ip-restriction}]\n", "", "", "guards everything"},
		{"bound to what is not there", publicAnd + "    paths: [/admin]\nplugins: [{name: jwt, route: nowhere}]\n", "", "", "not among the inputs"},
		{"bound to a consumer", publicAnd + "    paths: [/admin]\nconsumers: [{username: a, plugins: [{name: request-termination}]}]\n", "", "", "guards a consumer"},
		{"bound to a consumer by name", publicAnd + "    paths: [/admin]\nconsumers: [{username: a}]\nplugins: [{name: acl, consumer: a, config: {allow: [b]}}]\n", "", "", "guards a consumer"},
		{"bound to a group", publicAnd + "    paths: [/admin]\nconsumer_groups: [{name: g, plugins: [{name: request-termination}]}]\n", "", "", "guards a consumer group"},
		{"a wasm filter", publicAnd + "    paths: [/admin]\nfilter_chains: [{filters: [{name: f}]}]\n", "", "", "filter_chains"},
		{"a collection that is misspelt", publicAnd + "    paths: [/admin]\nplugin: [{name: jwt, route: guarded}]\n", "", "", "unknown field"},
		{"no service to go to", publicAnd + "    paths: [/admin]\n- {name: t, url: 'tcp://x', routes: [{name: lost, paths: [/lost], plugins: [{name: jwt}]}]}\n", "lost", "public guarded", ""},
		{"no upstream to go to", publicAnd + "    paths: [/admin]\n- {name: t, host: pool, routes: [{name: lost, paths: [/lost]}]}\nupstreams: [{name: pool}]\n", "lost", "public guarded", ""},
		{"the anonymous consumer is not there", publicAnd + "    paths: [/admin]\n    plugins: [{name: jwt, config: {anonymous: nobody}}]\n", "guarded", "public", ""},
		{"a vault that is not there", publicAnd + "    paths: [/admin]\n    plugins: [{name: openid-connect, config: {issuer: '{vault://aws/issuer}'}}]\n", "guarded", "public", ""},

		{"a switch that is a reference", publicAnd + "    paths: [/admin]\n    plugins: [{name: jwt, config: {run_on_preflight: '{vault://env/X}'}}]\n", "guarded", "public", ""},
		{"bound by a reference", publicAnd + "    paths: [/admin]\nplugins: [{name: jwt, route: '{vault://env/X}'}]\n", "", "", "not among the inputs"},

		{"a guarded route that cannot be told, beside an open one", publicAnd + "    paths: ['~/(?=admin)']\n    plugins: [{name: jwt}]\n", "", "", "its requests might reach route public"},
		{"by a field that is not there", publicAnd + "    paths: [/admin]\n    snis: [a.example]\n    plugins: [{name: jwt}]\n", "", "", "its requests might reach route public"},
		{"guarded by its service", publicAnd + "    paths: ['~/(?=admin)']\n  plugins: [{name: jwt}]\n", "", "", "its requests might reach route public"},
		{"guarded by one that cannot be converted", publicAnd + "    paths: ['~/(?=admin)']\n    plugins: [{name: ip-restriction}]\n", "", "", "its requests might reach route public"},
		{"not guarded", publicAnd + "    paths: ['~/(?=admin)']\n", "", "public", ""},
		{"apart by host", head + `services:
- {name: s, host: s.internal, routes: [{name: a, hosts: [a.example]}, {name: b, hosts: [b.example], snis: [x], plugins: [{name: jwt}]}]}
`, "", "a", ""},
		{"apart by path", head + `services:
- {name: s, host: s.internal, routes: [{name: a, paths: [/a]}, {name: b, paths: [/b], snis: [x], plugins: [{name: jwt}]}]}
`, "", "a", ""},
		{"apart by method", head + `services:
- {name: s, host: s.internal, routes: [{name: a, methods: [GET]}, {name: b, methods: [POST], snis: [x], plugins: [{name: jwt}]}]}
`, "", "a", ""},
		{"a wildcard", head + `services:
- {name: s, host: s.internal, routes: [{name: a, hosts: ['*.example']}, {name: b, hosts: [b.example], snis: [x], plugins: [{name: jwt}]}]}
`, "", "", "its requests might reach route a"},
		{"beside one that refuses everything", head + `services:
- {name: s, host: s.internal, routes: [{name: a, paths: [/], plugins: [{name: ip-restriction}]}, {name: b, paths: [/b], snis: [x], plugins: [{name: jwt}]}]}
`, "a", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := from(test.file)
			if test.refused != "" {
				if r.File != nil || !strings.Contains(r.said(), test.refused) {
					t.Fatalf("want a refusal with %q, got\n%s\n%s", test.refused, r.said(), r.File)
				}
				return
			}
			if r.File == nil {
				t.Fatalf("refused:\n%s", r.said())
			}
			if got := open(t, r); !slices.Equal(got, strings.Fields(test.open)) {
				t.Errorf("open are %q, want %q\n%s", got, test.open, r.File)
			}
			f := r.parsed(t)
			var closed []string
			for _, route := range f.Routes {
				chain := f.Chain(route)
				if len(chain) > 0 && chain[len(chain)-1].ACL != nil && slices.Equal(chain[len(chain)-1].ACL.Allow, []string{nobody}) {
					closed = append(closed, route.Name)
				}
			}
			if !slices.Equal(closed, strings.Fields(test.closed)) {
				t.Errorf("closed are %q, want %q\n%s", closed, test.closed, r.File)
			}
			if r.Complete() && test.name != "a plugin that is off" {
				t.Errorf("it is taken for complete: %s", r.said())
			}
		})
	}
}

// The people who are left out cannot come in by what is left of them.
func TestConsumersAreLeftOutWhole(t *testing.T) {
	r := from(head + `consumers:
- {username: alice, jwt_secrets: [{key: a}]}
- {username: bob, acls: [{group: "x,y"}]}
- {username: carol}
jwt_secrets: [{consumer: bob, key: b}, {consumer: carol, key: c}]
acls: [{consumer: carol, group: ""}]
`)
	f := r.parsed(t)
	if len(f.Consumers) != 1 || f.Consumers[0].Username != "alice" || len(f.JWTSecrets) != 1 {
		t.Errorf("%d consumers with %d credentials\n%s", len(f.Consumers), len(f.JWTSecrets), r.File)
	}
}

// No note holds a secret, whatever is wrong with it.
func TestNoSecretInNotes(t *testing.T) {
	for name, src := range map[string]string{
		"a number":    head + "services: [{name: s, host: h, routes: [{name: r, paths: [/], plugins: [{name: openid-connect, config: {issuer: 'https://x', client_id: a, client_secret: 48151623}}]}]}]\n",
		"a key":       head + "consumers: [{username: a, jwt_secrets: [{key: 48151623}]}, {username: b, keyauth_credentials: [{key: 48151623}]}]\n",
		"a call":      "http -f POST :8001/consumers username=a\nhttp -f POST :8001/consumers/a/jwt secret=48151623 algorithm=48151623\n",
		"a Secret":    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: '48151623', algorithm: '48151623'}\n---\napiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {name: a}\nusername: a\ncredentials: [s]\n",
		"an anchor":   head + "consumers: [{username: a, jwt_secrets: [{key: *48151623}]}]\n",
		"in Kong's":   head + "hmacauth_credentials: [{username: a, secret: 48151623}]\n",
		"in a script": "curl -d 'secret=48151623\n",
	} {
		if said := from(src).said(); strings.Contains(said, "48151623") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// Bounds: nothing that is small becomes large.
func TestBounds(t *testing.T) {
	bomb := "_format_version: '3.0'\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	for name, src := range map[string]string{
		"aliases":   bomb,
		"a loop":    "_format_version: '3.0'\nservices: &s [*s]\n",
		"merges":    "_format_version: '3.0'\nservices: [&s {<<: *s, name: x}]\n",
		"deep":      "_format_version: '3.0'\nservices: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n",
		"too large": "_format_version: '3.0'\n#" + strings.Repeat("x", MaxInput),
		"twice":     "_format_version: '3.0'\nservices: []\nservices: []\n",
		"empty":     "",
		"no format": "hello: world\n",
		"binary":    "\x00\x01\x02",
	} {
		if r := from(src); r.File != nil || len(r.Notes) == 0 {
			t.Errorf("%s: is converted", name)
		}
	}
}

// What an input calls things is not taken for a note of ours.
func TestNotesAreLines(t *testing.T) {
	r := from("apiVersion: v1\nkind: Ingress\nmetadata: {name: \"a\\nkong.yml: nothing\", namespace: n}\n")
	if strings.Count(r.said(), "\n") != len(r.Notes) || len(r.Notes) == 0 {
		t.Errorf("%q", r.said())
	}
	many := head + "plugins: [" + strings.Repeat("{name: cors},", 3000) + "{name: jwt, route: nowhere}]\n"
	if r := from(many); r.File != nil || !strings.Contains(r.said(), ": refused: ") {
		t.Errorf("%d notes, and no reason", len(r.Notes))
	}
}

// Several inputs are one file.
func TestInputsTogether(t *testing.T) {
	r := Convert([]Input{
		{"a.yml", []byte(head + "services: [{name: a, host: a.internal, routes: [{name: a, paths: [/a]}]}]\n")},
		{"b.yml", []byte("_format_version: '1.1'\nservices: [{name: b, host: b.internal, routes: [{name: b, paths: ['/b(1|2)']}]}]\n")},
		{"c.sh", []byte("http -f :8001/routes/a/plugins name=jwt\n")},
	}, options)
	f := r.parsed(t)
	if len(f.Services) != 2 || len(f.Routes) != 2 || len(f.Chain(f.Routes[0])) != 1 || f.Routes[1].Paths[0].String() != "~/b(1|2)" {
		t.Errorf("%s\n%s", r.File, r.said())
	}
	for _, second := range []string{"services: [{name: a, host: other}]\n", "_transform: false\n", "_plugin_configs: {x: {}}\n"} {
		r := Convert([]Input{
			{"a.yml", []byte(head + "_transform: true\n_plugin_configs: {y: {}}\nservices: [{name: a, host: a.internal}]\n")},
			{"b.yml", []byte(head + second)},
		}, options)
		if r.File != nil {
			t.Errorf("%s: converted to\n%s", second, r.File)
		}
	}
}

// TestKongsTokens: a method that only lets more in does not close a route, unless there is
// no other.
func TestKongsTokens(t *testing.T) {
	const head = "_format_version: '3.0'\nservices:\n- name: s\n  url: http://h\n  routes:\n  - name: r\n    paths: [/]\n    plugins:\n" +
		"    - {name: openid-connect, config: {issuer: 'https://i', audience: [a], auth_methods: "
	r := from(head + "[kong_oauth2, bearer]}}\n")
	if r.said() != "in:9: left out: kong_oauth2 of plugin openid-connect: those tokens are in Kong's database: whoever has nothing else gets 401\n" {
		t.Error(r.said())
	}
	if f := r.parsed(t); len(f.Plugins) != 1 || f.Plugins[0].OIDC == nil {
		t.Errorf("got\n%s", r.File)
	}
	if r := from(head + "[kong_oauth2]}}\n"); !strings.Contains(r.said(), "closed: route r: ") {
		t.Error(r.said())
	}
}

// TestClosedBeside: what stands beside the guard that could not be converted is kept, or
// said to be left out.
func TestClosedBeside(t *testing.T) {
	r := from("_format_version: '3.0'\nservices:\n- name: s\n  url: http://h\n  routes:\n  - name: r\n    paths: [/]\n    plugins:\n" +
		"    - {name: jwt, config: {claims_to_verify: [exp]}}\n    - {name: acl, config: {allow: [g]}}\n    - {name: ip-restriction}\n")
	if !strings.Contains(r.said(), "in:10: left out: plugin acl of route r: the one that refuses everything is in its place\n") || len(r.parsed(t).Plugins) != 2 {
		t.Errorf("got\n%s\n%s", r.File, r.said())
	}
	r = from(ingress(`konghq.com/override: x, konghq.com/plugins: "tokens, nowhere"`, "/p", "Prefix") + plugin)
	for _, want := range []string{
		"closed: route n.i.s.a.example.80: Ingress n/i has the annotation konghq.com/override, which may be meant to guard it\n",
		"left out: plugin nowhere of route n.i.s.a.example.80: Ingress n/i: the plugin nowhere is not among the inputs\n",
	} {
		if !strings.Contains(r.said(), want) {
			t.Errorf("not said: %s\n%s", want, r.said())
		}
	}
	if f := r.parsed(t); len(f.Plugins) != 2 || f.Plugins[0].ACL == nil || f.Plugins[1].JWT == nil {
		t.Errorf("got\n%s", r.File)
	}
}
