package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/consumers"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/password"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/publish"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/revoke"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// bench is a server with a file in force.
type bench struct {
	*Server
	t         testing.TB
	dir       *state.Dir
	publisher *publish.Publisher
	registry  *prometheus.Registry
}

func start(t testing.TB) *bench {
	t.Helper()
	dir, err := state.Open(t.TempDir(), redact.New("an installation secret of more than 32 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, registry: prometheus.NewRegistry()}
	b.publisher = publish.New(dir, slog.New(slog.DiscardHandler), time.Now, func(c provider.Config) *http.Client {
		return provider.NewClient(c)
	})
	revoked, err := revoke.Open(dir.Path(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	logins := login.New(revoked, nil, slog.New(slog.DiscardHandler), time.Now, b.publisher.Revoked)
	people, err := consumers.Open(t.Context(), consumers.Config{Current: b.publisher.Current})
	if err != nil {
		t.Fatal(err)
	}
	b.Server = New(b.publisher, people, logins, inquiry.New(nil, slog.New(slog.DiscardHandler), time.Now), password.New(), b.registry)
	t.Cleanup(func() { b.publisher.Close(); _ = revoked.Close(); _ = dir.Close() })
	return b
}

func (b *bench) use(file string) {
	b.t.Helper()
	f, problems := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file), declarative.Options{Installation: b.dir.Derive, Hash: b.passwords.Hash})
	if f == nil {
		b.t.Fatal(problems)
	}
	if err := b.publisher.Use(snapshot.Compile(f, snapshot.Secrets{MAC: func(parts ...string) string { return b.dir.Derive("v", parts...) }, Session: redact.New("a session secret")})); err != nil {
		b.t.Fatal(err)
	}
}

// send sends a request with our version of the contract; a line takes its place.
func (b *bench) send(method, target, body string, lines ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set(wire.VersionHeader, wire.Version)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// instance returns the first plugin of a route in the bundle on offer.
func (b *bench) instance(route string) (id string, generation uint64, p *bundle.Plugin) {
	b.t.Helper()
	w := b.send("GET", wire.PathBundle, "")
	decoded, err := bundle.Decode(w.Body.String())
	if err != nil {
		b.t.Fatalf("status %d: %v", w.Code, err)
	}
	for name, r := range decoded.Routes {
		if strings.HasPrefix(name, route+".") && len(r.Chain) > 0 {
			return r.Chain[0].ID, decoded.Generation, r.Chain[0]
		}
	}
	b.t.Fatalf("no plugin on route %s", route)
	return "", 0, nil
}

const minimal = `
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}]}]
consumers: [{username: alice, jwt_secrets: [{key: k1, secret: s1}]}]
`

func TestRequestsThatAreNoneOfTheContract(t *testing.T) {
	b := start(t)
	b.use(minimal)
	id, generation, _ := b.instance("r")
	question := string((&wire.Question{Kind: wire.Lookup, Instance: id, Generation: generation, Key: "k1"}).Encode())
	more := func(members string) string { return strings.TrimSuffix(question, "}") + "," + members + "}" }
	for _, test := range []struct {
		name, method, target, body string
		lines                      []string
		status                     int
		code                       string // of the answer; "-" for a body that is no answer
	}{
		{name: "a question", method: "POST", target: wire.PathAsk, body: question, status: 200},
		{name: "unknown members are stepped over", method: "POST", target: wire.PathAsk, body: more(`"later":{"x":1}`), status: 200},
		{name: "unknown members that are deep", method: "POST", target: wire.PathAsk, body: more(`"later":{"x":{"y":{"z":{"a":1}}}}`), status: 200, code: "sidecar_refused"},
		{name: "no version", method: "POST", target: wire.PathAsk, body: question, lines: []string{wire.VersionHeader + ": "}, status: 400, code: "-"},
		{name: "another version", method: "POST", target: wire.PathAsk, body: question, lines: []string{wire.VersionHeader + ": 2"}, status: 400, code: "-"},
		{name: "a version that begins like ours", method: "GET", target: wire.PathBundle, lines: []string{wire.VersionHeader + ": 1.1"}, status: 400, code: "-"},
		{name: "another version and no such path", method: "GET", target: "/x", lines: []string{wire.VersionHeader + ": 2"}, status: 400, code: "-"},
		{name: "GET a question", method: "GET", target: wire.PathAsk, status: 405, code: "-"},
		{name: "PUT a question", method: "PUT", target: wire.PathAsk, body: question, status: 405, code: "-"},
		{name: "POST the bundle", method: "POST", target: wire.PathBundle, status: 405, code: "-"},
		{name: "DELETE changes", method: "DELETE", target: wire.PathChanges, status: 405, code: "-"},
		{name: "the root", method: "GET", target: "/", status: 404, code: "-"},
		{name: "another version's path", method: "GET", target: "/v2/bundle", status: 404, code: "-"},
		{name: "a path below", method: "GET", target: wire.PathBundle + "/x", status: 404, code: "-"},
		{name: "the admin API", method: "GET", target: "/jwts", status: 404, code: "-"},
		{name: "metrics", method: "GET", target: "/metrics", status: 404, code: "-"},
		{name: "profiles", method: "GET", target: "/debug/pprof/", status: 404, code: "-"},
		{name: "no body", method: "POST", target: wire.PathAsk, status: 200, code: "sidecar_refused"},
		{name: "no JSON", method: "POST", target: wire.PathAsk, body: "x", status: 200, code: "sidecar_refused"},
		{name: "an array", method: "POST", target: wire.PathAsk, body: "[" + question + "]", status: 200, code: "sidecar_refused"},
		{name: "a member twice", method: "POST", target: wire.PathAsk, body: more(`"key":"k2"`), status: 200, code: "sidecar_refused"},
		{name: "bytes behind it", method: "POST", target: wire.PathAsk, body: question + "x", status: 200, code: "sidecar_refused"},
		{name: "an unknown kind", method: "POST", target: wire.PathAsk, body: strings.Replace(question, "lookup", "session", 1), status: 200, code: "sidecar_refused"},
		{name: "a number for a text", method: "POST", target: wire.PathAsk, body: strings.Replace(question, `"k1"`, "1", 1), status: 200, code: "sidecar_refused"},
		{name: "an unknown algorithm", method: "POST", target: wire.PathAsk, body: more(`"alg":"none"`), status: 200, code: "sidecar_refused"},
		{name: "a negative generation", method: "POST", target: wire.PathAsk, body: strings.Replace(question, fmt.Sprintf(`"generation":%d`, generation), `"generation":-1`, 1), status: 200, code: "sidecar_refused"},
		{name: "a padded signature", method: "POST", target: wire.PathAsk, body: more(`"signature":"AA=="`), status: 200, code: "sidecar_refused"},
		{name: "a body as large as it may be", method: "POST", target: wire.PathAsk, body: question + strings.Repeat(" ", wire.MaxQuestion-len(question)), status: 200},
		{name: "a byte too many", method: "POST", target: wire.PathAsk, body: question + strings.Repeat(" ", wire.MaxQuestion-len(question)+1), status: 200, code: "sidecar_refused"},
		{name: "since is no number", method: "GET", target: wire.PathChanges + "?since=x", status: 400, code: "-"},
		{name: "since is missing", method: "GET", target: wire.PathChanges, status: 400, code: "-"},
		{name: "since is negative", method: "GET", target: wire.PathChanges + "?since=-1", status: 400, code: "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := b.send(test.method, test.target, test.body, test.lines...)
			if w.Code != test.status {
				t.Fatalf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if got := w.Header().Get(wire.VersionHeader); got != wire.Version {
				t.Errorf("our version is %q in the answer", got)
			}
			if test.code == "-" {
				if _, ok := wire.DecodeAnswer(w.Body.String()); ok {
					t.Errorf("an answer to no question: %s", w.Body)
				}
				return
			}
			a, ok := wire.DecodeAnswer(w.Body.String())
			got := ""
			if a.Code != reason.Unspecified {
				got = a.Code.Error()
			}
			if !ok || got != test.code || (a.Credential != nil) != (test.code == "") {
				t.Errorf("answer %s, want code %q", w.Body, test.code)
			}
		})
	}
}

func TestBeforeTheFirstBundle(t *testing.T) {
	b := start(t)
	for _, target := range []string{wire.PathBundle, wire.PathChanges + "?since=0"} {
		if w := b.send("GET", target, ""); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: status %d, header %v: want 503 with Retry-After", target, w.Code, w.Header())
		}
	}
	q := wire.Question{Kind: wire.Lookup, Instance: "jwt-1", Generation: 1, Key: "k1"}
	if a, ok := wire.DecodeAnswer(b.send("POST", wire.PathAsk, string(q.Encode())).Body.String()); !ok || a.Code != reason.SidecarRefused {
		t.Errorf("answer %+v", a)
	}
}

func TestBundleAndItsETag(t *testing.T) {
	b := start(t)
	b.use(minimal)
	w := b.send("GET", wire.PathBundle, "")
	etag := w.Header().Get("ETag")
	if w.Code != 200 || len(etag) < 4 || w.Header().Get("Content-Type") != "application/json" ||
		w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Fatalf("status %d, header %v", w.Code, w.Header())
	}
	for _, test := range []struct {
		match  string
		status int
	}{
		{etag, 304}, {"W/" + etag, 304}, {`"x", ` + etag, 304}, {`"x"`, 200}, {strings.Trim(etag, `"`), 200}, {"", 200},
	} {
		w := b.send("GET", wire.PathBundle, "", "If-None-Match: "+test.match)
		if w.Code != test.status || (w.Body.Len() == 0) != (test.status == 304) || w.Header().Get("ETag") != etag {
			t.Errorf("If-None-Match: %s: status %d, %d bytes, ETag %s", test.match, w.Code, w.Body.Len(), w.Header().Get("ETag"))
		}
	}
	b.use(minimal + "# changed")
	if w := b.send("GET", wire.PathBundle, "", "If-None-Match: "+etag); w.Code != 200 || w.Header().Get("ETag") == etag {
		t.Errorf("status %d after a change", w.Code)
	}
}

// changes asks for what happened since, as a filter does.
func (b *bench) changes(c wire.Changes) (wire.Changes, int) {
	b.t.Helper()
	w := b.send("GET", wire.ChangesPath(c.Feed, fmt.Sprint(c.Seq), c.Bundle), "")
	if w.Code != 200 {
		return c, w.Code
	}
	out, ok := wire.DecodeChanges(w.Body.String())
	if !ok {
		b.t.Fatalf("%s", w.Body)
	}
	return out, w.Code
}

func TestChangesOverReloads(t *testing.T) {
	b := start(t)
	b.use(minimal)
	at, status := b.changes(wire.Changes{})
	if status != 200 || !at.Reset || at.Bundle == "" {
		t.Fatalf("status %d, %+v: a filter that knows nothing has to forget everything", status, at)
	}
	if _, status := b.changes(at); status != 204 {
		t.Errorf("status %d when nothing has happened", status)
	}
	b.use(strings.Replace(minimal, "secret: s1", "secret: s2", 1))
	next, status := b.changes(at)
	if status != 200 || next.Reset || len(next.Credentials) != 1 || next.Credentials[0] != "k1" || next.Seq <= at.Seq || next.Bundle == at.Bundle {
		t.Errorf("status %d, %+v after %+v", status, next, at)
	}
	if _, status := b.changes(next); status != 204 {
		t.Errorf("status %d when nothing more has happened", status)
	}
	// So many keys that the answer would not be read: everything is forgotten.
	var many strings.Builder
	for i := range 800 {
		fmt.Fprintf(&many, ",{key: %q, secret: s}", strings.Repeat("k", 500)+fmt.Sprint(i))
	}
	b.use(strings.Replace(minimal, "secret: s1}", "secret: s1}"+many.String(), 1))
	w := b.send("GET", wire.ChangesPath(next.Feed, fmt.Sprint(next.Seq), next.Bundle), "")
	if c, ok := wire.DecodeChanges(w.Body.String()); !ok || !c.Reset || len(c.Credentials) != 0 {
		t.Errorf("%d bytes, ok %v, reset %v", w.Body.Len(), ok, c.Reset)
	}
}

// TestManyFilters lets filters poll over a real socket while the file changes.
// Each sees every change once, in order, and arrives at the last bundle.
func TestManyFilters(t *testing.T) {
	b := start(t)
	b.use(minimal)
	web := httptest.NewServer(b)
	defer web.Close()
	const filters, files = 20, 15
	var final atomic.Value
	var ready sync.WaitGroup
	done := make(chan error, filters)
	want := ""
	for i := range files {
		want += fmt.Sprintf("f%d ", i)
	}
	ready.Add(filters)
	for range filters {
		go func() {
			at, _, err := poll(web.URL, wire.Changes{})
			ready.Done()
			seen := ""
			for stop := time.Now().Add(30 * time.Second); err == nil && at.Bundle != final.Load(); {
				var next wire.Changes
				next, moved, e := poll(web.URL, at)
				switch {
				case e != nil:
					err = e
				case time.Now().After(stop):
					err = fmt.Errorf("no end at %+v", at)
				case moved && (next.Seq <= at.Seq || next.Feed != at.Feed || next.Reset):
					err = fmt.Errorf("%+v after %+v", next, at)
				case moved:
					at = next
					for _, key := range next.Credentials {
						seen += key + " "
					}
				}
			}
			if err == nil && seen != want {
				err = fmt.Errorf("saw %s, want %s", seen, want)
			}
			done <- err
		}()
	}
	ready.Wait()
	file := minimal + "jwt_secrets:\n"
	for i := range files {
		file += fmt.Sprintf("- {consumer: alice, key: f%d, secret: s}\n", i)
		b.use(file)
	}
	offer, _ := b.publisher.Offer()
	final.Store(offer.ETag)
	for range filters {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// poll asks for changes over a socket; moved is false when there are none.
func poll(url string, at wire.Changes) (next wire.Changes, moved bool, err error) {
	req, err := http.NewRequest(http.MethodGet, url+wire.ChangesPath(at.Feed, fmt.Sprint(at.Seq), at.Bundle), nil)
	if err != nil {
		return at, false, err
	}
	req.Header.Set(wire.VersionHeader, wire.Version)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return at, false, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode == http.StatusNoContent {
		return at, false, err
	}
	next, ok := wire.DecodeChanges(string(body))
	if !ok {
		return at, false, fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	return next, true, nil
}

func TestQuestionsBeyondTheBound(t *testing.T) {
	b := start(t)
	b.use(minimal)
	id, generation, _ := b.instance("r")
	body := string((&wire.Question{Kind: wire.Lookup, Instance: id, Generation: generation, Key: "k1"}).Encode())
	for range maxAsking {
		b.slots <- struct{}{}
	}
	if a, ok := wire.DecodeAnswer(b.send("POST", wire.PathAsk, body).Body.String()); !ok || a.Code != reason.Overloaded || a.Credential != nil {
		t.Errorf("answer %+v", a)
	}
	<-b.slots
	if a, ok := wire.DecodeAnswer(b.send("POST", wire.PathAsk, body).Body.String()); !ok || a.Code != reason.Unspecified {
		t.Errorf("answer %+v", a)
	}
	if len(b.slots) != maxAsking-1 {
		t.Errorf("%d slots are taken after the answer, want %d", len(b.slots), maxAsking-1)
	}
}

// TestMetricsHaveBoundedLabels counts answers and looks that nothing a filter
// sends makes a label.
func TestMetricsHaveBoundedLabels(t *testing.T) {
	b := start(t)
	b.use(minimal)
	id, generation, _ := b.instance("r")
	token := tokens.HS256("s1", "k1", tokens.In(60))
	for i := range 200 {
		q := wire.Question{Kind: wire.Kind(i%3 + 1), Instance: id, Generation: generation + uint64(i%2), Key: fmt.Sprint("marker-", i), KeyID: "marker", Input: token}
		b.send("POST", wire.PathAsk, string(q.Encode()))
	}
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text, total := "", 0.0
	for _, f := range families {
		text += f.String()
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue()
		}
	}
	if total != 200 || strings.Contains(text, "marker") || strings.Contains(text, token) || strings.Count(text, "outcome") > 12 {
		t.Errorf("%v answers are counted, want 200: %s", total, text)
	}
}
