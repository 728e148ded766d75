package convert

import (
	"fmt"
	"strings"
	"testing"
)

// ingress is an Ingress with annotations and one path.
func ingress(annotations, path, pathType string) string {
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: n, annotations: {%s}}
spec:
  rules:
  - host: a.example
    http: {paths: [{path: %q, pathType: %s, backend: {service: {name: s, port: {number: 80}}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: n}
`, annotations, path, pathType)
}

const plugin = `---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: tokens, namespace: n}
plugin: jwt
`

// Each annotation does to the route what it does in Kong, or is said.
func TestAnnotations(t *testing.T) {
	for _, test := range []struct {
		annotations string
		want        string // in the file
		said        string // in the notes; "" for none
	}{
		{"", "name: i.i", ""},
		{"", "strip_path: false\n    preserve_host: true\n    hosts:\n    - a.example\n    paths:\n    - /p/\n    - ~/p$\n", ""},
		{`konghq.com/strip-path: "true"`, "strip_path: true", ""},
		{`konghq.com/strip-path: "yes"`, "strip_path: false", ""},
		{`konghq.com/preserve-host: "false"`, "preserve_host: false", ""},
		{`konghq.com/methods: "get, POST"`, "methods:\n    - GET\n    - POST\n", ""},
		{`konghq.com/protocols: https`, "protocols:\n    - https\n", ""},
		{`konghq.com/protocols: "grpc,grpcs"`, "strip_path: false", ""},
		{`ingress.kubernetes.io/force-ssl-redirect: "true"`, "protocols:\n    - https\n    https_redirect_status_code: 302\n", ""},
		{`konghq.com/https-redirect-status-code: "301"`, "https_redirect_status_code: 301", ""},
		{`konghq.com/regex-priority: "7"`, "regex_priority: 7", ""},
		{`konghq.com/host-aliases: "b.example, a.example"`, "hosts:\n    - a.example\n    - b.example\n    paths", ""},
		{`konghq.com/headers.x-a: "1;2", konghq.com/headers-separator: ";"`, "headers:\n      x-a:\n      - \"1\"\n      - \"2\"\n", ""},
		{`konghq.com/request-buffering: "true", konghq.com/tags: x`, "name: i.i", ""},
		{`kubectl.kubernetes.io/last-applied-configuration: "{}"`, "name: i.i", ""},
		{`konghq.com/rewrite: /x`, "name: i.i", "left out: Ingress n/i: the annotation konghq.com/rewrite is not converted"},
		{`konghq.com/host-header: x`, "name: i.i", "the annotation konghq.com/host-header is not converted"},
		{`konghq.com/path-handling: v1`, "name: i.i", "path_handling of route n.i.s.a.example.80: is not supported"},
		{`konghq.com/plugins: tokens`, "plugins:\n    - name: jwt\n", ""},
		{`konghq.com/plugins: "tokens, "`, "plugins:\n    - name: jwt\n", ""},
		{`konghq.com/plugins: nowhere`, nobody, "closed: route n.i.s.a.example.80: Ingress n/i: the plugin nowhere is not among the inputs"},
		{`konghq.com/plugins: "other:tokens"`, nobody, "closed"},
		{`konghq.com/plugin: tokens`, nobody, "which may be meant to guard it"},
		{`plugins.konghq.com: tokens`, nobody, "which may be meant to guard it"},
		{`konghq.com/override: x`, nobody, "which may be meant to guard it"},
	} {
		r := from(ingress(test.annotations, "/p", "Prefix") + plugin)
		said := strings.ReplaceAll(r.said(), "in:13: left out: KongPlugin n/tokens: is bound to nothing: no Ingress, and no Service of one, names it in konghq.com/plugins\n", "")
		want := strings.Replace(test.want, "i.i", "n.i.s.a.example.80", 1)
		if !strings.Contains(string(r.File), want) || !strings.Contains(said, test.said) || test.said == "" && said != "" {
			t.Errorf("%s: got\n%s\n%swant\n%s\n%s", test.annotations, r.File, said, want, test.said)
		}
	}
	// What a route cannot match on leaves it out, guarded or not.
	if r := from(ingress(`konghq.com/snis: x.example`, "/p", "Prefix")); len(r.parsed(t).Routes) != 0 || r.Complete() {
		t.Errorf("%s\n%s", r.File, r.said())
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ path, pathType, want string }{
		{"/echo", "Prefix", "/echo/ ~/echo$"},
		{"/echo/", "Prefix", "/echo/ ~/echo$"},
		{"/", "Prefix", "/"},
		{"//a///b", "Prefix", "/a/b/ ~/a/b$"},
		{"/a.b+c", "Prefix", `/a.b+c/ ~/a\.b\+c$`},
		{"/echo", "Exact", "~/echo$"},
		{"/", "Exact", "~/$"},
		{"/echo/", "Exact", "~/echo/$"},
		{"/echo", "ImplementationSpecific", "/echo"},
		{"", "ImplementationSpecific", "/"},
		{"", "", "/"},
		{"/~/x/[0-9]+$", "ImplementationSpecific", "~/x/[0-9]+$"},
	} {
		if got := strings.Join(paths(test.path, test.pathType, "/~"), " "); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.path, test.pathType, got, test.want)
		}
	}
	if got := paths("/re:/x", "ImplementationSpecific", "/re:"); got[0] != "~/x" {
		t.Errorf("with an own prefix: %s", got)
	}
}

// A plugin is for the Ingresses of its namespace that name it, and for no other.
func TestNamespaces(t *testing.T) {
	other := strings.NewReplacer("namespace: n", "namespace: m").Replace(ingress("konghq.com/plugins: tokens", "/q", "Prefix"))
	plain := strings.NewReplacer("name: i,", "name: j,", "kind: Service", "kind: Namespace").Replace(ingress("", "/r", "Prefix"))
	r := from(ingress("konghq.com/plugins: tokens", "/p", "Prefix") + "---\n" + other + "---\n" + plain + plugin)
	f := r.parsed(t)
	var got []string
	for _, route := range f.Routes {
		chain := ""
		for _, p := range f.Chain(route) {
			chain += p.Name
		}
		got = append(got, route.Name+" "+chain)
	}
	want := "n.i.s.a.example.80 jwt, n.j.s.a.example.80 , m.i.s.a.example.80 acl"
	if strings.Join(got, ", ") != want || !strings.Contains(r.said(), "there is one in the namespace n") {
		t.Errorf("got %s, want %s\n%s", strings.Join(got, ", "), want, r.said())
	}
	// Objects that name no namespace are in that of the flag.
	unnamed := strings.ReplaceAll(ingress("konghq.com/plugins: tokens", "/p", "Prefix")+plugin, ", namespace: n", "")
	f = Convert([]Input{{"in", []byte(unnamed)}}, Options{From: "kubernetes", Namespace: "here", IngressClass: "kong"}).parsed(t)
	if f.Routes[0].Name != "here.i.s.a.example.80" || len(f.Chain(f.Routes[0])) != 1 {
		t.Errorf("%s", f.Routes[0].Name)
	}
}

// asItems writes documents as elements of a list.
func asItems(documents string) (list string) {
	for doc := range strings.SplitSeq(documents, "---\n") {
		list += "- " + strings.ReplaceAll(strings.TrimSuffix(doc, "\n"), "\n", "\n  ") + "\n"
	}
	return list
}

// Objects that cannot be followed leave nothing open.
func TestObjects(t *testing.T) {
	guarded := ingress("konghq.com/plugins: tokens", "/p", "Prefix")
	const kind = "apiVersion: configuration.konghq.com/v1\nkind: "
	for _, test := range []struct {
		name, file string
		want       string // in the file; "" where it is refused
		said       string
	}{
		{"a cluster's plugin", guarded + "---\n" + kind + "KongClusterPlugin\nmetadata: {name: tokens}\nplugin: jwt\n", "- name: jwt", ""},
		{"for everything", guarded + plugin + "---\n" + kind + "KongClusterPlugin\nmetadata: {name: g, labels: {global: 'true'}}\nplugin: acl\nconfig: {allow: [a]}\n",
			"plugins:\n- name: acl\n", ""},
		{"for everything, and not there", guarded + plugin + "---\n" + kind + "KongClusterPlugin\nmetadata: {name: g, labels: {global: 'true'}}\nplugin: ip-restriction\n",
			"", "guards everything"},
		{"for everything, its secret not there", guarded + plugin + "---\n" + kind + "KongClusterPlugin\nmetadata: {name: g, labels: {global: 'true'}}\n" +
			"plugin: jwt\nconfigFrom: {secretKeyRef: {name: x, namespace: y, key: z}}\n", "", "guards everything, and cannot be converted: the Secret y/x"},
		{"its secret is not there", guarded + plugin + "configFrom: {secretKeyRef: {name: x, key: y}}\n", nobody, "the Secret n/x is not among the inputs"},
		{"both config and secret", guarded + plugin + "config: {realm: a}\nconfigFrom: {secretKeyRef: {name: x, key: y}}\n", nobody, "config and configFrom"},
		{"a field that is not known", guarded + plugin + "configform: {}\n", nobody, "configform"},
		{"switched off", guarded + plugin + "disabled: true\n", "enabled: false", ""},
		{"an instance's name", guarded + plugin + "instanceName: x\n", "instance_name: x", ""},
		{"twice", guarded + plugin + plugin, "", "is in the inputs twice"},
		{"a backend that is no Service", strings.Replace(guarded, "service: {name: s, port: {number: 80}}", "resource: {kind: X, name: y}", 1) + plugin,
			nobody, "its backend is no Service"},
		{"a port by a name that is not there", strings.Replace(guarded, "number: 80", "name: web", 1) + plugin, nobody, "add the Service"},
		{"a Gateway API route beside", guarded + plugin + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {hostnames: [b.example]}\n",
			"- name: jwt", "only Ingress is converted"},
		{"one for the same host", guarded + plugin + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {hostnames: [a.example]}\n",
			"", "its requests might reach"},
		{"a consumer with a guard", kind + "KongConsumer\nmetadata: {name: a, annotations: {konghq.com/plugins: tokens}}\nusername: a\n", "", "which may guard it"},
		{"a group with a guard", kind + "KongConsumerGroup\nmetadata: {name: a, annotations: {konghq.com/plugins: tokens}}\n", "", "which may guard it"},
		{"keys and passwords", kind + "KongConsumer\nmetadata: {name: a}\nusername: a\ncredentials: [c]\n---\napiVersion: v1\nkind: Secret\n" +
			"metadata: {name: c, labels: {konghq.com/credential: jwt}}\ndata: {key: YQ==, secret: YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=}\n",
			"- key: a\n    secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
		{"a Service that is not there", strings.Replace(guarded, "kind: Service", "kind: Namespace", 1) + plugin, "- name: jwt", "the Service is not among the inputs"},
		{"a Service that is not there and may name a guard", strings.Replace(ingress("", "/p", "Prefix"), "kind: Service", "kind: Namespace", 1) + plugin, nobody,
			"may name KongPlugin n/tokens, which is bound to nothing: add the Service, or take the plugin out"},
		{"one that may name a plugin of another namespace", strings.Replace(ingress("", "/p", "Prefix"), "kind: Service", "kind: Namespace", 1) +
			strings.Replace(plugin, "namespace: n", "namespace: m", 1), "    - ~/p$\n", "the Service is not among the inputs"},
		{"one that may name what guards nothing", strings.Replace(ingress("", "/p", "Prefix"), "kind: Service", "kind: Namespace", 1) +
			strings.Replace(plugin, "jwt", "cors", 1), "    - ~/p$\n", "the Service is not among the inputs"},
		{"a Service with a plugin", strings.Replace(guarded, "metadata: {name: s,", "metadata: {annotations: {konghq.com/plugins: tokens}, name: s,", 1) + plugin,
			"  plugins:\n  - name: jwt\n", ""},
		{"a Service with one that is not there", strings.Replace(guarded, "metadata: {name: s,", "metadata: {annotations: {konghq.com/plugins: lost}, name: s,", 1) + plugin,
			nobody, "Service n/s: the plugin lost is not among the inputs"},
		{"a Service with a misspelt annotation", strings.Replace(guarded, "metadata: {name: s,", "metadata: {annotations: {konghq.com/plugin: tokens}, name: s,", 1) + plugin,
			nobody, "an annotation that is not known"},
		{"a list", "apiVersion: v1\nkind: List\nitems:\n" + asItems(guarded+plugin), "- name: jwt", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := from(test.file)
			if test.want == "" && r.File != nil || !strings.Contains(string(r.File), test.want) || !strings.Contains(r.said(), test.said) || test.said == "" && len(r.Notes) > 0 {
				t.Errorf("got\n%s\n%s\nwant %q and %q", r.File, r.said(), test.want, test.said)
			}
			if r.File != nil {
				r.parsed(t)
			}
		})
	}
}
