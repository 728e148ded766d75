package envoyconf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/version"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Options say where things are.
type Options struct {
	// Listeners override the file's; without either it is 127.0.0.1:8000.
	Listeners []declarative.Listener
	Admin     string // address of Envoy's admin interface ("127.0.0.1:9901")
	Socket    string // the sidecar's Unix socket
	Public    string // where the sidecar serves identity providers: a Unix socket, or an address and port
	Module    string // the filter's file
	ModuleSum string // SHA-256 of the module, in hex
	CAFile    string // authorities that upstreams are verified against ("/etc/ssl/certs/ca-certificates.crt")
}

// sidecarCluster is how the filter finds the sidecar.
const sidecarCluster = "sallyport_sidecar"

// FilterName is the name of the HTTP filter.
const FilterName = "sallyport"

// DefaultListener is where traffic is taken when nothing says otherwise.
const DefaultListener = "127.0.0.1:8000"

func (o Options) withDefaults(f *declarative.File) Options {
	if len(o.Listeners) == 0 {
		o.Listeners = f.Settings.Listen
	}
	if len(o.Listeners) == 0 {
		o.Listeners = []declarative.Listener{{Address: DefaultListener}}
	}
	if o.Admin == "" {
		o.Admin = "127.0.0.1:9901"
	}
	if o.CAFile == "" {
		o.CAFile = "/etc/ssl/certs/ca-certificates.crt"
	}
	return o
}

