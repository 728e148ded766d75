package abi

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/testenv"
)

// lines collects what guests log. It is a slog.Handler.
type lines struct {
	plugin string
	to     *lineList
}

type lineList struct {
	mu   sync.Mutex // guards list
	list []line
}

func (l *lineList) get() []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]line(nil), l.list...)
}

// Enabled implements slog.Handler.
func (lines) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler. What the host says itself has attributes.
func (l lines) Handle(_ context.Context, r slog.Record) error {
	if r.NumAttrs() > 0 {
		return nil
	}
	levels := map[slog.Level]string{-8: "trace", -4: "debug", 0: "info", 4: "warning", 8: "error", 12: "critical"}
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.list = append(l.to.list, line{l.plugin, levels[r.Level], r.Message})
	return nil
}

// WithAttrs implements slog.Handler. Only a guest that is started to be tried has
// attributes, and of such in Envoy nothing is taken either.
func (l lines) WithAttrs([]slog.Attr) slog.Handler { return slog.DiscardHandler }

// WithGroup implements slog.Handler.
func (l lines) WithGroup(string) slog.Handler { return l }

// moduleOf returns the module of a scenario.
func moduleOf(s *Scenario) ([]byte, error) {
	switch {
	case s.Guest != "":
		return os.ReadFile(s.Guest)
	case s.Module != "":
		return os.ReadFile(s.Module)
	}
	return Emit(s)
}

// RunHost runs a scenario in the host, with one worker. What ctx carries is the host's.
func RunHost(ctx context.Context, s *Scenario) (*Record, error) {
	return RunHostWithin(ctx, s, 10*time.Second)
}

// RunHostWithin is RunHost for a host that is not expected to answer everything: it
// waits only so long for a response, and for the end.
func RunHostWithin(ctx context.Context, s *Scenario, wait time.Duration) (*Record, error) {
	wasm, err := moduleOf(s)
	if err != nil {
		return nil, err
	}
	up := startUpstream(s)
	defer up.close()
	var logged lineList
	var plugins []host.Plugin
	for _, p := range s.Plugins {
		plugins = append(plugins, host.Plugin{Wasm: wasm, Config: hostConfig(s, p, up, &logged)})
	}
	chain, err := host.NewChain(ctx, plugins...)
	if err != nil {
		return &Record{Refused: true}, nil
	}
	var once sync.Once
	end := func() { once.Do(func() { _ = chain.Close(ctx) }) }
	defer end()
	srv := httptest.NewUnstartedServer(chain.Handler(router(s, up)))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	if _, ok := s.Options["tls"]; ok {
		srv.TLS = serverTLS()
		srv.Config.Protocols.SetHTTP2(true)
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
	}
	defer srv.Close()
	c := newClient(srv.Listener.Addr().String(), srv.TLS != nil)
	defer c.close()
	c.wait = wait
	rec := &Record{}
	for _, r := range s.Requests {
		_ = testenv.Poll(wait, func() bool { // a worker that has trapped is replaced
			return !slices.ContainsFunc(chain.Stats(), func(f host.FilterStats) bool { return f.Running == 0 })
		})
		rec.Responses = append(rec.Responses, c.send(s, r))
	}
	up.release(func() []string { return decode(s, logged.get()) })
	if _, ok := s.Options["shutdown"]; ok {
		srv.Close()
		go end()
	}
	err = testenv.Poll(wait, func() bool {
		rec.Log = decode(s, logged.get())
		return s.finished(rec.Log)
	})
	if err != nil {
		rec.Log = append(rec.Log, "not finished")
	}
	rec.Upstream = up.requests()
	if name, ok := s.Options["metric"]; ok {
		rec.Metrics = map[string]string{}
		for _, f := range chain.Stats() {
			for _, m := range f.Metrics {
				if m.Name == name+s.ID {
					rec.Metrics[name] = fmt.Sprint(m.Value)
				}
			}
		}
	}
	return rec, nil
}

// router forwards requests as Envoy's router does in listenerOf: it adds nothing.
func router(s *Scenario, up *upstream) http.Handler {
	to, _ := url.Parse(up.srv.URL) // httptest's own
	transport := &http.Transport{DisableCompression: true}
	if _, ok := s.Options["h2-upstream"]; ok {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := p.In.Header[name]; ok {
					p.Out.Header[name] = v
				}
			}
			if _, ok := p.In.Header["User-Agent"]; !ok {
				p.Out.Header["User-Agent"] = nil
			}
			if p.In.Trailer != nil { // ReverseProxy forgets what comes after the body
				p.Out.Body = &trailing{p.Out.Body, p.In, p.Out}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler)
			}
			const text = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, text) // the client may be gone
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil // what the upstream does not say is not guessed
		proxy.ServeHTTP(w, r)
	})
}

// trailing carries trailers over at the end of a body.
type trailing struct {
	io.ReadCloser
	from, to *http.Request
}

// Read implements io.Reader.
func (t *trailing) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		maps.Copy(t.to.Trailer, t.from.Trailer)
	}
	return n, err
}

func hostConfig(s *Scenario, p plugin, up *upstream, logged *lineList) host.Config {
	config := host.Config{
		Name: s.pluginName(p), RootID: p.root, VMID: s.vmID(p), Workers: 1, Deadline: 5 * time.Second,
		PluginConfig: []byte(p.config), VMConfig: []byte(s.Options["vm-config"]),
		Clusters:   map[string]string{s.cluster(): up.srv.URL, s.grpcCluster(): "h2c" + strings.TrimPrefix(up.srv.URL, "http"), "refused." + s.ID: "h2c://127.0.0.1:1"},
		Logger:     slog.New(lines{s.pluginName(p)[len(s.ID):], logged}),
		Properties: func(_ *http.Request, path string) ([]byte, bool) { return []byte("upstream"), path == "xds.route_name" },
	}
	if s.Guest != "" { // which takes seconds to compile
		config.PluginConfig = []byte(s.configuration())
		config.CacheDir = filepath.Join(testenv.Root(), "build", "test", "cache")
	}
	if name, ok := s.Options["cluster"]; ok {
		config.Clusters[name] = up.srv.URL
	}
	if name, ok := s.Options["grpc-cluster"]; ok {
		config.Clusters[name] = config.Clusters[s.grpcCluster()]
	}
	if s.Module != "" {
		config.CacheDir = filepath.Join(testenv.Root(), "build", "test", "cache")
	}
	_, config.StopIteration = s.Options["stop-iteration"]
	if env, ok := s.Options["env"]; ok {
		config.Env = strings.Split(env, ",")
	}
	if _, ok := s.Options["fail-open"]; ok {
		config.Failure = host.FailOpen
	}
	if limit, ok := s.Options["limit"]; ok {
		_, _ = fmt.Sscan(limit, &config.MaxBody)
	}
	return config
}
