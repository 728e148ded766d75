package stream_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport-auth/sallyport/host/internal/callout"
	"github.com/sallyport-auth/sallyport/host/internal/foreign"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/shared"
	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/host/internal/wasi"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/routing"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// direct is a transport that calls a handler.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// bench is the module in a VM, with a sidecar behind it and no HTTP in front.
type bench struct {
	t        testing.TB
	provider *idp.Server
	oidc     string
	root     *vm.Root
	table    *routing.Table
	env      vectors.Env
	log      strings.Builder
	verified int // calls of verify_signature
	route    string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	path, _ := testenv.Build(t)
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Evidence(t, "module %x", sha256.Sum256(wasm))
	provider := idp.Start(t)
	vectors.Provider(provider)
	b := &bench{t: t, provider: provider, env: vectors.Env{Upstream: "http://127.0.0.1:9", Issuer: provider.Issuer()}}
	dir := testenv.TempDir(t)
	file := filepath.Join(dir, "kong.yml")
	if err := os.WriteFile(file, []byte(vectors.Suite(b.env)), 0o600); err != nil {
		t.Fatal(err)
	}
	sc, err := sidecar.Open(sidecar.Config{File: file, StateDir: filepath.Join(dir, "state"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sc.Close)
	b.table = sc.File().Table()
	b.oidc = b.table.Match(&routing.Request{Path: "/oidc/x", Header: func(string) (string, bool) { return "", false }}).Name

	limits := hostcall.Limits{Calls: 64, CallBytes: 1 << 20, AllCallBytes: 8 << 20, CallTimeout: time.Minute, Metrics: 64, LogBytes: 1 << 10, ForeignBytes: 64 << 10}
	env := &hostcall.Env{
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)), LogLevel: abi.Info,
		Data: &shared.Data{}, Queues: &shared.Queues{}, Metrics: (&shared.Metrics{}).IDs(), Limits: limits,
		Call: (&callout.Caller{Clusters: callout.Clusters{"sidecar": {Transport: direct{sc.Handler()}, Scheme: "http", Host: "sidecar"}}, Limits: limits}).Call,
		Foreign: map[string]hostcall.Foreign{abi.VerifySignatureFunction: func(_ vm.Context, a []byte) ([]byte, abi.Status) {
			b.verified++
			return foreign.VerifySignature(a)
		}},
	}
	ctx := context.Background()
	m, err := vm.Compile(ctx, wasm, vm.Limits{CacheDir: filepath.Join(testenv.Root(), "build", "test", "cache")},
		func(ctx context.Context, r wazero.Runtime, version string) error {
			return errors.Join(wasi.Register(ctx, r, nil, func(context.Context, bool, []byte) {}), hostcall.Register(ctx, r, version))
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(ctx) })
	v, err := m.NewVM(ctx, 0, env, func(err error) { t.Errorf("the VM has ended: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	ok := false
	_ = v.Do(func() {
		b.root, ok = v.NewRoot(vm.Plugin{Name: "sallyport", Config: []byte(`{"cluster":"sidecar","log_lines":100000}`)}, nil)
	})
	if !ok {
		t.Fatal("the module refuses its configuration")
	}
	t.Cleanup(func() { _ = v.Do(b.root.Stop) })
	for _, probe := range []string{"/oidc/", "/oidc-audience/", "/oidc-issuers/"} {
		token := provider.Token("k1", map[string]any{"aud": "api"})
		if probe == "/oidc-issuers/" {
			token = provider.Token("k1", map[string]any{"iss": "https://outside.example"})
		}
		testenv.Eventually(t, 10*time.Second, "the issuer's keys for "+probe, func() bool {
			return b.send("GET", probe, []vectors.Header{{Name: "Authorization", Value: "Bearer " + token}}).Status == 200
		})
	}
	return b
}

// Property implements stream.Properties.
func (b *bench) Property(_ *stream.Stream, path []string) ([]byte, abi.Status) {
	if strings.Join(path, ".") != "xds.route_name" || b.route == "" {
		return nil, abi.NotFound
	}
	return []byte(b.route), abi.OK
}

// send shows one request to the module and says what came of it.
func (b *bench) send(method, target string, headers []vectors.Header) vectors.Result {
	s := stream.New(b.root, stream.Options{MaxBody: 1 << 20}, b, &stream.State{})
	defer s.Done()
	id := tokens.Random()
	m := s.RequestMap()
	m.Append(":authority", "gateway.example")
	m.Append(":path", target)
	m.Append(":method", method)
	m.Append("x-request-id", id)
	for _, h := range headers {
		m.Append(strings.ToLower(h.Name), h.Value)
	}
	path, _, _ := strings.Cut(target, "?")
	b.route = ""
	if e := b.table.Match(&routing.Request{Host: "gateway.example", Path: path, Method: method, Header: m.Joined}); e != nil {
		b.route = e.Name
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch o := s.RequestHeaders(ctx, true); o {
	case stream.Proceed:
		r := vectors.Result{Status: 200, Header: http.Header{}, Upstream: http.Header{}}
		s.RequestMap().Export(r.Upstream)
		return r
	case stream.Local:
		l := s.Local()
		r := vectors.Result{Status: l.Status, Body: string(l.Body), Header: http.Header{}, Reason: b.reason(id)}
		for _, p := range l.Headers {
			r.Header.Add(p.Key, p.Value)
		}
		return r
	default:
		b.t.Fatalf("%s %s: outcome %d", method, target, o)
		return vectors.Result{}
	}
}

// reason finds a request's reason in the log.
func (b *bench) reason(id string) string {
	found := ""
	_ = b.root.VM().Do(func() { // the log is written under the lock
		for line := range strings.SplitSeq(b.log.String(), "\n") {
			if strings.Contains(line, "request_id="+id) {
				_, rest, _ := strings.Cut(line, "denied reason=")
				found, _, _ = strings.Cut(rest, " ")
			}
		}
	})
	return found
}

// TestVectors is the second of the five runners: the module in the host's VM,
// without HTTP.
func TestVectors(t *testing.T) {
	b := newBench(t)
	all := vectors.All(t)
	ran := 0
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			for range 2 {
				target, headers := c.Build(t, b.env)
				r := b.send(c.Method, target, headers)
				if c.Status == 200 { // the reason of a pass is not said
					r.Reason = c.Reason
				}
				c.Check(t, r)
			}
			ran++
		})
	}
	if ran != len(all) {
		t.Errorf("%d vectors of %d ran", ran, len(all))
	}
	if b.verified == 0 {
		t.Error("the module never called verify_signature")
	}
	testenv.Evidence(t, "%d vectors, twice each, verify_signature called %d times", ran, b.verified)
}

// BenchmarkRemembered is a request whose token the module remembers.
func BenchmarkRemembered(b *testing.B) {
	bench := newBench(b)
	token := bench.provider.Token("k1", nil)
	b.ReportAllocs()
	for b.Loop() {
		s := stream.New(bench.root, stream.Options{MaxBody: 1 << 20}, bench, &stream.State{})
		m := s.RequestMap()
		m.Append(":authority", "gateway.example")
		m.Append(":path", "/oidc/x")
		m.Append(":method", "GET")
		m.Append(":scheme", "http")
		m.Append("user-agent", "bench/1.0")
		m.Append("accept", "*/*")
		m.Append("authorization", "Bearer "+token)
		m.Append("x-forwarded-for", "127.0.0.1")
		m.Append("x-forwarded-proto", "http")
		m.Append("x-request-id", "0b680464-9307-4046-bee2-c05502271038")
		bench.route = bench.oidc
		if o := s.RequestHeaders(b.Context(), true); o != stream.Proceed {
			b.Fatal(o)
		}
		s.Done()
	}
}
