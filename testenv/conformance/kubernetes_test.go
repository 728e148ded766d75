package conformance

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// node is a mapping of a bootstrap.
type node = map[string]any

// filters calls yield for the filter and the routes of each listener.
func filters(t testing.TB, bootstrap []byte, yield func(filter node, routes []any)) []byte {
	t.Helper()
	var b node
	if err := yaml.Unmarshal(bootstrap, &b); err != nil {
		t.Fatal(err)
	}
	for _, l := range b["static_resources"].(node)["listeners"].([]any) {
		chain := l.(node)["filter_chains"].([]any)[0].(node)
		hcm := chain["filters"].([]any)[0].(node)["typed_config"].(node)
		var routes []any
		for _, v := range hcm["route_config"].(node)["virtual_hosts"].([]any) {
			routes = append(routes, v.(node)["routes"].([]any)...)
		}
		yield(hcm["http_filters"].([]any)[0].(node), routes)
	}
	out, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Envoy Gateway and Istio write the filter's configuration themselves: what of it is
// theirs to choose must make no difference, and a route by another name is refused.
func TestFiltersThatOthersConfigure(t *testing.T) {
	code := func(filter node) any {
		return filter["typed_config"].(node)["config"].(node)["vm_config"].(node)["code"]
	}
	value := func(s string) node {
		return node{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": s}
	}
	for name, edit := range map[string]func(filter node, routes []any){
		// internal/xds/translator/wasm.go of Envoy Gateway 1.9: off, and on for each route.
		"envoy gateway": func(filter node, routes []any) {
			const name = "envoy.filters.http.wasm/envoyextensionpolicy/shop/sallyport/wasm/0"
			filter["typed_config"].(node)["config"] = node{
				"name": "sallyport", "root_id": "sallyport", "fail_open": false, "configuration": value(`{"cluster":"sallyport_sidecar"}`),
				"vm_config": node{"vm_id": "envoyextensionpolicy/shop/sallyport/wasm/0", "runtime": "envoy.wasm.runtime.v8", "code": code(filter)},
			}
			filter["name"], filter["disabled"] = name, true
			for _, r := range routes {
				r.(node)["typed_per_filter_config"] = node{name: node{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": node{}}}
			}
		},
		// pilot/pkg/model/extensions.go of Istio 1.31.
		"istio": func(filter node, _ []any) {
			filter["typed_config"].(node)["config"] = node{
				"name": "shop.sallyport", "root_id": "sallyport", "failure_policy": "FAIL_RELOAD", "configuration": value(`{"cluster": "sallyport_sidecar"}`),
				"vm_config": node{"runtime": "envoy.wasm.runtime.v8", "code": code(filter),
					"environment_variables": node{"key_values": node{"GOGC": "200", "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "7"}}},
			}
			filter["name"] = "extenstions.istio.io/wasmplugin/shop.sallyport"
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "envoy", stack.Options{Edit: func(bootstrap []byte) []byte {
				return filters(t, bootstrap, func(filter node, routes []any) {
					edit(filter, routes)
					for _, r := range routes {
						if n, _ := r.(node)["name"].(string); strings.HasPrefix(n, "other.") {
							r.(node)["name"] = "httproute/shop/other/rule/0/match/0/*"
						}
					}
				})
			}}, func(e vectors.Env) string {
				return strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer).Replace(`_format_version: "3.0"
services:
- name: orders
  url: ${UPSTREAM}
  routes:
  - name: orders
    paths: [/orders]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], audience: [orders], scopes_required: ["orders:read"]}}]
  - {name: other, paths: [/other], strip_path: false}
`)
			})
			token := func(scope string) string {
				return bearer(r.idp.Token("k1", map[string]any{"aud": "orders", "scope": scope, "exp": tokens.In(600)}))
			}
			r.send(t, "GET", "/orders").want(t, 401, `{"message":"Unauthorized"}`, "Bearer")
			r.send(t, "POST", "/orders/7", token("orders:read"), "X-Consumer-Username: admin").want(t, 200, "", "")
			if x := r.send(t, "GET", "/orders", token("orders:write")); x.Status != 403 || len(x.Seen) != 0 {
				t.Errorf("without the scope: %d, the upstream was called %d times", x.Status, len(x.Seen))
			}
			if x := r.send(t, "GET", "/other", token("orders:read")); x.Status != 503 || len(x.Seen) != 0 {
				t.Errorf("a route by another name: %d, the upstream was called %d times", x.Status, len(x.Seen))
			}
		})
	}
}
