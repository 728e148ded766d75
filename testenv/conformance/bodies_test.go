package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// TestBodies: a body that arrives while the sidecar is being asked changes
// nothing. Each request has a token of its own, so that each one asks; what is
// refused does not reach the upstream, neither by its headers nor by its body.
func TestBodies(t *testing.T) {
	bodies := map[string]string{
		"none":     "\r\n",
		"empty":    "Content-Length: 0\r\n\r\n",
		"length":   "Content-Length: 4\r\n\r\nbody",
		"chunked":  "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"trailers": "Transfer-Encoding: chunked\r\nTrailer: X-Last\r\n\r\n4\r\nbody\r\n0\r\nX-Last: 1\r\n\r\n",
		"long":     "Content-Length: 300000\r\n\r\n" + strings.Repeat("b", 300000),
	}
	for name, o := range map[string]stack.Options{"": {}, "oldest": {EnvoyVersion: envoy.Oldest}} {
		for _, host := range stack.Hosts {
			if host == "host" && name != "" {
				continue
			}
			t.Run(host+name, func(t *testing.T) {
				r := start(t, host, o, func(e vectors.Env) string { return strings.Replace(headersFile, "${UPSTREAM}", e.Upstream, 1) })
				for kind, c := range map[string]struct {
					key, secret, body string
				}{
					"good":          {"alice", "the-secret-of-alice-is-long-enough", ""},
					"bad signature": {"alice", "the-secret-of-eve-is-as-long-as-that", `{"message":"Invalid signature"}`},
					"unknown key":   {"eve", "the-secret-of-eve-is-as-long-as-that", `{"message":"No credentials found for given 'iss'"}`},
				} {
					for form, body := range bodies {
						for _, method := range []string{"GET", "POST"} {
							t.Run(fmt.Sprintf("%s %s %s", kind, method, form), func(t *testing.T) {
								id := tokens.Random()
								token := tokens.Sign(c.secret, map[string]any{"alg": "HS256"}, map[string]any{"iss": c.key + map[bool]string{true: id}[c.key == "eve"], "exp": tokens.In(600), "jti": id})
								res := testenv.Raw(t, r.Addr, method+" /jwt HTTP/1.1\r\nHost: h\r\n"+bearer(token)+"\r\nX-Consumer-Username: root\r\nX-Test-Id: "+id+"\r\nConnection: close\r\n"+body)
								x := &exchange{res, r.echo.Seen(id)}
								testenv.Evidence(t, "%s: %s /jwt with a %s token and a body (%s) -> %d, upstream called %d times as %v", host, method, kind, form, x.Status, len(x.Seen), x.claims())
								if c.body != "" {
									if x.Status != 401 || x.Body != c.body || len(x.Seen) != 0 {
										t.Errorf("%d %s, the upstream received %d requests, as %v", x.Status, x.Body, len(x.Seen), x.claims())
									}
									return
								}
								if x.Status != 200 || len(x.Seen) != 1 || x.Upstream().Get("X-Consumer-Username") != "alice" {
									t.Fatalf("%d, the upstream received %d requests, as %v", x.Status, len(x.Seen), x.claims())
								}
								_, want, _ := strings.Cut(body, "\r\n\r\n")
								if strings.Contains(body, "chunked") {
									want = "body"
								}
								if x.Seen[0].Body != want {
									t.Errorf("the upstream received a body of %d bytes, want %d", len(x.Seen[0].Body), len(want))
								}
							})
						}
					}
				}
			})
		}
	}
}
