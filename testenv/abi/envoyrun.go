package abi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// obj is a JSON object of Envoy's configuration.
type obj = map[string]any

// RunEnvoy runs scenarios in one Envoy with one worker, each at a listener of its
// own, and returns their records by name.
func RunEnvoy(t testing.TB, version string, list []*Scenario) map[string]*Record {
	dir := testenv.TempDir(t)
	var listeners, clusters []any
	ups, named := map[string]*upstream{}, map[string]bool{}
	for _, s := range list {
		wasm, err := moduleOf(s)
		if err != nil {
			t.Fatal(err)
		}
		path := s.Guest
		if path == "" {
			path = filepath.Join(dir, s.ID+".wasm")
			if err := os.WriteFile(path, wasm, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		up := startUpstream(s)
		t.Cleanup(up.close)
		ups[s.ID] = up
		listeners = append(listeners, listenerOf(s, path))
		clusters = append(clusters, clusterOf(s.cluster(), up.port(), false), clusterOf(s.grpcCluster(), up.port(), true),
			clusterOf("refused."+s.ID, 1, true))
		for option, h2 := range map[string]bool{"cluster": false, "grpc-cluster": true} {
			if name, ok := s.Options[option]; ok && !named[name] {
				named[name] = true
				clusters = append(clusters, clusterOf(name, up.port(), h2))
			}
		}
	}
	lds := filepath.Join(dir, "lds.json")
	write := func(listeners []any) {
		b, err := json.Marshal(obj{"version_info": fmt.Sprint(len(listeners)), "resources": listeners})
		if err == nil {
			err = os.WriteFile(lds+".new", b, 0o600)
		}
		if err == nil {
			err = os.Rename(lds+".new", lds)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(listeners)
	admin := testenv.FreePort(t)
	bootstrap, err := json.Marshal(obj{
		"node":              obj{"id": "abi", "cluster": "abi"},
		"admin":             obj{"address": address(admin)},
		"dynamic_resources": obj{"lds_config": obj{"resource_api_version": "V3", "path_config_source": obj{"path": lds}}},
		"static_resources":  obj{"clusters": clusters},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := envoy.Start(t, version, bootstrap, fmt.Sprintf("127.0.0.1:%d", admin), "--concurrency", "1", "--drain-time-s", "1",
		"--log-format", "|%t|%l|%v")
	addrs := addresses(t, e)
	records := map[string]*Record{}
	var mu sync.Mutex // guards records
	var work sync.WaitGroup
	turns := make(chan struct{}, 4)
	for _, s := range list {
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			rec := runInEnvoy(s, e, addrs[s.ID], ups[s.ID])
			mu.Lock()
			defer mu.Unlock()
			records[s.Name] = rec
		})
	}
	work.Wait()
	endInEnvoy(list, records, e, write)
	if e.Ended() {
		for _, s := range list { // whose connection it was at
			if strings.Contains(e.Tail(), "localAddress(): "+addrs[s.ID]+"\n") {
				t.Errorf("Envoy ended in %q", s.Name)
			}
		}
		t.Fatalf("Envoy ended: %.2000s", e.Tail())
	}
	return records
}

// runInEnvoy runs one scenario; addr is "" when Envoy has refused its listener.
func runInEnvoy(s *Scenario, e *envoy.Envoy, addr string, up *upstream) *Record {
	if addr == "" {
		return &Record{Refused: true}
	}
	_, secure := s.Options["tls"]
	c := newClient(addr, secure)
	defer c.close()
	rec := &Record{}
	for i, r := range s.Requests {
		if _, ok := s.Options["fail-reload"]; ok && i > 0 {
			time.Sleep(100 * time.Millisecond) // the back-off, which nothing shows the end of
		}
		rec.Responses = append(rec.Responses, c.send(s, r))
	}
	up.release(func() []string { return decode(s, linesOf(s, e.Log())) })
	if _, ok := s.Options["shutdown"]; !ok {
		waitInEnvoy(s, e, rec)
	}
	rec.Upstream = up.requests()
	if name, ok := s.Options["metric"]; ok {
		rec.Metrics = map[string]string{name: fmt.Sprint(e.Stat("wasmcustom." + name + s.ID))}
	}
	return rec
}

func waitInEnvoy(s *Scenario, e *envoy.Envoy, rec *Record) {
	err := testenv.Poll(8*time.Second, func() bool {
		rec.Log = decode(s, linesOf(s, e.Log()))
		return s.finished(rec.Log) || e.Ended()
	})
	if err != nil {
		rec.Log = append(rec.Log, "not finished")
	}
}

// endInEnvoy takes the listeners away, and waits for what guests do then.
func endInEnvoy(list []*Scenario, records map[string]*Record, e *envoy.Envoy, write func([]any)) {
	var ending []*Scenario
	for _, s := range list {
		if _, ok := s.Options["shutdown"]; ok && !records[s.Name].Refused {
			ending = append(ending, s)
		}
	}
	if len(ending) == 0 {
		return
	}
	write(nil)
	for _, s := range ending {
		waitInEnvoy(s, e, records[s.Name])
	}
}

var logThread = regexp.MustCompile(`(?m)^\|(\d+)\|`)

// linesOf returns what a scenario's guests have logged on the worker's thread. The
// main thread, which writes the first line, has guests too.
func linesOf(s *Scenario, log string) (out []line) {
	first := logThread.FindStringSubmatch(log)
	for _, text := range strings.Split(log, "\n") {
		if !strings.Contains(text, "wasm log") || !strings.Contains(text, s.ID) {
			continue
		}
		m := parseLine(s, text)
		if m != nil && m.thread != first[1] {
			out = append(out, m.line)
		}
	}
	return out
}

type threadLine struct {
	thread string
	line
}

// parseLine reads "|thread|level|[where] wasm log NAME ROOT VM: text".
func parseLine(s *Scenario, text string) *threadLine {
	parts := strings.SplitN(text, "|", 4)
	if len(parts) < 4 {
		return nil
	}
	if _, rest, ok := strings.Cut(parts[3], "wasm log: "); ok { // no context runs
		if strings.HasPrefix(rest, s.ID) {
			return &threadLine{parts[1], line{s.Plugins[0].name, parts[2], rest}}
		}
		return nil
	}
	_, rest, _ := strings.Cut(parts[3], "wasm log ")
	if s.Guest != "" {
		if _, t, ok := strings.Cut(rest, ": "+s.ID+"|"); ok {
			return &threadLine{parts[1], line{"", parts[2], t}}
		}
		return nil
	}
	for _, p := range s.Plugins {
		of := s.vmID(p) + ": "
		if p.root != "" {
			of = p.root + " " + of
		}
		// Root contexts do without the plugin's name.
		t, ok := strings.CutPrefix(rest, of)
		if !ok {
			t, ok = strings.CutPrefix(rest, s.pluginName(p)+" "+of)
		}
		if ok {
			return &threadLine{parts[1], line{p.name, parts[2], t}}
		}
	}
	return nil
}

func address(port int) obj {
	return obj{"socket_address": obj{"address": "127.0.0.1", "port_value": port}}
}

func typed(name string, o obj) obj {
	o["@type"] = "type.googleapis.com/envoy." + name
	return o
}

func clusterOf(name string, port int, h2 bool) obj {
	c := obj{"name": name, "connect_timeout": "2s", "load_assignment": obj{"cluster_name": name, "endpoints": []any{
		obj{"lb_endpoints": []any{obj{"endpoint": obj{"address": address(port)}}}}}}}
	protocol := obj{"http_protocol_options": obj{"enable_trailers": true}}
	if h2 {
		protocol = obj{"http2_protocol_options": obj{}}
	}
	c["typed_extension_protocol_options"] = obj{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
		"extensions.upstreams.http.v3.HttpProtocolOptions", obj{"explicit_http_config": protocol})}
	return c
}

// listenerOf is Envoy's configuration of a scenario: told to add no header that a
// plain proxy would not.
func listenerOf(s *Scenario, path string) obj {
	var filters []any
	for _, p := range s.Plugins {
		filters = append(filters, obj{"name": s.pluginName(p), "typed_config": typed("extensions.filters.http.wasm.v3.Wasm",
			obj{"config": pluginConfig(s, p, path)})})
	}
	filters = append(filters, obj{"name": "envoy.filters.http.router",
		"typed_config": typed("extensions.filters.http.router.v3.Router", obj{"suppress_envoy_headers": true})})
	upstreamCluster := s.cluster()
	if _, ok := s.Options["h2-upstream"]; ok {
		upstreamCluster = s.grpcCluster()
	}
	route := obj{"match": obj{"prefix": "/"}, "route": obj{"cluster": upstreamCluster, "timeout": "0s"}, "name": "upstream"}
	hcm := typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", obj{
		"stat_prefix": s.ID, "generate_request_id": false, "preserve_external_request_id": true,
		"server_header_transformation": "PASS_THROUGH", "skip_xff_append": true, "always_set_request_id_in_response": false,
		"http_protocol_options":        obj{"enable_trailers": true},
		"route_config":                 obj{"virtual_hosts": []any{obj{"name": "all", "domains": []any{"*"}, "routes": []any{route}}}},
		"http_filters":                 filters,
		"stream_idle_timeout":          "20s",
		"common_http_protocol_options": obj{"headers_with_underscores_action": "ALLOW"},
	})
	chain := obj{"filters": []any{obj{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}}}
	if _, ok := s.Options["tls"]; ok {
		p := certificates()
		inline := func(b []byte) obj { return obj{"inline_bytes": base64.StdEncoding.EncodeToString(b)} }
		chain["transport_socket"] = obj{"name": "envoy.transport_sockets.tls", "typed_config": typed(
			"extensions.transport_sockets.tls.v3.DownstreamTlsContext", obj{"common_tls_context": obj{
				"alpn_protocols":     []any{"h2", "http/1.1"},
				"tls_certificates":   []any{obj{"certificate_chain": inline(p.certPEM), "private_key": inline(p.keyPEM)}},
				"validation_context": obj{"trusted_ca": inline(p.caPEM)},
				"tls_params":         obj{"tls_maximum_protocol_version": "TLSv1_3"},
			}})}
	}
	l := typed("config.listener.v3.Listener", obj{"name": s.ID, "address": address(0), "filter_chains": []any{chain}})
	if limit, ok := s.Options["limit"]; ok {
		var n int
		_, _ = fmt.Sscan(limit, &n)
		l["per_connection_buffer_limit_bytes"] = n
	}
	if _, ok := s.Options["tls"]; ok {
		l["listener_filters"] = []any{obj{"name": "envoy.filters.listener.tls_inspector",
			"typed_config": typed("extensions.filters.listener.tls_inspector.v3.TlsInspector", obj{})}}
	}
	return l
}

func pluginConfig(s *Scenario, p plugin, path string) obj {
	vm := obj{"vm_id": s.vmID(p), "runtime": "envoy.wasm.runtime.v8", "code": obj{"local": obj{"filename": path}}}
	text := func(v string) obj {
		return obj{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": v}
	}
	if v, ok := s.Options["vm-config"]; ok {
		vm["configuration"] = text(v)
	}
	if env, ok := s.Options["env"]; ok {
		values := obj{}
		for v := range strings.SplitSeq(env, ",") {
			name, value, _ := strings.Cut(v, "=")
			values[name] = value
		}
		vm["environment_variables"] = obj{"key_values": values}
	}
	config := obj{"name": s.pluginName(p), "root_id": p.root, "vm_config": vm}
	switch {
	case s.Guest != "":
		config["configuration"] = text(s.configuration())
	case p.config != "":
		config["configuration"] = text(p.config)
	}
	if _, ok := s.Options["stop-iteration"]; ok {
		config["allow_on_headers_stop_iteration"] = true
	}
	switch _, open := s.Options["fail-open"]; {
	case open:
		config["failure_policy"] = "FAIL_OPEN"
	default:
		if _, ok := s.Options["fail-reload"]; ok {
			config["failure_policy"] = "FAIL_RELOAD"
			config["reload_config"] = obj{"backoff": obj{"base_interval": "0.01s"}}
		}
	}
	return config
}

// addresses asks Envoy where it listens, by the listeners' names.
func addresses(t testing.TB, e *envoy.Envoy) map[string]string {
	out := map[string]string{}
	res, err := http.Get(e.Admin + "/listeners?format=json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Statuses {
		out[s.Name] = fmt.Sprintf("127.0.0.1:%d", s.Local.Socket.Port)
	}
	return out
}
