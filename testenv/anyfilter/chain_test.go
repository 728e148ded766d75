package anyfilter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// names are those of the probes in the chain.
var names = []string{"a", "b", "c"}

// subject is one of the two that run the chain.
type subject struct {
	url string
	log func() string
}

// upstream answers with what it received.
var upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came before an error is shown
	text := fmt.Sprintf("trace %s, state %s, body %q;", strings.Join(r.Header["X-Trace"], ","), r.Header.Get("X-State"), body)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
})

// inHost runs the chain in our host.
func inHost(t testing.TB, module string, upstream http.Handler) subject {
	t.Helper()
	wasm, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	var log buffer
	var plugins []host.Plugin
	for _, n := range names {
		plugins = append(plugins, host.Plugin{Wasm: wasm, Config: host.Config{
			Name: n, VMID: n, PluginConfig: []byte(n), Workers: 1, Deadline: 20 * time.Second,
			CacheDir: filepath.Join(testenv.Root(), "build", "test", "cache"),
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		}})
	}
	chain, err := host.NewChain(context.Background(), plugins...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(chain.Handler(upstream))
	t.Cleanup(func() {
		srv.Close()
		_ = chain.Close(context.Background())
	})
	return subject{srv.URL, log.String}
}

// inEnvoy runs the chain in Envoy.
func inEnvoy(t testing.TB, module string, upstream http.Handler) subject {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	port, admin := testenv.FreePort(t), testenv.FreePort(t)
	var filters strings.Builder
	for _, n := range names {
		fmt.Fprintf(&filters, `
          - name: envoy.filters.http.wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: %[1]s
                configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: %[1]s}
                vm_config: {vm_id: %[1]s, runtime: envoy.wasm.runtime.v8, code: {local: {filename: %[2]q}}}`, n, module)
	}
	bootstrap := fmt.Sprintf(`
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: chain
          http_protocol_options: {enable_trailers: true}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: upstream}}]}]}
          http_filters:%s
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: upstream
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {enable_trailers: true}}
    load_assignment: {cluster_name: upstream, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
`, admin, port, filters.String(), up.URL[strings.LastIndexByte(up.URL, ':')+1:])
	e := envoy.Start(t, envoy.Newest, []byte(bootstrap), fmt.Sprintf("127.0.0.1:%d", admin), "--concurrency", "1")
	return subject{fmt.Sprintf("http://127.0.0.1:%d", port), e.Log}
}

// seen is what can be seen of a request.
type seen struct {
	status int
	trace  []string // of the response
	denied string
	body   string
	events string
}

// send sends a request and waits for the end of its streams.
func (s subject) send(t *testing.T, body string, logs int, lines ...string) seen {
	t.Helper()
	before := len(s.log())
	req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return seen{res.StatusCode, res.Header["X-Trace"], res.Header.Get("X-Denied-By"), string(data), s.events(t, before, logs)}
}

// events returns what the probes have logged after a place in the log, once so many of
// them have seen the end of their stream.
func (s subject) events(t testing.TB, before, logs int) string {
	t.Helper()
	var events []string
	testenv.Eventually(t, 10*time.Second, "the end of the streams", func() bool {
		events = nil
		for _, part := range strings.Split(s.log()[before:], "probe ")[1:] {
			event, _, _ := strings.Cut(part, "\n")
			events = append(events, strings.TrimRight(event, `"`))
		}
		n := 0
		for _, e := range events {
			if strings.HasSuffix(e, ": log") {
				n++
			}
		}
		return n >= logs
	})
	return strings.Join(events, "\n")
}

// TestChain sends requests through the same three filters in both.
func TestChain(t *testing.T) {
	module := testenv.Guest(t, "probe")
	subjects := map[string]subject{"host": inHost(t, module, upstream), "envoy": inEnvoy(t, module, upstream)}
	for _, test := range []struct {
		name  string
		body  string
		lines []string
		want  seen
	}{
		{"all pass", "", nil, seen{status: 200, trace: []string{"c", "b", "a"}, body: `trace a,b,c, state ab, body "";`}},
		{"with a body", "x", nil, seen{status: 200, trace: []string{"c", "b", "a"}, body: `trace a,b,c, state ab, body "x";`}},
		{"the first denies", "", []string{"x-do-a: deny"}, seen{status: 403, trace: []string{"a"}, denied: "a", body: "denied by a"}},
		{"the second denies", "", []string{"x-do-b: deny"}, seen{status: 403, trace: []string{"b", "a"}, denied: "b", body: "denied by b"}},
		{"the last denies", "", []string{"x-do-c: deny"}, seen{status: 403, trace: []string{"c", "b", "a"}, denied: "c", body: "denied by c"}},
		{"two pause", "", []string{"x-do-a: pause", "x-do-c: pause"}, seen{status: 200, trace: []string{"c", "b", "a"}, body: `trace a,b,c, state ab, body "";`}},
		{"pause, then deny", "x", []string{"x-do-a: pause", "x-do-b: deny"}, seen{status: 403, trace: []string{"b", "a"}, denied: "b", body: "denied by b"}},
		{"two hold the body", "x", []string{"x-do-a: hold", "x-do-c: hold"}, seen{status: 200, trace: []string{"c", "b", "a"}, body: `trace a,b,c, state ab, body "xac";`}},
		{"two hold the response", "", []string{"x-do-a: hold-response", "x-do-c: hold-response"}, seen{status: 200, trace: []string{"c", "b", "a"}, body: `trace a,b,c, state ab, body "";ca`}},
		{"the second denies the body", "x", []string{"x-do-b: deny-body"}, seen{status: 403, trace: []string{"c", "b", "a"}, denied: "b", body: "denied by b"}},
		{"a refusal whose response is held", "", []string{"x-do-a: hold-response", "x-do-b: deny"}, seen{status: 403, trace: []string{"b", "a"}, denied: "b", body: "denied by ba"}},
		{"the second denies the response", "", []string{"x-do-b: deny-response"}, seen{status: 403, denied: "b", body: "denied by b"}},
		{"the second traps", "", []string{"x-do-b: trap"}, seen{status: 503, trace: []string{"a"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]seen{}
			for name, s := range subjects {
				t.Run(name, func(t *testing.T) {
					logs := len(names)
					if test.want.status == 503 {
						logs = 2 // a VM that has ended logs nothing
					}
					r := s.send(t, test.body, logs, test.lines...)
					got[name] = r
					want := test.want
					if r.status != want.status || !slices.Equal(r.trace, want.trace) || r.denied != want.denied || r.body != want.body {
						t.Errorf("got %+v, want %+v", r, want)
					}
					testenv.Evidence(t, "%d %v %q, upstream or filter said %q", r.status, r.trace, r.denied, r.body)
				})
			}
			if h, e := got["host"].events, got["envoy"].events; h != e {
				t.Errorf("callbacks in the host:\n%s\n\nin Envoy:\n%s", h, e)
			}
		})
	}
}

// buffer collects what is logged.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns everything so far.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
