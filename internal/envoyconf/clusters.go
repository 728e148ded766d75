package envoyconf

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// clusters writes one cluster for each service, and the sidecar's.
func clusters(f *declarative.File, o Options) list {
	out := list{obj{
		"name", sidecarCluster,
		"type", "STATIC",
		// A socket that nobody listens on is refused at once; what takes longer is a
		// machine that is busy, and every question has a time-out of its own.
		"connect_timeout", "5s",
		"load_assignment", obj{"cluster_name", sidecarCluster, "endpoints", list{obj{"lb_endpoints", list{
			obj{"endpoint", obj{"address", obj{"pipe", obj{"path", o.Socket}}}},
		}}}},
	}}
	if f.Called() {
		out = append(out, publicCluster(o))
	}
	seen := map[string]bool{}
	for _, r := range f.Routes {
		if s := r.Service; !seen[s.Cluster()] {
			seen[s.Cluster()] = true
			out = append(out, cluster(s, o))
		}
	}
	return out
}

// publicCluster is where identity providers' requests go: a listener of the sidecar
// that serves nothing else (D9).
func publicCluster(o Options) obj {
	at := obj{"pipe", obj{"path", o.Public}}
	if host, port, err := net.SplitHostPort(o.Public); err == nil && !strings.HasPrefix(o.Public, "/") {
		n, _ := strconv.Atoi(port)
		at = obj{"socket_address", obj{"address", host, "port_value", n}}
	}
	return obj{
		"name", declarative.PublicCluster,
		"type", "STATIC",
		"connect_timeout", "1s",
		"load_assignment", obj{"cluster_name", declarative.PublicCluster, "endpoints", list{obj{"lb_endpoints", list{
			obj{"endpoint", obj{"address", at}},
		}}}},
	}
}

func cluster(s *declarative.Service, o Options) obj {
	targets := []declarative.Target{{Host: s.Host, Port: s.Port, Weight: 1}}
	policy := "ROUND_ROBIN"
	if s.Upstream != nil {
		targets = s.Upstream.Targets
		if s.Upstream.LeastConn {
			policy = "LEAST_REQUEST"
		}
	}
	kind := "STATIC"
	var endpoints list
	for _, t := range targets {
		if t.Weight == 0 {
			continue
		}
		if _, err := netip.ParseAddr(t.Host); err != nil {
			kind = "STRICT_DNS"
		}
		endpoints = append(endpoints, obj{
			"endpoint", obj{
				"address", obj{"socket_address", obj{"address", t.Host, "port_value", t.Port}},
				"hostname", s.HostHeader(t.Host, t.Port),
			},
			"load_balancing_weight", t.Weight,
		})
	}
	out := obj{
		"name", s.Cluster(),
		"type", kind,
		"connect_timeout", ms(s.ConnectTimeout),
		"lb_policy", policy,
		"circuit_breakers", obj{"thresholds", list{obj{
			"max_connections", 65536, "max_pending_requests", 65536, "max_requests", 65536, "max_retries", 1024,
		}}},
	}
	if kind == "STRICT_DNS" {
		out = append(out, "dns_lookup_family", "V4_PREFERRED")
	}
	out = append(out, "load_assignment", obj{
		"cluster_name", s.Cluster(), "endpoints", list{obj{"lb_endpoints", endpoints}},
	})
	if s.GRPC() {
		out = append(out, "typed_extension_protocol_options", obj{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config", obj{"http2_protocol_options", obj{}}),
		})
	}
	if s.TLS() {
		out = append(out, "transport_socket", upstreamTLS(s, o))
	}
	return out
}

// upstreamTLS verifies the upstream's certificate and name, unless the service
// says not to.
func upstreamTLS(s *declarative.Service, o Options) obj {
	common := obj{"tls_params", obj{"tls_minimum_protocol_version", "TLSv1_2"}}
	if s.GRPC() {
		common = append(common, "alpn_protocols", list{"h2"})
	}
	if s.Verify {
		ca := obj{"filename", o.CAFile}
		if len(s.CAs) > 0 {
			pem := ""
			for _, c := range s.CAs {
				pem += c.Cert + "\n"
			}
			ca = obj{"inline_string", pem}
		}
		common = append(common, "validation_context", obj{
			"trusted_ca", ca,
			"match_typed_subject_alt_names", list{san(s.Host)},
		})
	}
	context := []any{"common_tls_context", common}
	if _, err := netip.ParseAddr(s.Host); err != nil {
		context = append(context, "sni", s.Host)
	}
	return obj{"name", "envoy.transport_sockets.tls", "typed_config",
		typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", context...)}
}

func san(host string) obj {
	kind := "DNS"
	if _, err := netip.ParseAddr(host); err == nil {
		kind = "IP_ADDRESS"
	}
	return obj{"san_type", kind, "matcher", obj{"exact", host}}
}
