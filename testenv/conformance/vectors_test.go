package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// TestVectors is the third and the fourth of the five runners: the vectors as
// requests to the host and to Envoy, each twice, so that the caches answer too.
func TestVectors(t *testing.T) {
	all := vectors.All(t)
	ran := map[string]int{}
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, vectors.Suite)
		checkModule(t, r)
		// Keys come in the background.
		for _, path := range []string{"/oidc/", "/oidc-audience/"} {
			r.eventually(t, 200, "GET", path, bearer(r.idp.Token("k1", map[string]any{"aud": "api"})))
		}
		r.eventually(t, 200, "GET", "/oidc-issuers/", bearer(r.idp.Token("k1", map[string]any{"iss": "https://outside.example"})))
		for _, c := range all {
			t.Run(c.Name, func(t *testing.T) {
				for range 2 {
					target, headers := c.Build(t, r.env())
					var lines []string
					for _, h := range headers {
						lines = append(lines, h.Name+": "+h.Value)
					}
					x := r.send(t, c.Method, target, lines...)
					got := vectors.Result{Status: x.Status, Body: x.Body, Header: x.Header, Upstream: x.Upstream(), Reason: c.Reason}
					if c.Status != 200 {
						got.Reason = r.Reason(x.RequestID())
					}
					c.Check(t, got)
				}
				ran[host]++
			})
		}
		for _, reason := range []string{"allowed", "allowed_anonymous", "unprotected", "preflight", "signature_invalid"} {
			testenv.Eventually(t, 5e9, "the counter of "+reason, func() bool { return r.Requests(reason) > 0 })
		}
	})
	for host, n := range ran {
		if n != len(all) {
			t.Errorf("%s ran %d vectors of %d", host, n, len(all))
		}
	}
}

// checkModule makes sure that the module under test is the one that was built.
func checkModule(t *testing.T, r *rig) {
	t.Helper()
	path, _ := testenv.Build(t)
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(wasm)
	sum := hex.EncodeToString(digest[:])
	where := ""
	if r.Envoy != nil {
		where = string(r.Bootstrap())
		sum = "filter-" + sum[:16] + ".wasm"
	} else {
		where = get(t, r.Status+"/metrics")
	}
	if !strings.Contains(where, sum) {
		t.Fatalf("%s does not run the module %s", r.Host, sum)
	}
}
