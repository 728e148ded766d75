package adminform

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// shape writes a value on one line: {a: [x, 1], b: null}, texts in quotes.
func shape(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		members(n, func(key string, value *yaml.Node) { parts = append(parts, key+": "+shape(value)) })
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, e := range n.Content {
			parts = append(parts, shape(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if n.Tag == "!!str" {
		return `"` + n.Value + `"`
	}
	return n.Value
}

func TestForms(t *testing.T) {
	for _, test := range []struct{ kind, form, want, plugin string }{
		{"service", "name=openidconnect&url=http%3A%2F%2Fhttpbin.org%2Fanything", `{name: "openidconnect", url: "http://httpbin.org/anything"}`, ""},
		{"route", "name=r&paths=/oidc", `{name: "r", paths: ["/oidc"]}`, ""},
		{"route", "paths[]=/a&paths[]=/b&methods=GET,POST&strip_path=false", `{paths: ["/a", "/b"], methods: ["GET", "POST"], strip_path: false}`, ""},
		{"route", "paths=/a&paths=/b&paths=/c", `{paths: ["/a", "/b", "/c"]}`, ""},
		{"route", "paths[1]=/a&paths[2]=/b", `{paths: ["/a", "/b"]}`, ""},
		{"route", "headers.x=a&service.id=1", `{headers: {x: ["a"]}, service: {id: "1"}}`, ""},
		{"route", "headers[x-y]=a&service[id]=1", `{headers: {x-y: ["a"]}, service: {id: "1"}}`, ""},
		{"plugin", "name=openid-connect&config.issuer=https://i&config.scopes[]=a&config.ssl_verify=false&config.leeway=5", `{name: "openid-connect", config: {issuer: "https://i", scopes: ["a"], ssl_verify: false, leeway: 5}}`, ""},
		{"plugin", "name=jwt&config.claims_to_verify=exp,nbf", `{name: "jwt", config: {claims_to_verify: ["exp", "nbf"]}}`, ""},
		{"consumer", "username=true&custom_id=12&tags=a&tags=b", `{username: "true", custom_id: "12", tags: ["a", "b"]}`, ""},
		{"consumer", "username=&&custom_id=+%2B", `{username: null, custom_id: " +"}`, ""},
		{"consumer", "", `{}`, ""},
		{"plugin", "config.maximum_expiration=5", `{config: {maximum_expiration: 5}}`, "jwt"},
		{"plugin", "name=acl&config.maximum_expiration=5", `{name: "acl", config: {maximum_expiration: "5"}}`, "jwt"},
	} {
		fields, err := Parse(test.form)
		if err != nil {
			t.Errorf("%s: %v", test.form, err)
			continue
		}
		e, err := Entity(test.kind, test.plugin, fields)
		if err != nil {
			t.Errorf("%s: %v", test.form, err)
			continue
		}
		if got := shape(e); got != test.want {
			t.Errorf("%s: %s, want %s", test.form, got, test.want)
		}
	}
}

func TestFormsAreRefused(t *testing.T) {
	for form, want := range map[string]string{
		"a=%zz":                               "cannot be decoded",
		"a=b&a.c=d":                           "contradicts another",
		"a.c=d&a=b":                           "contradicts another",
		"a[5].b=c":                            "contradicts another",
		"=b":                                  "cannot be read",
		strings.Repeat("a.", maxKeys) + "a=b": "cannot be read",
		strings.Repeat("a[", 100):             "",
		strings.Repeat("a=b&", MaxFields+1):   "more than 1000 fields",
		"a" + strings.Repeat("[]", maxKeys) + "=b":   "cannot be read",
		strings.Repeat("a[1]", maxKeys/2) + ".b.c=d": "cannot be read",
	} {
		fields, err := Parse(form)
		if err == nil {
			_, err = Entity("consumer", "", fields)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", form, err, want)
		}
	}
}

// FuzzForm: no form crashes the reader, and nothing stands deeper than names may say.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=b", "a[]=b&a[]=c", "config.a[1].b=c&config.a[2].b=d", "a[x].y[0]=z&&=&%", "headers.x=1&headers.x=2", "a..b=1", "[=]&[]=&a]=b"} {
		for _, kind := range []string{"service", "route", "plugin", "consumer"} {
			f.Add(kind, s)
		}
	}
	f.Fuzz(func(t *testing.T, kind, src string) {
		fields, err := Parse(src)
		if err != nil {
			return
		}
		if len(fields) > MaxFields {
			t.Fatalf("%d fields", len(fields))
		}
		e, err := Entity(kind, "", fields)
		if err != nil {
			return
		}
		var deepest func(n *yaml.Node) int
		deepest = func(n *yaml.Node) (most int) {
			for _, c := range n.Content {
				most = max(most, deepest(c))
			}
			return most + 1
		}
		if d := deepest(e); e.Kind != yaml.MappingNode || d > maxKeys+2 { // the mapping, and a list made of a text
			t.Fatalf("%d deep: %s", d, shape(e))
		}
	})
}
