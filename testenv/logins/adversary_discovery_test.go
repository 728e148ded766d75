package logins

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// Discovery and keys that are wrong: nobody is sent anywhere, nothing is redeemed.
// (Endpoints on this machine are tried in oidc-sidecar/internal/provider: here the
// issuer itself is on loopback.)
func TestAdversaryDiscovery(t *testing.T) {
	cases := []struct {
		fault  idp.Fault
		reason string
		begins bool // the browser gets as far as the provider
	}{
		{idp.OtherIssuer, "issuer_unavailable", false},
		{idp.Duplicate, "issuer_unavailable", false},
		{idp.Error500, "issuer_unavailable", false},
		{idp.NotJSON, "issuer_unavailable", false},
		{idp.Endless, "issuer_unavailable", false},
		{idp.Huge, "issuer_unavailable", false},
		{idp.Redirect, "issuer_unavailable", false},
		{idp.Loop, "issuer_unavailable", false},
		{idp.Truncated, "issuer_unavailable", false},
		{idp.HangUp, "issuer_unavailable", false},
		{idp.NoKeys, "issuer_unavailable", false},
		{idp.NoAuthorizeEndpoint, "login_misconfigured", false},
		{idp.NoTokenEndpoint, "login_misconfigured", true},
	}
	inBoth(t, func(t *testing.T, host string) {
		sites := []site{{path: "/app", idp: "main"}}
		for _, c := range cases {
			sites = append(sites, site{path: "/" + string(c.fault), idp: string(c.fault), config: "timeout: 1000"})
		}
		l := newLab(t, host, stack.Options{}, func(l *lab) {
			for _, c := range cases {
				l.idps[string(c.fault)].Misbehave(c.fault)
			}
			l.idps[string(idp.Endless)].MisbehaveWithKeys(idp.Endless)
		}, sites...)
		for _, c := range cases {
			t.Run(string(c.fault), func(t *testing.T) {
				path, upstream := "/"+string(c.fault)+"/page", l.up.Total()
				provider, v := l.provider(path), newVisitor(t)
				p := v.Open(l.URL + path)
				if c.begins {
					if !strings.HasPrefix(p.Location(), provider.URL) {
						t.Fatalf("%s: %d to %q", host, p.StatusCode, p.Location())
					}
					p = v.Open(provider.SignIn(t, v.Client, p.Location(), "alice"))
				}
				l.refusedWith(t, p, 503, c.reason)
				if n := provider.Count("token") + provider.Count("elsewhere"); n != 0 {
					t.Errorf("%s: the provider was asked for tokens %d times", host, n)
				}
				if l.up.Total() != upstream {
					t.Errorf("%s: the upstream was called", host)
				}
				testenv.Evidence(t, "%s: discovery %s -> %d %s, no tokens asked for, upstream not called", host, c.fault, p.StatusCode, c.reason)
			})
		}
		// One issuer's trouble is nobody else's.
		l.signIn(t, newVisitor(t), "/app/page", "alice")
	})
}
