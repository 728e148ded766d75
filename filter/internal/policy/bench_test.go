package policy_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// BenchmarkRemembered is a request whose token is remembered: the path that has
// to be short.
func BenchmarkRemembered(b *testing.B) {
	for _, name := range []string{"oidc, RS256", "RS256", "HS256"} {
		b.Run(name, func(b *testing.B) {
			bench := newBench(b, &native{})
			for _, c := range vectors.All(b) {
				if c.Name != name {
					continue
				}
				req := bench.request(c)
				bench.judge(req)
				b.ReportAllocs()
				for b.Loop() {
					if step := bench.engine.Start(req); !step.Reason.Passes() {
						b.Fatal(step.Reason)
					}
				}
			}
		})
	}
}
