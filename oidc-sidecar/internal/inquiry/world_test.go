package inquiry

import (
	"bytes"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// world is a service and its issuer on one clock, which a test turns.
type world struct {
	t        *testing.T
	ns       atomic.Int64
	svc      *Service
	in       *Instance
	provider *provider.Provider
	idp      *idp.Server

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// Secrets that must be in no log.
const (
	appSecret     = "the-secret-of-app"
	machineSecret = "the-secret-of-machine+%"
	alicePassword = "pass:word of alice"
)

func (w *world) now() time.Time  { return time.Unix(0, w.ns.Load()) }
func (w *world) seconds(n int64) { w.ns.Add(n * int64(time.Second)) }

// Write implements io.Writer.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// newWorld returns a world whose plugin has these settings beside the usual ones.
func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{t: t, idp: idp.Start(t)}
	w.ns.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	w.idp.Set(func(o *idp.Options) { o.Now = w.now })
	w.idp.AddClient(idp.Client{ID: "app", Secret: appSecret})
	w.idp.AddClient(idp.Client{ID: "machine", Secret: machineSecret})
	w.idp.AddUser(idp.User{Name: "alice", Password: alicePassword, Subject: "alice-1"})
	w.idp.AddUser(idp.User{Name: "bob", Password: "bob", Subject: "bob-2"})
	w.in = w.instance(settings)
	c := provider.Config{ID: "t", Issuer: w.in.Config.IssuerURL, Timeout: time.Duration(w.in.Config.Timeout) * time.Millisecond}
	client := provider.NewClient(c)
	t.Cleanup(client.CloseIdleConnections)
	logger := slog.New(slog.NewTextHandler(w, nil))
	w.provider = provider.New(c, client, logger, w.now, func() {})
	w.provider.Lookup(t.Context(), "k1")
	w.svc = New(clientKeys(), logger, w.now)
	return w
}

// clientKeys are our client's, which take a while to make.
var clientKeys = sync.OnceValue(func() *endpoint.ClientKeys {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	keys, err := endpoint.OpenClientKeys(dir)
	if err != nil {
		panic(err)
	}
	return keys
})

// instance reads a plugin's settings.
func (w *world) instance(settings string) *Instance {
	w.t.Helper()
	usual := ""
	for field, line := range map[string]string{
		"issuer":       "issuer: " + w.idp.Issuer(),
		"auth_methods": "auth_methods: [introspection, userinfo, refresh_token, password, client_credentials]",
		"client_id":    "client_id: [app]", "client_secret": "client_secret: [" + appSecret + "]",
		"id_token_param_name": "id_token_param_name: x-id-token",
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
	return &Instance{ID: "p", Public: "p", Trust: "t", Realm: "r", Config: f.Plugins[0].OIDC}
}

// ask asks about a credential.
func (w *world) ask(m bundle.Method, value string, sent ...wire.Header) wire.Answer {
	w.t.Helper()
	return w.svc.Ask(w.t.Context(), w.in, w.provider, &wire.Question{Kind: wire.Inquire, Method: m.String(), Value: value, Sent: sent})
}

// good is ask where there has to be a session.
func (w *world) good(m bundle.Method, value string, sent ...wire.Header) *wire.Session {
	w.t.Helper()
	a := w.ask(m, value, sent...)
	if a.Code != reason.Unspecified || a.Session == nil {
		w.t.Fatalf("%v: %v, want a session\n%s", m, a.Code, w.logged())
	}
	if a.Session.ID != "" {
		w.t.Errorf("%v: the session has an id", m)
	}
	return a.Session
}

// bad is ask where there has to be a refusal. It returns for how many seconds it may be
// remembered.
func (w *world) bad(m bundle.Method, value string, want reason.Code) int64 {
	w.t.Helper()
	a := w.ask(m, value)
	if a.Code != want || a.Session != nil {
		w.t.Fatalf("%v: %v, want %v\n%s", m, a.Code, want, w.logged())
	}
	if a.Until == 0 {
		return 0
	}
	return a.Until - w.now().Unix()
}

// tokens returns what the issuer gives alice for her password, without the service.
func (w *world) tokens(scope string) *endpoint.Tokens {
	w.t.Helper()
	c := endpoint.Caller{HTTP: w.provider.Client(), Now: w.now}
	t, err := c.Tokens(w.t.Context(), w.idp.Endpoint("token"), endpoint.Client{ID: "app", Secret: redact.New(appSecret)},
		url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {alicePassword}, "scope": {scope}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.idp.Forget()
	return t
}

// last returns the last request to an endpoint.
func (w *world) last(endpoint string) idp.Call {
	w.t.Helper()
	calls := w.idp.Calls(endpoint)
	if len(calls) == 0 {
		w.t.Fatalf("nothing came to %s", endpoint)
	}
	return calls[len(calls)-1]
}

func header(name, value string) wire.Header { return wire.Header{Name: name, Value: value} }
