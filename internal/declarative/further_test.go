package declarative

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Ids of further entities.
const (
	serviceID = "11111111-1111-4111-8111-111111111111"
	routeID   = "22222222-2222-4222-8222-222222222222"
	pluginID  = "33333333-3333-4333-8333-333333333333"
)

const besideFile = `
_format_version: "1.1"
services:
- name: orders
  host: orders.internal
  tags: [mine, yours]
  routes:
  - {name: orders, paths: [/orders]}
  plugins:
  - {name: jwt}
`

func further(kind, id, json string) Further { return Further{kind, id, []byte(json)} }

func beside(t testing.TB, src string, list ...Further) (*File, Problems) {
	t.Helper()
	return Parse("kong.yml", []byte(src), Options{Env: func(string) (string, bool) { return "leaked", true }, ReadFile: noFile, Installation: derive, Further: list})
}

func TestFurtherEntities(t *testing.T) {
	list := []Further{
		further("services", serviceID, `{"id":"`+serviceID+`","name":"users","host":"users.internal","tags":["a"],"created_at":1}`),
		further("routes", routeID, `{"id":"`+routeID+`","name":"users","paths":["/users*"],"service":{"id":"`+serviceID+`"}}`),
		further("plugins", pluginID, `{"id":"`+pluginID+`","name":"key-auth","service":{"name":"orders"},"route":null,"config":{"key_names":["k"]}}`),
	}
	f, problems := beside(t, besideFile, list...)
	if f == nil {
		t.Fatal(problems)
	}
	if len(f.Services) != 2 || len(f.Routes) != 2 || len(f.Plugins) != 2 {
		t.Fatalf("%d services, %d routes, %d plugins", len(f.Services), len(f.Routes), len(f.Plugins))
	}
	s, r, p := f.Services[1], f.Routes[1], f.Plugins[1]
	if s.ID != serviceID || !s.Beside || s.Host != "users.internal" || !reflect.DeepEqual(s.Tags, []string{"a"}) {
		t.Errorf("%+v", s)
	}
	if r.ID != routeID || r.Service != s || !r.Beside {
		t.Errorf("%+v", r)
	}
	if p.ID != pluginID || p.Service != f.Services[0] || p.KeyAuth == nil {
		t.Errorf("%+v", p)
	}
	if f.Services[0].Beside || !reflect.DeepEqual(f.Services[0].Tags, []string{"mine", "yours"}) {
		t.Errorf("%+v", f.Services[0])
	}
	// The file is for Kong before 3.0, where a path with * is a regular expression; what is
	// beside it is not.
	if r.Paths[0].Regex != nil {
		t.Errorf("%+v is a regular expression", r.Paths[0])
	}
	if chain := f.Chain(f.Routes[0]); len(chain) != 2 {
		t.Errorf("the file's route has %d guards", len(chain))
	}
	alone, _ := beside(t, besideFile)
	again, _ := beside(t, besideFile, list...)
	fewer, _ := beside(t, besideFile, list[:2]...)
	if f.Source == alone.Source || f.Source != again.Source || f.Source == fewer.Source {
		t.Error("the source does not tell configurations apart")
	}
}

func TestFurtherEntitiesAreRefused(t *testing.T) {
	service := func(members string) Further {
		return further("services", serviceID, `{"id":"`+serviceID+`","name":"users",`+members+`}`)
	}
	route := func(members string) Further {
		return further("routes", routeID, `{"id":"`+routeID+`","service":{"name":"orders"},`+members+`}`)
	}
	plugin := func(members string) Further {
		return further("plugins", pluginID, `{"id":"`+pluginID+`",`+members+`}`)
	}
	for name, test := range map[string]struct {
		entity      Further
		field, text string
	}{
		"a bad value":                 {service(`"host":"a b"`), "host", "expected a host name"},
		"an unknown field":            {service(`"host":"h","hots":"h"`), "hots", "unknown field: did you mean host?"},
		"a comment":                   {service(`"host":"h","_comment":"h"`), "_comment", "unknown field"},
		"nested routes":               {service(`"host":"h","routes":[]`), "routes", "unknown field"},
		"nested plugins":              {service(`"host":"h","plugins":[]`), "plugins", "unknown field"},
		"plugins in a route":          {route(`"paths":["/x"],"plugins":[]`), "plugins", "unknown field"},
		"a shared configuration":      {plugin(`"name":"jwt","_config":"x"`), "_config", "unknown field"},
		"a taken name":                {further("services", serviceID, `{"id":"`+serviceID+`","name":"orders","host":"h"}`), "", `"orders" is taken`},
		"a place that is taken":       {plugin(`"name":"jwt","service":{"name":"orders"}`), "", "bound to the same place at line 10"},
		"a list's element":            {route(`"paths":["/x","y"]`), "paths[1]", "leading slash"},
		"a control in a header":       {route(`"paths":["/x"],"headers":{"x":["a\u0000b"]}`), "headers.x[0]", "control character"},
		"a field of a plugin":         {plugin(`"name":"jwt","config":{"key_claim_name":7}`), "config.key_claim_name", "expected a string"},
		"a plugin that does not run":  {plugin(`"name":"cors"`), "", "not supported"},
		"a service that is not there": {further("routes", routeID, `{"id":"`+routeID+`","paths":["/x"],"service":{"id":"`+serviceID+`"}}`), "service", "not among the services"},
		"no object":                   {further("services", serviceID, `[]`), "", "expected a JSON object"},
		"a member twice":              {further("services", serviceID, `{"id":"`+serviceID+`","host":"a","host":"b"}`), "", "expected a JSON object"},
		"another id":                  {further("services", routeID, `{"id":"`+serviceID+`","host":"a"}`), "", "another id"},
		"another kind":                {further("consumers", serviceID, `{}`), "", "expected services"},
		"a variable of the machine":   {plugin(`"name":"jwt","config":{"realm":"{vault://env/SECRET}"}`), "config.realm", "in the declarative file only"},
		"a file of the machine":       {service(`"host":"{vault://file//etc/hostname}"`), "host", "in the declarative file only"},
		"tags that say a query":       {service(`"host":"h","tags":["a,b"]`), "tags[0]", "comma"},
	} {
		t.Run(name, func(t *testing.T) {
			f, problems := beside(t, besideFile, test.entity)
			if f != nil {
				t.Fatal("accepted")
			}
			for _, p := range problems.Errors() {
				entity, field, ok := p.FurtherField()
				if ok && entity == test.entity.Path() && field == test.field && strings.Contains(p.Text, test.text) {
					if strings.Contains(p.Text, "leaked") {
						t.Errorf("shows what the machine has: %s", p)
					}
					return
				}
			}
			t.Errorf("want %s: %s, got\n%v", test.field, test.text, problems)
		})
	}
}

