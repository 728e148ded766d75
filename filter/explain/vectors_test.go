package explain_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/filter/explain"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// bench is a declarative file with a sidecar.
type bench struct {
	t        testing.TB
	provider *idp.Server
	file     *declarative.File
	sidecar  *explain.Sidecar
}

// newBench opens a sidecar for a file; down is how many of its issuers are meant not to
// answer.
func newBench(t testing.TB, provider *idp.Server, file string, down int) *bench {
	t.Helper()
	dir := testenv.TempDir(t)
	path := filepath.Join(dir, "kong.yml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	sc, err := sidecar.Open(sidecar.Config{File: path, StateDir: filepath.Join(dir, "state"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sc.Close)
	b := &bench{t: t, provider: provider, file: sc.File(), sidecar: explain.InProcess(sc.Handler())}
	testenv.Eventually(t, 10*time.Second, "the issuer's keys", func() bool {
		offered, err := bundle.Decode(b.bundle())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, trust := range offered.Trust {
			if trust.Unavailable != "" {
				n++
			}
		}
		return n == down
	})
	return b
}

func (b *bench) bundle() string {
	b.t.Helper()
	text, err := b.sidecar.Bundle(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// explain explains a request and returns it as text and as JSON too.
func (b *bench) explain(r explain.Request) (trace *explain.Trace, text, encoded string) {
	b.t.Helper()
	trace, err := explain.Run(b.file, b.bundle(), r, b.sidecar.Ask(b.t.Context()))
	if err != nil {
		b.t.Fatal(err)
	}
	var plain, object bytes.Buffer
	if err := trace.Text(&plain); err != nil {
		b.t.Fatal(err)
	}
	if err := trace.JSON(&object); err != nil {
		b.t.Fatal(err)
	}
	return trace, plain.String(), object.String()
}

// result is what a client and an upstream would see of a request.
func result(t *explain.Trace, sent []vectors.Header) vectors.Result {
	r := vectors.Result{Status: t.Decision.Status, Reason: t.Decision.Reason, Header: http.Header{}}
	if t.Response != nil {
		r.Body = t.Response.Body
		for _, h := range t.Response.Headers {
			r.Header.Add(h.Name, h.Value)
		}
	}
	if t.Upstream == nil {
		return r
	}
	r.Status, r.Upstream = http.StatusOK, http.Header{}
	for _, h := range sent {
		if !slices.Contains(t.Upstream.Remove, strings.ToLower(h.Name)) {
			r.Upstream.Add(h.Name, h.Value)
		}
	}
	for _, h := range t.Upstream.Set {
		r.Upstream.Set(h.Name, h.Value)
	}
	return r
}

// parts returns what of a request must not show: its tokens and their parts.
func parts(target string, headers []vectors.Header) (list []string) {
	text := target
	for _, h := range headers {
		text += " " + h.Value
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;=&?\"", r) }) {
		if !strings.Contains(word, ".") || !strings.HasPrefix(word, "eyJ") {
			continue
		}
		list = append(list, word)
		for part := range strings.SplitSeq(word, ".") {
			if len(part) > 20 {
				list = append(list, part)
			}
		}
	}
	return list
}

// secrets are those of the suite's file, and what of requests opens something.
var secrets = []string{"alice-secret-of", "carols-secret-of", "YWxpY2Utc2VjcmV0", "alice-key-", "alice+key", "alice%2Bkey", "bob-key-",
	"open sesame", "pässword", "bob-password", "QWxhZGRpbjpv", "YWxpY2U6", "$2a$", "argon2id$"}

func hides(t *testing.T, output string, tokens []string) {
	t.Helper()
	for _, s := range append(tokens, secrets...) {
		if strings.Contains(output, s) {
			t.Errorf("%.12s… is in\n%s", s, output)
		}
	}
}

// TestVectors is the fifth runner. What is explained of each plugin has to fit the
// decision, and no token and no secret may show.
func TestVectors(t *testing.T) {
	provider := idp.Start(t)
	vectors.Provider(provider)
	env := vectors.Env{Upstream: "http://127.0.0.1:9", Issuer: provider.Issuer()}
	b := newBench(t, provider, vectors.Suite(env), 1)
	all := vectors.All(t)
	ran, asked, tokens := 0, 0, 0
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			target, headers := c.Build(t, env)
			r := explain.Request{Method: c.Method, URL: "http://gateway.example" + target}
			for _, h := range headers {
				r.Headers = append(r.Headers, explain.Header{Name: h.Name, Value: h.Value})
			}
			trace, text, encoded := b.explain(r)
			c.Check(t, result(trace, headers))
			fits(t, trace)
			hidden := parts(target, headers)
			hides(t, text, hidden)
			hides(t, encoded, hidden)
			var again explain.Trace
			if err := json.Unmarshal([]byte(encoded), &again); err != nil || again.Decision != trace.Decision {
				t.Errorf("%v: %s", err, encoded)
			}
			for _, p := range trace.Chain {
				asked += len(p.Questions)
			}
			tokens += len(hidden)
			ran++
		})
	}
	if ran != len(all) || ran < 200 {
		t.Errorf("%d vectors of %d ran", ran, len(all))
	}
	if asked == 0 || tokens < 200 {
		t.Errorf("%d questions, %d texts to hide", asked, tokens)
	}
	testenv.Evidence(t, "%d vectors, %d questions", ran, asked)
}

// fits holds what is said of the plugins against the decision.
func fits(t *testing.T, trace *explain.Trace) {
	t.Helper()
	accepted, anonymous, decided := false, false, ""
	for _, p := range trace.Chain {
		failed := 0
		for _, c := range p.Checks {
			if c.Result == explain.Failed {
				failed++
			}
		}
		switch p.Outcome {
		case explain.Accepted:
			if failed != 0 || p.Reason != reason.Allowed.Error() {
				t.Errorf("%s accepts by %s with %+v", p.Name, p.Reason, p.Checks)
			}
			accepted, anonymous = true, false
		case explain.Refused, explain.Anonymous:
			if failed != 1 {
				t.Errorf("%s refuses for %s with %+v", p.Name, p.Reason, p.Checks)
			}
			anonymous = p.Outcome == explain.Anonymous
			if !anonymous {
				decided = p.Reason
			}
		}
	}
	switch {
	case decided == "" && accepted:
		decided = reason.Allowed.Error()
	case decided == "" && anonymous:
		decided = reason.AllowedAnonymous.Error()
	}
	if decided != "" && decided != trace.Decision.Reason {
		t.Errorf("the plugins come to %s, the decision is %s: %+v", decided, trace.Decision.Reason, trace.Chain)
	}
}
