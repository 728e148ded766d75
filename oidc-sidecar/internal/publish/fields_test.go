package publish

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// TestIssuerFields: how an issuer is asked for its keys, and what comes of it.
func TestIssuerFields(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		tls, silent    bool   // of the issuer
		err            string // "" where its keys come
		keys           string // the one that comes, k1 usually
		header         map[string]string
	}{
		{name: "usual"},
		{name: "a certificate that nobody knows", tls: true, err: "certificate"},
		{name: "it is looked at", settings: "ssl_verify: true", tls: true, err: "certificate"},
		{name: "it is not looked at", settings: "ssl_verify: false", tls: true},
		{name: "a key set elsewhere", settings: "jwks_endpoint: ${KEYS}", keys: "k2"},
		{name: "a header for discovery", settings: "discovery_headers_names: [X-Api-Key, X-Tenant]\ndiscovery_headers_values: [one key, two]",
			header: map[string]string{"X-Api-Key": "one key", "X-Tenant": "two"}},
		{name: "an issuer that says nothing", settings: "timeout: 50", silent: true, err: "openid-configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := idp.Start
			if c.tls {
				s = idp.StartTLS
			}
			issuer := s(t)
			if c.silent {
				defer issuer.Hold("discovery")()
			}
			elsewhere := idp.New()
			t.Cleanup(elsewhere.Close)
			elsewhere.Add("k2", "ES256", "ec256")
			c.settings = strings.ReplaceAll(c.settings, "${KEYS}", elsewhere.Endpoint("jwks"))
			b := start(t, t.TempDir())
			late := time.After(9 * time.Second) // less than the usual timeout
			o := b.use(fmt.Sprintf("services:\n- name: s\n  url: http://h\n  routes:\n  - name: r\n    paths: [/]\n    plugins:\n    - name: openid-connect\n      config:\n"+
				"        issuer: %s\n        auth_methods: [bearer]\n        %s\n", issuer.Issuer(), strings.ReplaceAll(c.settings, "\n", "\n        ")))
			p := b.Provider(b.instance(o, "r").OIDC.TrustID)
			select {
			case <-p.Tried():
			case <-late:
				t.Fatal("the issuer is still waited for")
			}
			set := p.Current()
			if c.err == "" {
				want := cmp.Or(c.keys, "k1")
				if set.Err != nil || !set.Has(want) || len(set.Keys) != 1 || set.Issuers[0] != issuer.Issuer() || set.Metadata.Token == "" {
					t.Errorf("%+v, want the key %s", set, want)
				}
				for name, value := range c.header {
					asked := append(issuer.Calls("discovery"), issuer.Calls("jwks")...)
					if len(asked) != 2 || asked[0].Header.Get(name) != value || asked[1].Header.Get(name) != "" {
						t.Errorf("%s: %v", name, asked)
					}
				}
				return
			}
			if set.Err == nil || !strings.Contains(set.Err.Error(), c.err) {
				t.Errorf("%v, want something of %s", set.Err, c.err)
			}
		})
	}
}
