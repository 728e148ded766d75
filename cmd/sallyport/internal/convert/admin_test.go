package convert

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// What a body says, by curl and by http, as Kong takes it.
func TestBodies(t *testing.T) {
	const want = "config: {scopes_required: [a, b], ssl_verify: false, leeway: 3, issuer: https://x}"
	for _, line := range []string{
		"http -f POST :8001/plugins name=openid-connect config.scopes_required[]=a config.scopes_required[]=b config.ssl_verify=false config.leeway=3 config.issuer=https://x",
		"http -f :8001/plugins name=openid-connect config.scopes_required[1]=a config.scopes_required[2]=b config.ssl_verify=false config.leeway=3 config.issuer=https://x",
		"http --form :8001/plugins name=openid-connect config.scopes_required=a config.scopes_required=b config.ssl_verify=false config.leeway=3 config.issuer=https://x",
		`http :8001/plugins name=openid-connect config:='{"scopes_required": ["a", "b"], "ssl_verify": false, "leeway": 3, "issuer": "https://x"}'`,
		"curl -d name=openid-connect -d 'config.scopes_required[]=a' -d 'config.scopes_required[]=b' -d config.ssl_verify=false -d config.leeway=3 -d config.issuer=https://x localhost:8001/plugins",
		"curl http://localhost:8001/plugins -d 'name=openid-connect&config%5Bscopes_required%5D%5B%5D=a&config.scopes_required[]=b&config.ssl_verify=false&config.leeway=3&config.issuer=https%3A%2F%2Fx'",
		"curl -XPOST localhost:8001/plugins -F name=openid-connect -F config.scopes_required[]=a -F config.scopes_required[]=b -F config.ssl_verify=false -F config.leeway=3 -F config.issuer=https://x",
		`curl -sS --json '{"name": "openid-connect", "config": {"scopes_required": ["a", "b"], "ssl_verify": false, "leeway": 3, "issuer": "https://x"}}' --url localhost:8001/plugins`,
		"curl -s -X POST \"http://localhost:8001/plugins\" \\\n  --data \"name=openid-connect\" --data-urlencode config.scopes_required[]=a --data-urlencode 'config.scopes_required[]=b' \\\n -d config.ssl_verify=false -d config.leeway=3 -d config.issuer=https://x",
	} {
		r := from(line)
		var file struct{ Plugins []struct{ Config yaml.Node } }
		if err := yaml.Unmarshal(r.File, &file); err != nil || len(file.Plugins) != 1 {
			t.Errorf("%s: %v\n%s", line, err, r.said())
			continue
		}
		got := &file.Plugins[0].Config
		for key, tag := range map[string]string{"scopes_required": "!!seq", "ssl_verify": "!!bool", "leeway": "!!int", "issuer": "!!str"} {
			if n := get(got, key); n == nil || n.Tag != tag {
				t.Errorf("%s: %s is not %s, want %s\n%s", line, key, tag, want, r.File)
			}
		}
		if w := words(get(got, "scopes_required")); strings.Join(w, " ") != "a b" {
			t.Errorf("%s: scopes_required are %q", line, w)
		}
	}
}

// Types are the schema's: what is not known stays a text, and so does what is no number.
func TestCoercion(t *testing.T) {
	for _, test := range []struct{ kind, name, value, want string }{
		{"route", "strip_path", "false", "!!bool"},
		{"route", "strip_path", "no", "!!str"},
		{"route", "regex_priority", "3", "!!int"},
		{"route", "regex_priority", "3x", "!!str"},
		{"route", "paths", "/a,/b", "!!seq"},
		{"route", "methods", "GET,POST", "!!seq"},
		{"route", "name", "true", "!!str"},
		{"consumer", "custom_id", "4711", "!!str"},
		{"credential", "ttl", "60", "!!int"},
		{"route", "path_handling", "", "!!null"},
	} {
		e, err := body(test.kind, []field{{name: test.name, text: test.value}})
		if err != nil {
			t.Fatal(err)
		}
		if got := get(e, test.name).Tag; got != test.want {
			t.Errorf("%s.%s=%s is %s, want %s", test.kind, test.name, test.value, got, test.want)
		}
	}
	e, _ := body("route", []field{{name: "paths", text: "/a,/b"}, {name: "methods", text: "GET, POST"}})
	if p, m := words(get(e, "paths")), words(get(e, "methods")); len(p) != 1 || len(m) != 2 {
		t.Errorf("paths %q, methods %q: only what has no commas is parted by them", p, m)
	}
}

