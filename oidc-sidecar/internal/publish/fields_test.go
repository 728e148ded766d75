package publish

import (
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
	}{
		{name: "usual"},
		{name: "a certificate that nobody knows", tls: true, err: "certificate"},
		{name: "it is looked at", settings: "ssl_verify: true", tls: true, err: "certificate"},
		{name: "it is not looked at", settings: "ssl_verify: false", tls: true},
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
			b := start(t, t.TempDir())
			o := b.use(fmt.Sprintf("services:\n- name: s\n  url: http://h\n  routes:\n  - name: r\n    paths: [/]\n    plugins:\n    - name: openid-connect\n      config:\n"+
				"        issuer: %s\n        auth_methods: [bearer]\n        %s\n", issuer.Issuer(), strings.ReplaceAll(c.settings, "\n", "\n        ")))
			p := b.Provider(b.instance(o, "r").OIDC.TrustID)
			select {
			case <-p.Tried():
			case <-time.After(9 * time.Second): // less than the usual timeout
				t.Fatal("the issuer is still waited for")
			}
			set := p.Current()
			if c.err == "" {
				if set.Err != nil || !set.Has("k1") {
					t.Errorf("%v, %d keys", set.Err, len(set.Keys))
				}
				return
			}
			if set.Err == nil || !strings.Contains(set.Err.Error(), c.err) {
				t.Errorf("%v, want something of %s", set.Err, c.err)
			}
		})
	}
}
