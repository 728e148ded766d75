package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// starts measures what the module costs before the first request, beside a module
// that is empty: the time until Envoy answers and the host has compiled it, and the
// memory of a further worker.
func (b *board) starts() {
	ours, _ := testenv.Build(b.t)
	for _, m := range []struct{ name, path string }{{"the filter", ours}, {"an empty module in Go", testenv.Guest(b.t, "empty")}} {
		one, ready := startEnvoy(b.t, m.path, 1)
		five, _ := startEnvoy(b.t, m.path, 5)
		wasm, err := os.ReadFile(m.path)
		if err != nil {
			b.t.Fatal(err)
		}
		begin := time.Now()
		filter, err := host.New(context.Background(), wasm, host.Config{Workers: 1})
		if err != nil {
			b.t.Fatal(err)
		}
		compiled := time.Since(begin)
		small := filter.MemoryBytes()
		_ = filter.Close(context.Background())
		b.facts = append(b.facts, fmt.Sprintf("%s (%d bytes): Envoy answers after %.1f s, %d MB resident with one worker, %d MB more for each further one; the host has compiled it after %.1f s, %d MB of linear memory per worker",
			m.name, len(wasm), ready.Seconds(), one, (five-one)/4, compiled.Seconds(), small>>20))
	}
}

// startEnvoy starts an Envoy with a module and returns its memory in MB and the
// time until it answered, whatever it answered.
func startEnvoy(t *testing.T, module string, workers int) (int, time.Duration) {
	t.Helper()
	port, admin := testenv.FreePort(t), testenv.FreePort(t)
	filter := map[string]any{"name": "wasm", "typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
		"config": map[string]any{"vm_config": map[string]any{
			"vm_id": "bench", "runtime": "envoy.wasm.runtime.v8", "code": map[string]any{"local": map[string]any{"filename": module}}}},
	}}
	bootstrap, err := json.Marshal(map[string]any{
		"admin":            map[string]any{"address": socket(admin)},
		"static_resources": map[string]any{"listeners": []any{listener(0, port, "bench", []any{filter})}},
	})
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	begin := time.Now()
	e := envoy.Start(t, envoy.Newest, bootstrap, fmt.Sprintf("127.0.0.1:%d", admin), "--concurrency", fmt.Sprint(workers))
	testenv.Eventually(t, 60*time.Second, "an answer", func() bool {
		_, err := testenv.TryRaw(addr, testenv.Request("GET", "/"))
		return err == nil
	})
	ready := time.Since(begin)
	memory := resident(e.PID())
	e.Stop()
	return memory, ready
}