// TestFurtherRouteIsNamed: a finding about a route of the registry does not send anybody to
// a line of the file.
func TestFurtherRouteIsNamed(t *testing.T) {
	f, problems := beside(t, besideFile,
		further("services", serviceID, `{"id":"`+serviceID+`","name":"users","host":"h"}`),
		further("routes", routeID, `{"id":"`+routeID+`","paths":["/users"],"service":{"id":"`+serviceID+`"}}`),
		further("plugins", pluginID, `{"id":"`+pluginID+`","name":"application-registration","service":{"id":"`+serviceID+`"},"config":{"display_name":"U","description":"d"}}`))
	if f != nil {
		t.Fatal("accepted")
	}
	if text := problems.Error(); !strings.Contains(text, "on the route of the registry: expected openid-connect") {
		t.Error(text)
	}
}

// TestConfigIsShownAsWritten: aliases, merges and _config are followed, within bounds.
func TestConfigIsShownAsWritten(t *testing.T) {
	f := read(t, `
_format_version: "3.0"
_plugin_configs:
  shared: {key_claim_name: kid, maximum_expiration: 60}
services:
- name: s
  host: h
  routes: [{name: r, paths: [/]}]
  plugins:
  - name: jwt
    _config: shared
    config: {maximum_expiration: 120, claims_to_verify: [exp], run_on_preflight: false, realm: null}
  - name: key-auth
    config:
      <<: &base {key_in_query: true, key_names: [a]}
      key_names: [b]
`)
	for i, want := range []map[string]any{
		{"key_claim_name": "kid", "maximum_expiration": int64(120), "claims_to_verify": []any{"exp"}, "run_on_preflight": false, "realm": nil},
		{"key_in_query": true, "key_names": []any{"b"}},
	} {
		if got, ok := f.Plugins[i].Config(); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%#v, want %#v", got, want)
		}
	}
}

// TestSecretFieldsAreKnown: whatever the parser reads as a secret below config is in the
// table of what is not shown, and nothing else is.
func TestSecretFieldsAreKnown(t *testing.T) {
	for plugin, rows := range schemas {
		for _, row := range rows {
			p := &parser{options: Options{}.withDefaults(), said: map[Problem]bool{}, file: &File{}}
			v := at{nodeOfJSON(t, `{"`+row.name+`":"x-{{secret}}"}`), "config"}
			switch plugin {
			case "jwt":
				p.jwtConfig(v, v, at{})
			case "openid-connect":
				p.oidcConfig(v, v, at{})
			case "acl":
				p.aclConfig(v, v, at{})
			case "key-auth":
				p.keyAuthConfig(v, v, at{})
			case "basic-auth":
				p.basicAuthConfig(v, v, at{})
			default:
				continue
			}
			if secret := p.secretsRead > 0; secret != SecretField(plugin, row.name) {
				t.Errorf("%s: %s: read as a secret: %v", plugin, row.name, secret)
			}
		}
	}
}

func nodeOfJSON(t testing.TB, src string) *yaml.Node {
	t.Helper()
	doc, err := jsonx.Parse(src, furtherLimits)
	if err != nil {
		t.Fatal(err)
	}
	return nodeOf(doc.Root())
}

// FuzzFurther: no entity crashes the reader, none is read differently the second time, and
// every finding about it says which it is about.
func FuzzFurther(f *testing.F) {
	for _, s := range []string{
		`{"id":"` + serviceID + `","name":"users","host":"h","port":80,"ca_certificates":[{"id":"x"}]}`,
		`{"id":"` + serviceID + `","paths":["~/a(b)"],"headers":{"x":["~*y"]},"service":{"name":"orders"}}`,
		`{"id":"` + serviceID + `","name":"openid-connect","config":{"issuer":"https://i.example","client_id":["a"],"client_secret":["{vault://env/X}"]}}`,
		`{"id":"` + serviceID + `","name":"acl","config":{"allow":[null,{"a":[1.5e3]}]},"route":{"name":"orders"}}`,
	} {
		for _, kind := range []string{"services", "routes", "plugins"} {
			f.Add(kind, s)
		}
	}
	f.Fuzz(func(t *testing.T, kind, src string) {
		if len(src) > 1<<16 {
			return
		}
		e := further(kind, serviceID, src)
		file, problems := beside(t, besideFile, e)
		_, again := beside(t, besideFile, e)
		if !reflect.DeepEqual(problems, again) {
			t.Fatalf("first\n%v\nthen\n%v", problems, again)
		}
		if (file == nil) != (len(problems.Errors()) > 0) {
			t.Fatalf("a file beside errors, or neither: %v", problems)
		}
	})
}