// Bootstrap returns the bootstrap as YAML. The error is of type
// declarative.Problems where the file asks for what Envoy cannot do.
func Bootstrap(f *declarative.File, o Options) ([]byte, error) {
	o = o.withDefaults(f)
	if err := unsupported(f, o); err != nil {
		return nil, err
	}
	var listeners list
	for i, l := range o.Listeners {
		listener, err := listener(f, o, l, i)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	admin, err := address(o.Admin)
	if err != nil {
		return nil, err
	}
	root := obj{
		"admin", obj{"address", admin},
		"stats_config", statsConfig(),
		"layered_runtime", runtime(),
		"static_resources", obj{"listeners", listeners, "clusters", clusters(f, o)},
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Made by sallyport %s from %s. Do not edit: routes carry names that the filter\n"+
		"# knows. Run `sallyport envoy` again when services or routes change.\n", version.Version, f.Name)
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(node(root)); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// statsConfig makes the reason a tag of the filter's counters, so that
// Prometheus sees one metric with a label.
func statsConfig() obj {
	return obj{"stats_tags", list{
		obj{"tag_name", "sallyport.reason", "regex", `^wasmcustom\.sallyport\.requests(\.([a-z_]+))$`},
	}}
}

// runtime widens the bound on regular expressions, and turns off what Envoy has begun to do between the versions that are
// supported (1.36 does not know it, 1.40 does it): to match each of several
// values of a header by itself. The host matches them joined by commas, and so
// does Envoy without it. It may refuse to know the name; it does not refuse the file.
func runtime() obj {
	return obj{"layers", list{obj{"name", FilterName, "static_layer", obj{
		"re2.max_program_size.error_level", maxProgram,
		"envoy.reloadable_features.match_headers_individually", false,
	}}}}
}

// address writes host:port; an empty host is every address.
func address(hostPort string) (obj, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	if host, err = ip(host); err != nil {
		return nil, err
	}
	return obj{"socket_address", obj{"address", host, "port_value", int(n)}}, nil
}

// listener writes one listener. Clients from trusted addresses get a chain of
// their own, because whether forwarded headers are believed is a setting of a
// whole chain (D16).
func listener(f *declarative.File, o Options, l declarative.Listener, i int) (obj, error) {
	addr, err := address(l.Address)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Address)
	var sources list
	for _, p := range f.Settings.TrustedIPs {
		sources = append(sources, obj{"address_prefix", p.Addr().String(), "prefix_len", p.Bits()})
	}
	var chains list
	add := func(match obj, trusted bool, transport any) {
		if trusted {
			match = append(match, "source_prefix_ranges", sources)
		}
		chain := obj{}
		if len(match) > 0 {
			chain = append(chain, "filter_chain_match", match)
		}
		name := fmt.Sprintf("%s%d", map[bool]string{false: "direct_", true: wire.TrustedChain}[trusted], len(chains))
		chain = append(chain, "name", name, "filters", list{connectionManager(f, o, port, trusted)}, "transport_socket", transport)
		chains = append(chains, chain)
	}
	both := func(match obj, transport any) {
		if sources != nil {
			add(append(obj{}, match...), true, transport)
		}
		add(append(obj{}, match...), false, transport)
	}
	out := obj{"name", fmt.Sprintf("listener_%d", i), "address", addr, "per_connection_buffer_limit_bytes", 1 << 20}
	if !l.TLS {
		both(nil, nil)
		return append(out, "filter_chains", chains), nil
	}
	for _, c := range f.Certificates {
		var names list
		for _, n := range c.SNIs {
			names = append(names, strings.ToLower(n))
		}
		if names != nil {
			both(obj{"server_names", names}, serverTLS(c))
		}
	}
	both(nil, serverTLS(f.Certificates[0])) // for clients that name nobody, or somebody else
	return append(out,
		"listener_filters", list{obj{"name", "envoy.filters.listener.tls_inspector",
			"typed_config", typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")}},
		"filter_chains", chains), nil
}

func serverTLS(c *declarative.Certificate) obj {
	return obj{"name", "envoy.transport_sockets.tls",
		"typed_config", typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
			"common_tls_context", obj{
				"tls_params", obj{"tls_minimum_protocol_version", "TLSv1_2"},
				"alpn_protocols", list{"h2", "http/1.1"},
				"tls_certificates", list{obj{
					"certificate_chain", obj{"inline_string", c.Cert},
					"private_key", obj{"inline_string", c.Key},
				}},
			})}
}

// connectionManager writes the HTTP connection manager of a chain.
func connectionManager(f *declarative.File, o Options, port string, trusted bool) obj {
	settings := obj{
		"stat_prefix", "ingress",
		"codec_type", "AUTO",
		"use_remote_address", true,
		"generate_request_id", true,
		"always_set_request_id_in_response", true,
		"server_header_transformation", "PASS_THROUGH",
		// D2: what is routed is what is sent, whatever way it was written.
		"normalize_path", true,
		"merge_slashes", true,
		"path_with_escaped_slashes_action", "REJECT_REQUEST",
		"strip_any_host_port", true,
		"request_headers_timeout", "10s",
		"stream_idle_timeout", "300s",
		"common_http_protocol_options", obj{"idle_timeout", "300s", "headers_with_underscores_action", "ALLOW"},
		"upgrade_configs", list{obj{"upgrade_type", "websocket"}},
		"route_config", routes(f, port, trusted),
		"http_filters", list{wasmFilter(f, o), obj{"name", "envoy.filters.http.router",
			"typed_config", typed("envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers", true)}},
	}
	if trusted {
		settings = append(settings, "xff_num_trusted_hops", 1)
	}
	return obj{"name", "envoy.filters.network.http_connection_manager", "typed_config",
		typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", settings...)}
}

// GOGC is the setting of the module's garbage collector in both hosts: it runs
// when the heap has grown by so many percent. Most of the heap is the cache of
// verdicts, and twice the usual room makes a new token a tenth cheaper.
const GOGC = "200"

// wasmFilter loads the module. Its vm_id is its own: a VM that is shared with
// another plugin would share memory with it.
func wasmFilter(f *declarative.File, o Options) obj {
	config := f.Settings.FilterConfig(sidecarCluster)
	sum := sha256.Sum256([]byte(o.ModuleSum + config))
	return obj{"name", FilterName, "typed_config", typed("envoy.extensions.filters.http.wasm.v3.Wasm", "config", obj{
		"name", FilterName,
		"root_id", FilterName,
		"failure_policy", "FAIL_RELOAD",
		"reload_config", obj{"backoff", obj{"base_interval", "0.100s"}},
		// A pause in the headers holds the body too. Otherwise Envoy asks the filter
		// about the body, and what the filter does not say is Continue: a request
		// with a body would go on before it has been judged.
		"allow_on_headers_stop_iteration", false,
		"configuration", typed("google.protobuf.StringValue", "value", config),
		"vm_config", obj{
			"vm_id", "sallyport-" + hex.EncodeToString(sum[:8]),
			"runtime", "envoy.wasm.runtime.v8",
			"environment_variables", obj{"key_values", obj{"GOGC", GOGC}},
			"code", obj{"local", obj{"filename", o.Module}},
		},
	})}
}
