package login

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	jwts "github.com/sallyport-auth/sallyport/testenv/tokens"
)

// logoutClaims of a token that is right but for changes; nil removes.
func logoutClaimsOf(change map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": "app", "iat": now, "exp": now + 120, "jti": jwts.Random(), "sub": "alice", "events": map[string]any{logoutEvent: map[string]any{}}}
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func TestLogoutClaims(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change map[string]any
		want   reason.Code
		keys   []string
	}{
		{"by sub", nil, reason.LoggedOut, []string{endpoint.SubjectKey(issuer, "alice")}},
		{"by sid", map[string]any{"sub": nil, "sid": "s"}, reason.LoggedOut, []string{endpoint.ProviderKey(issuer, "app", "s"), endpoint.ProviderKey(issuer, "app2", "s")}},
		{"by both: that session", map[string]any{"sid": "s"}, reason.LoggedOut, []string{endpoint.ProviderKey(issuer, "app", "s"), endpoint.ProviderKey(issuer, "app2", "s")}},
		{"the second client", map[string]any{"aud": []string{"x", "app2"}}, reason.LoggedOut, []string{endpoint.SubjectKey(issuer, "alice")}},
		{"expired a little", map[string]any{"exp": now - endpoint.ClockSkew + 1}, reason.LoggedOut, []string{endpoint.SubjectKey(issuer, "alice")}},
		{"expired", map[string]any{"exp": now - endpoint.ClockSkew}, reason.TokenExpired, nil},
		{"iat ahead a little", map[string]any{"iat": now + endpoint.ClockSkew}, reason.LoggedOut, []string{endpoint.SubjectKey(issuer, "alice")}},
		{"iat ahead", map[string]any{"iat": now + endpoint.ClockSkew + 1}, reason.TokenNotYetValid, nil},
		{"an event with members", map[string]any{"events": map[string]any{logoutEvent: map[string]any{"x": 1}, "other": "y"}}, reason.LoggedOut, []string{endpoint.SubjectKey(issuer, "alice")}},
		{"an event that is null", map[string]any{"events": map[string]any{logoutEvent: json.RawMessage("null")}}, reason.LogoutTokenInvalid, nil},
		{"a nonce that is null", map[string]any{"nonce": json.RawMessage("null")}, reason.LogoutTokenInvalid, nil},
		{"a long jti", map[string]any{"jti": strings.Repeat("x", 513)}, reason.LogoutTokenInvalid, nil},
		{"sub null", map[string]any{"sub": json.RawMessage("null"), "sid": "s"}, reason.LogoutTokenInvalid, nil},
		{"sid empty", map[string]any{"sid": ""}, reason.LogoutTokenInvalid, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, set := service(t, still), issuerSet(t, published)
			var ended []string
			s.ended = func(keys []string) { ended = append(ended, keys...) }
			in := instance(t, func(c *declarative.OIDCConfig) { c.Login.ClientIDs = []string{"app", "app2"} })
			tok, code := jose.Parse(jwts.Sign("rsa2048", map[string]any{"alg": "RS256", "kid": "k1"}, logoutClaimsOf(tt.change)))
			if code != reason.Unspecified {
				t.Fatal(code)
			}
			if got := s.logoutClaims(in, set, tok); got != tt.want || !slices.Equal(ended, tt.keys) {
				t.Errorf("%v ends %q, want %v %q", got, ended, tt.want, tt.keys)
			}
			for _, k := range tt.keys {
				if !s.revoked.Revoked(k, still()) || s.revoked.Revoked(k, still().Add(time.Millisecond)) {
					t.Errorf("%s: what was begun before, and only that, ends", k)
				}
			}
			if tt.want != reason.LoggedOut {
				return
			}
			if got := s.logoutClaims(in, set, tok); got != reason.LogoutTokenReplayed {
				t.Errorf("again: %v", got)
			}
		})
	}
	nobody := instance(t, func(c *declarative.OIDCConfig) { c.Login.ClientIDs = nil })
	tok, _ := jose.Parse(jwts.Sign("rsa2048", map[string]any{"alg": "RS256"}, logoutClaimsOf(nil)))
	if got := service(t, still).logoutClaims(nobody, issuerSet(t, published), tok); got != reason.AudienceMismatch {
		t.Errorf("an instance without a client: %v", got)
	}
}

// TestLastsAsLong: a logout is remembered until the session could not be opened by any
// instance, whichever was asked.
func TestLastsAsLong(t *testing.T) {
	clock := still()
	s := service(t, func() time.Time { return clock })
	long := instance(t, nil)
	short := instance(t, func(c *declarative.OIDCConfig) { c.Login.Absolute = 60 })
	short.Longest = 86400
	rec := long.sessionOf("alice", clock)
	if err := s.revoke(rec); err != nil {
		t.Fatal(err)
	}
	set := issuerSet(t, published)
	tok, _ := jose.Parse(jwts.Sign("rsa2048", map[string]any{"alg": "RS256"}, logoutClaimsOf(map[string]any{"sub": "bob"})))
	if got := s.logoutClaims(short, set, tok); got != reason.LoggedOut {
		t.Fatal(got)
	}
	other := long.sessionOf("bob", clock)
	for _, after := range []time.Duration{time.Second, time.Minute, time.Hour, 24*time.Hour - time.Second} {
		clock = still().Add(after)
		for _, r := range []*record{rec, other} {
			if got := s.over(long, r, clock.Unix()); got != reason.SessionRevoked {
				t.Errorf("after %v %s is %v", after, r.Subject, got)
			}
		}
	}
	clock = still().Add(24 * time.Hour)
	if got := s.over(long, other, clock.Unix()); got == reason.Unspecified {
		t.Error("a session outlasts its end")
	}
	// A longer time in the configuration gives no session a longer life.
	longer := instance(t, func(c *declarative.OIDCConfig) { c.Login.Absolute = 0 })
	if got := s.over(longer, long.sessionOf("carol", still()), clock.Unix()); got != reason.SessionExpired {
		t.Errorf("with another configuration: %v", got)
	}
}
