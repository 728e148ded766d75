package envoyconf

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// tree is a bootstrap as it is read back.
type tree map[string]any

// load reads a bootstrap back.
func load(t testing.TB, bootstrap []byte) tree {
	t.Helper()
	var root map[string]any
	if err := yaml.Unmarshal(bootstrap, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// find returns every value under a name, wherever it stands.
func find(v any, name string) []any {
	var out []any
	switch v := v.(type) {
	case tree:
		return find(map[string]any(v), name)
	case map[string]any:
		for k, member := range v {
			if k == name {
				out = append(out, member)
			}
			out = append(out, find(member, name)...)
		}
	case []any:
		for _, element := range v {
			out = append(out, find(element, name)...)
		}
	}
	return out
}

// messages returns every message of a type.
func messages(v any, suffix string) []map[string]any {
	var out []map[string]any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if kind, _ := v["@type"].(string); strings.HasSuffix(kind, "."+suffix) {
				out = append(out, v)
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(map[string]any(v.(tree)))
	return out
}

// eachFile runs a test for every file of testdata.
func eachFile(t *testing.T, run func(t *testing.T, f *declarative.File, root tree)) {
	for _, name := range []string{"small", "tls", "routes"} {
		t.Run(name, func(t *testing.T) {
			f := read(t, name)
			run(t, f, load(t, bootstrap(t, f, options)))
		})
	}
}

// want compares members of a message, by a path of names.
func want(t *testing.T, m map[string]any, path string, value any) {
	t.Helper()
	var v any = m
	for _, name := range strings.Split(path, ".") {
		inner, _ := v.(map[string]any)
		v = inner[name]
	}
	if fmt.Sprint(v) != fmt.Sprint(value) {
		t.Errorf("%s is %v, want %v", path, v, value)
	}
}

// D2: what is routed is what is sent, and it is routed once. D16: forwarded headers
// are believed of trusted addresses only.
func TestConnectionManagers(t *testing.T) {
	eachFile(t, func(t *testing.T, f *declarative.File, root tree) {
		managers := messages(root, "HttpConnectionManager")
		chains := find(root, "filter_chains")
		n, trusted := 0, 0
		for _, c := range chains {
			for _, chain := range c.([]any) {
				n++
				m := chain.(map[string]any)
				manager := messages(tree(m), "HttpConnectionManager")[0]
				if sources := find(m, "source_prefix_ranges"); len(sources) > 0 {
					trusted++
					want(t, manager, "xff_num_trusted_hops", 1)
					if got := len(sources[0].([]any)); got != len(f.Settings.TrustedIPs) {
						t.Errorf("%d trusted ranges, want %d", got, len(f.Settings.TrustedIPs))
					}
				} else {
					want(t, manager, "xff_num_trusted_hops", nil)
				}
			}
		}
		if len(managers) != n || n == 0 || (trusted > 0) != (len(f.Settings.TrustedIPs) > 0) || 2*trusted != n && trusted != 0 {
			t.Errorf("%d managers in %d chains, %d trusted", len(managers), n, trusted)
		}
		for _, m := range managers {
			want(t, m, "normalize_path", true)
			want(t, m, "merge_slashes", true)
			want(t, m, "path_with_escaped_slashes_action", "REJECT_REQUEST")
			want(t, m, "strip_any_host_port", true)
			want(t, m, "use_remote_address", true)
			want(t, m, "request_headers_timeout", "10s")
			want(t, m, "common_http_protocol_options.headers_with_underscores_action", "ALLOW") // the filter strips X_Consumer_ID itself
			hosts := m["route_config"].(map[string]any)["virtual_hosts"].([]any)
			if len(hosts) != 1 {
				t.Errorf("%d virtual hosts: Envoy never falls back from one to another", len(hosts))
			}
			want(t, hosts[0].(map[string]any), "domains", []any{"*"})
			filters := m["http_filters"].([]any)
			if len(filters) != 2 || filters[0].(map[string]any)["name"] != FilterName || filters[1].(map[string]any)["name"] != "envoy.filters.http.router" {
				t.Errorf("filters: %v", filters)
			}
		}
		for _, name := range []string{"typed_per_filter_config", "fail_open", "skip_xff_append", "per_filter_config"} {
			if got := find(root, name); len(got) > 0 {
				t.Errorf("%s is %v", name, got)
			}
		}
	})
}

// D14 and D4: the filter fails closed, comes back at once, pauses with headers
// held, and shares its memory with no other plugin.
func TestWasmFilter(t *testing.T) {
	ids := map[string]bool{}
	eachFile(t, func(t *testing.T, f *declarative.File, root tree) {
		filters := messages(root, "Wasm")
		if len(filters) != len(messages(root, "HttpConnectionManager")) {
			t.Errorf("%d filters", len(filters))
		}
		for _, m := range filters {
			want(t, m, "config.failure_policy", "FAIL_RELOAD")
			want(t, m, "config.reload_config.backoff.base_interval", "0.100s")
			want(t, m, "config.allow_on_headers_stop_iteration", false)
			want(t, m, "config.vm_config.runtime", "envoy.wasm.runtime.v8")
			want(t, m, "config.vm_config.code.local.filename", options.Module)
			want(t, m, "config.configuration.value", f.Settings.FilterConfig(sidecarCluster))
			want(t, m, "config.vm_config.vm_id", filters[0]["config"].(map[string]any)["vm_config"].(map[string]any)["vm_id"])
		}
		ids[fmt.Sprint(find(root, "vm_id")[0])] = true
	})
	other := options
	other.ModuleSum = "another"
	ids[fmt.Sprint(find(load(t, bootstrap(t, read(t, "small"), other)), "vm_id")[0])] = true
	// small and routes have one configuration and one module, and may share.
	if len(ids) != 3 {
		t.Errorf("%d ids of VMs for two configurations and two modules: %v", len(ids), ids)
	}
}

// Every route is named as the bundle names it, and goes to a cluster that exists
// once; one that only answers 426 goes nowhere.
func TestRoutes(t *testing.T) {
	eachFile(t, func(t *testing.T, f *declarative.File, root tree) {
		names := map[string]bool{}
		for _, r := range f.Routes {
			names[r.BundleName()] = true
			if !r.Takes(false) {
				names[r.HTTPSName()] = true
			}
		}
		var clusters []string
		for _, c := range root["static_resources"].(map[string]any)["clusters"].([]any) {
			clusters = append(clusters, c.(map[string]any)["name"].(string))
		}
		if slices.Sort(clusters); len(slices.Compact(slices.Clone(clusters))) != len(clusters) {
			t.Errorf("clusters: %s", clusters)
		}
		seen := map[string]bool{}
		for _, list := range find(root, "routes") {
			if len(list.([]any)) != len(f.Table().Entries) {
				t.Errorf("%d routes, %d entries", len(list.([]any)), len(f.Table().Entries))
			}
			for _, r := range list.([]any) {
				route := r.(map[string]any)
				name := route["name"].(string)
				if seen[name] = true; !names[name] {
					t.Errorf("the bundle has no route %s", name)
				}
				if direct, ok := route["direct_response"]; ok {
					if !strings.HasSuffix(name, ".https") || route["route"] != nil || direct.(map[string]any)["status"] != 426 {
						t.Errorf("%s: %v", name, route)
					}
					continue
				}
				action := route["route"].(map[string]any)
				want(t, action, "timeout", "0s")
				if !slices.Contains(clusters, action["cluster"].(string)) {
					t.Errorf("%s goes to %v", name, action["cluster"])
				}
				hosts := 0
				for _, m := range []string{"host_rewrite_literal", "auto_host_rewrite"} {
					if action[m] != nil {
						hosts++
					}
				}
				if hosts > 1 || action["prefix_rewrite"] != nil && action["regex_rewrite"] != nil {
					t.Errorf("%s: %v", name, action)
				}
			}
		}
		if len(seen) != len(names) {
			t.Errorf("%d names of %d", len(seen), len(names))
		}
	})
}

func TestClusters(t *testing.T) {
	root := load(t, bootstrap(t, read(t, "tls"), options))
	clusters := map[string]map[string]any{}
	for _, c := range root["static_resources"].(map[string]any)["clusters"].([]any) {
		clusters[c.(map[string]any)["name"].(string)] = c.(map[string]any)
	}
	want(t, clusters[sidecarCluster], "type", "STATIC")
	if got := find(clusters[sidecarCluster], "pipe"); len(got) != 1 || got[0].(map[string]any)["path"] != options.Socket {
		t.Errorf("the sidecar is at %v", got)
	}
	for name, kind := range map[string]string{"balanced": "STATIC", "least": "STRICT_DNS", "tls": "STRICT_DNS", "address": "STATIC"} {
		want(t, clusters[name], "type", kind)
	}
	want(t, clusters["balanced"], "lb_policy", "ROUND_ROBIN")
	want(t, clusters["least"], "lb_policy", "LEAST_REQUEST")
	want(t, clusters["balanced"], "connect_timeout", "1.500s")
	if got := fmt.Sprint(find(clusters["balanced"], "address"), find(clusters["balanced"], "load_balancing_weight")); strings.Contains(got, "10.0.0.3") || strings.Contains(got, "back") {
		t.Errorf("targets of weight 0, or the upstream's name: %s", got)
	}
	// An upstream's name is never sent to DNS.
	for _, host := range find(root, "address") {
		if host == "back" || host == "least" {
			t.Errorf("the name of the upstream %v would be looked up", host)
		}
	}
	for _, tls := range []struct{ name, sni, ca, san string }{
		{"tls", "api.example.org", "map[filename:/etc/ssl/certs/ca-certificates.crt]", "DNS api.example.org"},
		{"grpcs", "grpc.example.org", "map[filename:/etc/ssl/certs/ca-certificates.crt]", "DNS grpc.example.org"},
		{"address", "<nil>", "inline_string", "IP_ADDRESS 10.0.0.5"},
	} {
		context := messages(tree(clusters[tls.name]), "UpstreamTlsContext")[0]
		want(t, context, "common_tls_context.tls_params.tls_minimum_protocol_version", "TLSv1_2")
		if fmt.Sprint(context["sni"]) != tls.sni {
			t.Errorf("%s: sni %v", tls.name, context["sni"])
		}
		validation := find(context, "validation_context")[0].(map[string]any)
		san := validation["match_typed_subject_alt_names"].([]any)[0].(map[string]any)
		if got := fmt.Sprintf("%v %v", san["san_type"], san["matcher"].(map[string]any)["exact"]); got != tls.san {
			t.Errorf("%s: name %s", tls.name, got)
		}
		if got := fmt.Sprint(validation["trusted_ca"]); !strings.Contains(got, tls.ca) {
			t.Errorf("%s: authorities %s", tls.name, got)
		}
	}
	if got := find(clusters["unverified"], "validation_context"); got != nil {
		t.Errorf("unverified: %v", got)
	}
	if find(clusters["grpcs"], "http2_protocol_options") == nil || find(clusters["tls"], "http2_protocol_options") != nil {
		t.Error("HTTP/2 where it is not asked for, or the other way round")
	}
}

func TestListeners(t *testing.T) {
	f := read(t, "tls")
	root := load(t, bootstrap(t, f, options))
	listeners := root["static_resources"].(map[string]any)["listeners"].([]any)
	if len(listeners) != 2 {
		t.Fatalf("%d listeners", len(listeners))
	}
	plain, tls := listeners[0].(map[string]any), listeners[1].(map[string]any)
	if find(plain, "transport_socket") != nil || find(plain, "tls_inspector") != nil {
		t.Error("TLS on the plain listener")
	}
	var names []string
	for _, n := range find(tls, "server_names") {
		names = append(names, fmt.Sprint(n))
	}
	if strings.Join(names, " ") != "[a.example *.b.example] [a.example *.b.example]" {
		t.Errorf("names: %s", names)
	}
	for _, c := range tls["filter_chains"].([]any) {
		if len(messages(tree(c.(map[string]any)), "DownstreamTlsContext")) != 1 {
			t.Error("a chain of the TLS listener without TLS")
		}
	}
	want(t, root, "admin.address.socket_address.address", "127.0.0.1")
	o := options
	o.Listeners, o.Admin = []declarative.Listener{{Address: "localhost:1"}, {Address: "[::1]:2"}}, "localhost:3"
	root = load(t, bootstrap(t, f, o))
	want(t, root, "admin.address.socket_address.address", "127.0.0.1")
	var got []string
	for _, l := range root["static_resources"].(map[string]any)["listeners"].([]any) {
		a := l.(map[string]any)["address"].(map[string]any)["socket_address"].(map[string]any)
		got = append(got, fmt.Sprint(a["address"], " ", a["port_value"]))
	}
	if strings.Join(got, ", ") != "127.0.0.1 1, ::1 2" {
		t.Errorf("listeners: %s", got)
	}
}
