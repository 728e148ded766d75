package host

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// BenchmarkDeadline measures what the deadline costs: for a request that hardly uses its
// guest, and for a guest that computes. docs/host.md has the ratios.
func BenchmarkDeadline(b *testing.B) {
	probe, err := os.ReadFile(testenv.Guest(b, "probe"))
	if err != nil {
		b.Fatal(err)
	}
	for _, deadline := range []time.Duration{-1, time.Minute} {
		name := map[bool]string{true: "none", false: "one"}[deadline < 0]
		for _, work := range []struct {
			name    string
			wasm    []byte
			program string
		}{
			{"go", probe, ""},
			{"request", hostile(), ""},
			{"hostcalls", hostile(), program("", func(uint32) []record {
				return []record{do(op("proxy_done")), do(opRepeat, 100_000)}
			})},
			{"arithmetic", hostile(), program("", func(uint32) []record { return []record{do(opCount, 10_000_000)} })},
		} {
			b.Run(work.name+"/"+name, func(b *testing.B) {
				f, err := New(context.Background(), work.wasm, Config{Workers: 1, Deadline: deadline, PluginConfig: []byte("p")})
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close(context.Background())
				h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
				r := httptest.NewRequest("GET", "/", strings.NewReader(""))
				r.Header["X-Program"] = []string{work.program}
				for b.Loop() {
					h.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
	}
}
