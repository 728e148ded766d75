package login

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/revoke"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// world is a relying party and its provider on one clock, which a test turns.
type world struct {
	t        *testing.T
	ns       atomic.Int64
	svc      *Service
	in       *Instance
	provider *provider.Provider
	idp      *idp.Server
	revoked  *revoke.List
	log      *bytes.Buffer

	mu    sync.Mutex // guards ended
	ended []string
}

func (w *world) now() time.Time          { return time.Unix(0, w.ns.Load()) }
func (w *world) advance(d time.Duration) { w.ns.Add(int64(d)) }
func (w *world) seconds(n int64)         { w.advance(time.Duration(n) * time.Second) }

// lockedLog is a log that goroutines write to.
type lockedLog struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// newWorld returns a world whose plugin has these settings beside the usual ones.
func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{t: t, idp: idp.Start(t), log: &bytes.Buffer{}}
	w.ns.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	w.idp.Set(func(o *idp.Options) { o.Now = w.now })
	w.idp.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1"})
	w.idp.AddUser(idp.User{Name: "bob", Password: "bob", Subject: "bob-2"})
	w.in = w.instance(settings, "0123456789abcdef0123456789abcdef")
	c := provider.Config{ID: "t", Issuer: w.in.Config.IssuerURL, Timeout: 5 * time.Second}
	client := provider.NewClient(c)
	t.Cleanup(client.CloseIdleConnections)
	logger := slog.New(slog.NewTextHandler(lockedLog{&sync.Mutex{}, w.log}, nil))
	w.provider = provider.New(c, client, logger, w.now, func() {})
	if _, o := w.provider.Lookup(t.Context(), "k1"); o != provider.Found {
		t.Fatalf("the provider's keys: %v", o)
	}
	dir := testenv.TempDir(t)
	keys, err := endpoint.OpenClientKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if w.revoked, err = revoke.Open(dir, w.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.revoked.Close() })
	w.svc = New(w.revoked, keys, logger, w.now, func(keys []string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, keys...)
	})
	return w
}

// instance reads a plugin's settings. Without secrets it has none of its own.
func (w *world) instance(settings string, secrets ...string) *Instance {
	w.t.Helper()
	usual := ""
	for field, line := range map[string]string{
		"issuer": "issuer: " + w.idp.Issuer(), "auth_methods": "auth_methods: [authorization_code, session, bearer]",
		"client_id": "client_id: [app]", "client_secret": "client_secret: [secret]",
	} {
		if !strings.Contains("\n"+settings, "\n"+field+":") {
			usual += line + "\n"
		}
	}
	config := strings.ReplaceAll(strings.TrimSpace(usual+settings), "\n", "\n    ")
	f, problems := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins:\n- name: openid-connect\n  config:\n    "+config+"\n"), declarative.Options{})
	if f == nil {
		w.t.Fatalf("%v\n%s", problems, config)
	}
	var list []redact.Secret
	for _, s := range secrets {
		list = append(list, redact.New(s))
	}
	ring, err := seal.NewRing(list)
	if err != nil {
		w.t.Fatal(err)
	}
	return &Instance{ID: "p", Public: "p", Trust: "t", Config: f.Plugins[0].OIDC, Ring: ring, Hosts: map[string][]string{}}
}

// browser keeps cookies by name.
type browser map[string]string

// take takes over what an answer sets and deletes.
func (b browser) take(setCookies []string) {
	for _, line := range setCookies {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(attributes, "Max-Age=0") {
			delete(b, name)
			continue
		}
		b[name] = value
	}
}

func (b browser) copy() browser {
	c := browser{}
	for name, value := range b {
		c[name] = value
	}
	return c
}

func (b browser) request(path string) *wire.Request {
	r := &wire.Request{ID: "id", Method: "GET", Scheme: "http", Authority: "app.example", Path: path, Route: "r", Navigation: true}
	for name, value := range b {
		r.Cookies = append(r.Cookies, wire.Cookie{Name: name, Value: value})
	}
	slices.SortFunc(r.Cookies, func(a, b wire.Cookie) int { return strings.Compare(a.Name, b.Name) })
	return r
}

func headers(a *wire.Answer, name string) (list []string) {
	if a.Response == nil {
		return nil
	}
	for _, h := range a.Response.Headers {
		if h.Name == name {
			list = append(list, h.Value)
		}
	}
	return list
}

// callback signs a user in and returns the answer to the browser's return.
func (w *world) callback(b browser, user string) wire.Answer {
	w.t.Helper()
	a := w.svc.Begin(w.in, w.provider, b.request("/page"))
	if a.Code != reason.LoginStarted {
		w.t.Fatalf("a login begins with %v", a.Code)
	}
	b.take(headers(&a, "set-cookie"))
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{DisableKeepAlives: true}
	back := w.idp.SignIn(w.t, &http.Client{Jar: jar, Transport: transport}, headers(&a, "location")[0], user)
	_, path, _ := strings.Cut(strings.TrimPrefix(back, "http://"), "/")
	a = w.svc.Callback(w.t.Context(), w.in, w.provider, b.request("/"+path))
	b.take(headers(&a, "set-cookie"))
	return a
}

// signIn returns a browser with a session.
func (w *world) signIn(user string) browser {
	w.t.Helper()
	b := browser{}
	if a := w.callback(b, user); a.Code != reason.LoginCompleted {
		w.t.Fatalf("a login ends with %v: %s", a.Code, w.log)
	}
	return b
}

// open opens the session of a browser. What is set is not taken over.
func (w *world) open(b browser) wire.Answer {
	w.t.Helper()
	return w.svc.Open(w.t.Context(), w.in, w.provider, b.request("/page"))
}

// opened is open where there has to be a session.
func (w *world) opened(b browser) *wire.Session {
	w.t.Helper()
	a := w.open(b)
	if a.Code != reason.Unspecified || a.Session == nil {
		w.t.Fatalf("at %v: no session: %v\n%s", w.now().Format(time.TimeOnly), a.Code, w.log)
	}
	return a.Session
}

// closed checks that there is no session any more, why, and that the cookies are
// deleted.
func (w *world) closed(b browser, want reason.Code) {
	w.t.Helper()
	a := w.open(b)
	if a.Code != want || a.Session != nil {
		w.t.Fatalf("at %v: %v, want %v", w.now().Format(time.TimeOnly), a.Code, want)
	}
	if !want.Ours() && want != reason.SessionInvalid { // which may be another instance's
		gone := b.copy()
		if gone.take(a.SetCookies); len(gone) != 0 {
			w.t.Errorf("%v: cookies are left: %v", want, a.SetCookies)
		}
	}
}

// tokenCalls returns how many requests for tokens there were.
func (w *world) tokenCalls() int { return w.idp.Count("token") }