// A form can say every field that is read: one of these texts comes out as what the
// parser wants, for each field of the page that lists them.
func TestFormsSayEveryField(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/kong-fields.md")
	if err != nil {
		t.Fatal(err)
	}
	plugin, checked := "", 0
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			plugin = strings.TrimSpace(name)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") || strings.HasPrefix(cells[2], " refused") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		if strings.ContainsAny(name, " (") || slices.Contains([]string{"upstream_headers", "downstream_headers", "upstream_claims", "consumer_claims", "claims_required"}, name) {
			continue // records, and lists of them
		}
		checked++
		fits := slices.ContainsFunc([]string{"true", "100", "x"}, func(value string) bool {
			e, err := body("plugin", []field{{name: "name", text: plugin}, {name: "config." + name, text: value}})
			if err != nil {
				t.Fatal(err)
			}
			d := newDraft(options)
			set(d.root, "_format_version", text("3.0"))
			push(d.root, "plugins", e)
			src, err := d.encode()
			if err != nil {
				t.Fatal(err)
			}
			_, problems := parse(src, true)
			return !slices.ContainsFunc(problems, func(p declarative.Problem) bool {
				return strings.HasPrefix(p.Path, "plugins[0].config."+name) &&
					(strings.Contains(p.Text, "expected a list") || strings.Contains(p.Text, "expected true or false") ||
						strings.Contains(p.Text, "expected an integer") || strings.Contains(p.Text, "expected a string") || strings.Contains(p.Text, "expected a mapping"))
			})
		})
		if !fits {
			t.Errorf("%s.%s has another type", plugin, name)
		}
	}
	if checked < 100 {
		t.Errorf("only %d fields", checked)
	}
}

// Variables in what has no part in a call are no matter: in its address, in headers with
// a token.
func TestVariablesBesideACall(t *testing.T) {
	const before = "curl -d name=s -d url=http://s.internal http://$HOST:$PORT/services\n"
	for _, line := range []string{
		"curl -H \"Kong-Admin-Token: $TOKEN\" -d paths=/r -d name=r $ADMIN/services/s/routes",
		"curl -u \"kong:$PASSWORD\" -d paths=/r -d name=r --url \"https://${HOST}:8444/services/s/routes\"",
		"curl -H 'Content-Type: application/json' -H \"X: a$B\" -d '{\"paths\": [\"/r\"], \"name\": \"r\"}' http://a$B.example/services/s/routes",
		"http -f POST $HOST:8001/services/s/routes \"Kong-Admin-Token:$TOKEN\" paths=/r name=r",
		"http -f POST :$PORT/services/s/routes paths=/r name=r",
	} {
		r := from(before + line + "\n")
		if !r.Complete() || r.said() != "" || len(r.parsed(t).Routes) != 1 {
			t.Errorf("%s: got\n%s\n%s", line, r.File, r.said())
		}
	}
}

