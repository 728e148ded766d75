package login

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/revoke"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
	jwts "github.com/sallyport-auth/sallyport/testenv/tokens"
)

const (
	issuer = "https://idp.example"
	now    = int64(1_800_000_000)
)

// ringOf is a ring with one secret.
func ringOf(t testing.TB, secret string) *seal.Ring {
	t.Helper()
	ring, err := seal.NewRing([]redact.Secret{redact.New(strings.Repeat(secret, 32))})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// instance is a plugin with the defaults of the file.
func instance(t testing.TB, change func(c *declarative.OIDCConfig)) *Instance {
	t.Helper()
	c := &declarative.OIDCConfig{IssuerURL: issuer, Verify: true, Timeout: 5000, Methods: []string{"session", "bearer"}, Login: &declarative.Login{
		Session: true, Begin: true, BearerSession: true, MaxAge: -1,
		Client: declarative.Client{ClientIDs: []string{"app"}, ClientSecrets: []redact.Secret{redact.New("secret")}, Scopes: []string{"openid"}}, Refresh: true, SessionAudience: "default", Idling: 900, Rolling: 3600, Absolute: 86400, FlowTimeout: 600,
		SessionCookie: declarative.CookieSettings{Name: "session", Path: "/", SameSite: "Lax", HTTPOnly: true},
		FlowCookie:    declarative.CookieSettings{Name: "authorization", Path: "/", SameSite: "Lax", HTTPOnly: true},
		LoginAction:   "upstream",
	}}
	if change != nil {
		change(c)
	}
	return &Instance{ID: "i", Public: "i", Trust: "t", Config: c, Ring: ringOf(t, "s"), Hosts: map[string][]string{}}
}

// published are the keys of the issuer, by kid.
var published = map[string]string{"k1": "rsa2048", "e1": "ec256"}

// issuerSet is what is known of an issuer with these keys, by kid.
func issuerSet(t testing.TB, published map[string]string) *provider.Set {
	t.Helper()
	var list []map[string]any
	for kid, key := range published {
		list = append(list, jwts.JWK(key, kid, nil))
	}
	src, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := keys.ParseSet(src)
	if err != nil {
		t.Fatal(err)
	}
	return &provider.Set{Issuers: []string{issuer}, Keys: parsed, Metadata: provider.Metadata{Issuer: issuer}}
}

// service is a service on a clock that stands still.
func service(t testing.TB, clock func() time.Time) *Service {
	t.Helper()
	list, err := revoke.Open(t.TempDir(), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.Close() })
	return New(list, nil, slog.New(slog.DiscardHandler), clock, func([]string) {})
}

func still() time.Time { return time.Unix(now, 0) }

// session returns a record as a login makes it.
func (in *Instance) sessionOf(subject string, at time.Time) *record {
	rec := in.newRecord(sourceCode, at)
	rec.Issuer, rec.Subject, rec.ClientID = issuer, subject, "app"
	rec.Access, rec.Opaque, rec.Refresh = "opaque-"+subject, true, "refresh-"+subject
	return rec
}

// cookiesOf returns the cookies that Set-Cookie lines leave in a browser.
func cookiesOf(lines []string) (out []wire.Cookie) {
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, wire.Cookie{Name: name, Value: value})
	}
	return out
}
