package policy_test

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/routing"
	"github.com/sallyport-auth/sallyport/internal/wire"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// native verifies as a proxy's verify_signature does.
type native struct{ calls int }

func (n *native) Verify(alg jose.Alg, der, input, signature string) wire.Verdict {
	n.calls++
	pub, err := x509.ParsePKIXPublicKey([]byte(der))
	if err != nil {
		return wire.Unjudged
	}
	if keys.Verify(alg, pub, input, signature) {
		return wire.Valid
	}
	return wire.Invalid
}

// absent is a proxy without verify_signature.
type absent struct{}

func (absent) Verify(jose.Alg, string, string, string) wire.Verdict { return wire.Unjudged }

// bench is an engine with a sidecar behind it, and no proxy in between.
type bench struct {
	t       testing.TB
	engine  *policy.Engine
	sidecar *sidecar.Sidecar
	table   *routing.Table
	env     vectors.Env
	asked   int
}

func newBench(t testing.TB, verifier policy.Verifier) *bench {
	t.Helper()
	provider := idp.Start(t)
	vectors.Provider(provider)
	env := vectors.Env{Upstream: "http://127.0.0.1:9", Issuer: provider.Issuer()}
	dir := testenv.TempDir(t)
	path := filepath.Join(dir, "kong.yml")
	if err := os.WriteFile(path, []byte(vectors.Suite(env)), 0o600); err != nil {
		t.Fatal(err)
	}
	sc, err := sidecar.Open(sidecar.Config{File: path, StateDir: filepath.Join(dir, "state"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sc.Close)
	b := &bench{t: t, engine: policy.New(verifier, policy.Config{}), sidecar: sc, table: sc.File().Table(), env: env}
	// Keys come in the background; the vectors are about tokens, not about waiting.
	testenv.Eventually(t, 10*time.Second, "the issuer's keys", func() bool {
		b.sync()
		down := 0
		for _, tr := range b.engine.Bundle().Trust {
			if tr.Unavailable != "" {
				down++
			}
		}
		return down == 1 // one is meant to be
	})
	return b
}

// do sends a request to the sidecar as a filter does.
func (b *bench) do(method, path string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(string(body)))
	req.Header.Set(wire.VersionHeader, wire.Version)
	rec := httptest.NewRecorder()
	b.sidecar.Handler().ServeHTTP(rec, req)
	return rec
}

// sync takes over the bundle on offer and the changes so far.
func (b *bench) sync() {
	b.t.Helper()
	rec := b.do("GET", wire.PathBundle, nil)
	bd, err := bundle.Decode(rec.Body.String())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.engine.SetBundle(bd, strings.Trim(rec.Header().Get("ETag"), `"`), time.Now().Unix()); err != nil {
		b.t.Fatal(err)
	}
	feed, _, etag := b.engine.Place()
	changes, ok := wire.DecodeChanges(b.do("GET", wire.ChangesPath(feed, "0", etag), nil).Body.String())
	if !ok {
		b.t.Fatal("no changes")
	}
	b.engine.Apply(changes)
}

// request puts a case in the words of the machine: what a proxy would show of it.
func (b *bench) request(c *vectors.Case) *policy.Request {
	b.t.Helper()
	target, headers := c.Build(b.t, b.env)
	req := policy.Request{Now: time.Now().Unix()}
	pairs := []abi.Pair{
		{Key: ":authority", Value: "gateway.example"}, {Key: ":path", Value: target}, {Key: ":method", Value: c.Method},
		{Key: "x-request-id", Value: "test"},
	}
	h := http.Header{}
	for _, x := range headers {
		pairs = append(pairs, abi.Pair{Key: strings.ToLower(x.Name), Value: x.Value})
		h.Add(x.Name, x.Value)
	}
	req.Headers = abi.Pairs(abi.AppendPairs(nil, pairs))
	path, _, _ := strings.Cut(target, "?")
	entry := b.table.Match(&routing.Request{Host: "gateway.example", Path: path, Method: c.Method,
		Header: func(name string) (string, bool) { v := h.Values(name); return strings.Join(v, ","), len(v) > 0 }})
	req.RouteState = policy.RouteNone
	if entry != nil {
		req.RouteState, req.Route = policy.RouteChosen, entry.Name
	}
	return &req
}

// judge runs a request to its end, answering its questions.
func (b *bench) judge(req *policy.Request) *policy.Step {
	b.t.Helper()
	step := b.engine.Start(req)
	for i := 0; step.Kind == policy.Ask; i++ {
		if i == 8 {
			b.t.Fatal("the machine does not end")
		}
		b.asked++
		answer, ok := wire.DecodeAnswer(b.do("POST", wire.PathAsk, step.Question.Encode()).Body.String())
		if !ok {
			b.t.Fatal("the sidecar's answer cannot be read")
		}
		step = b.engine.Resume(step.Pending, step.Question, answer, reason.Unspecified, req.Now)
	}
	return step
}

// result is what a client and an upstream would see of a step.
func result(step *policy.Step, req *policy.Request) vectors.Result {
	r := vectors.Result{Status: 200, Reason: step.Reason.Error(), Header: http.Header{}}
	if step.Kind == policy.Deny {
		r.Status, r.Body = step.Response.Status, step.Response.Body
		for _, h := range step.Response.Headers {
			r.Header.Add(h.Key, h.Value)
		}
		return r
	}
	r.Upstream = http.Header{}
	for h := req.Headers.Cursor(); h.Next(); {
		gone := false
		for _, name := range step.Edits.Remove {
			gone = gone || name == h.Key
		}
		if !gone && h.Key[0] != ':' {
			r.Upstream[http.CanonicalHeaderKey(h.Key)] = append(r.Upstream[http.CanonicalHeaderKey(h.Key)], h.Value)
		}
	}
	for _, h := range step.Edits.Set {
		r.Upstream.Set(h.Key, h.Value)
	}
	return r
}

// TestVectors is the first of the five runners: the machine alone. Every case runs
// twice, so that the caches answer too, and again without verify_signature.
func TestVectors(t *testing.T) {
	for name, verifier := range map[string]policy.Verifier{"native": &native{}, "without verify_signature": absent{}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, verifier)
			all := vectors.All(t)
			for _, c := range all {
				t.Run(c.Name, func(t *testing.T) {
					for range 2 {
						req := b.request(c)
						c.Check(t, result(b.judge(req), req))
					}
				})
			}
			if n, ok := verifier.(*native); ok && n.calls == 0 {
				t.Error("verify_signature was never asked")
			}
			if b.asked == 0 {
				t.Error("the sidecar was never asked")
			}
			testenv.Evidence(t, "%d vectors, twice each, %d questions", len(all), b.asked)
		})
	}
}