// Calls that cannot be told are refused: one of them might have set a guard.
func TestCallsThatCannotBeTold(t *testing.T) {
	const before = "http -f POST :8001/services name=s url=http://s.internal\nhttp -f POST :8001/services/s/routes name=r paths=/r\n"
	for line, want := range map[string]string{
		"for r in a b; do curl -d name=jwt localhost:8001/routes/$r/plugins; done":    "written out|write each call out",
		"curl -d name=jwt localhost:8001/routes/$(id)/plugins":                        "only a shell can tell",
		"curl -d name=jwt localhost:8001/routes/`id`/plugins":                         "two URLs",
		"curl -d @plugin.json localhost:8001/routes/r/plugins":                        "in a file",
		"curl -F config=@x localhost:8001/routes/r/plugins":                           "in a file",
		"http POST :8001/routes/r/plugins name=@x":                                    "in a file",
		"http POST :8001/routes/r/plugins < plugin.json":                              "no item",
		"echo '{\"name\": \"jwt\"}' | http :8001/routes/r/plugins":                    "from another command",
		"echo r | xargs curl -d name=jwt localhost:8001/plugins":                      "shell's language",
		"curl --what -d name=jwt localhost:8001/routes/r/plugins":                     "is not known here",
		"http -f POST :8001/routes/other/plugins name=jwt":                            "not among the inputs",
		"http -f PATCH :8001/plugins/4d0c3a8e-0000-4000-8000-000000000000 config.x=y": "not among the inputs",
		"http -f POST :8001/consumer_groups name=g":                                   "may set a guard",
		"http -f POST :8001/config config=x":                                          "may set a guard",
		"http -f POST :8001/routes/r/plugins":                                         "",
		"http -f POST :8001/routes/r/plugins name=jwt config.x=y config.x.z=1":        "contradicts",
		"http -f POST :8001/routes/r/plugins name=jwt config.realm=$A/$B":             "only a shell can tell",
		"http -f POST :8001/routes/r/plugins name=jwt config.realm=$A/b":              "write it out",
		"http -f POST :8001/routes/r/plugins 'name=jwt":                               "a quote is not closed",
		"curl -X PATCH -d url=http://$UPSTREAM/base localhost:8001/services/s":        "only a shell can tell",
		"http -f PATCH :8001/services/s url=http://$UPSTREAM/base":                    "only a shell can tell",
		"http -f PATCH :8001/services/s url=http://$UPSTREAM":                         "only a shell can tell",
		"curl -d name=jwt localhost:8001/routes/$R/plugins":                           "a variable in the path",
		"curl $OPTIONS -d name=jwt --url localhost:8001/routes/r/plugins":             "two URLs",
		"curl -H \"X: $(cat token)\" -d name=jwt localhost:8001/routes/r/plugins":     "only a shell can tell",
		"curl -H \"Content-Type: a/$T\" -d name=jwt localhost:8001/routes/r/plugins":  "only a shell can tell",
	} {
		r := from(before + line)
		if want == "" {
			if got := open(t, r); len(got) > 0 {
				t.Errorf("%s: %q are open", line, got)
			}
			continue
		}
		ok := false
		for part := range strings.SplitSeq(want, "|") {
			ok = ok || strings.Contains(r.said(), part)
		}
		if r.File != nil || !ok {
			t.Errorf("%s: got\n%s\n%s\nwant a refusal with %q", line, r.File, r.said(), want)
		}
	}
	r := from(before + "./more.sh\n")
	if r.Complete() || !strings.Contains(r.said(), "in:3: left out: is no call") {
		t.Errorf("another script is passed over: %s", r.said())
	}
}

// Calls change and delete what earlier ones have made.
func TestCallsOneAfterTheOther(t *testing.T) {
	r := from(`http -f PUT :8001/services/s url=http://s.internal
http -f PUT :8001/services/s/routes/r paths=/r
http -f PUT :8001/routes/r/plugins/4d0c3a8e-0000-4000-8000-000000000000 name=jwt config.realm=a config.key_claim_name=kid
http -f PATCH :8001/plugins/4d0c3a8e-0000-4000-8000-000000000000 config.realm=b
http -f POST :8001/routes name=t paths=/t service.name=s
http -f POST :8001/plugins name=acl route.name=t config.allow=a
http -f PUT :8001/consumers/alice custom_id=7
http -f POST :8001/key-auths consumer.username=alice key=k
http -f POST :8001/consumers/bob/acls group=x
`)
	if !strings.Contains(r.said(), "in:9: refused: POST /consumers/bob/acls: consumer bob is not among the inputs") {
		t.Errorf("%s", r.said())
	}
	r = from(`http -f PUT :8001/services/s url=http://s.internal
http -f PUT :8001/services/s/routes/r paths=/r
http -f PUT :8001/routes/r/plugins/4d0c3a8e-0000-4000-8000-000000000000 name=jwt config.realm=a config.key_claim_name=kid
http -f PATCH :8001/plugins/4d0c3a8e-0000-4000-8000-000000000000 config.realm=b
http -f POST :8001/routes name=t paths=/t service.name=s
http -f POST :8001/plugins name=acl route.name=t config.allow=a
http -f POST :8001/routes name=u paths=/u service.name=s
http DELETE :8001/routes/u
http DELETE :8001/plugins/00000000-0000-4000-8000-000000000000
`)
	f := r.parsed(t)
	if len(f.Routes) != 2 || len(f.Plugins) != 2 {
		t.Fatalf("%d routes, %d plugins\n%s", len(f.Routes), len(f.Plugins), r.File)
	}
	jwt := f.Chain(f.Routes[0])[0].JWT
	if jwt == nil || jwt.Realm != "b" || jwt.KeyClaimName != "kid" || f.Chain(f.Routes[1])[0].ACL == nil {
		t.Errorf("%s", r.File)
	}
	if !strings.Contains(r.said(), "whichever it is stays") {
		t.Errorf("%s", r.said())
	}
}
