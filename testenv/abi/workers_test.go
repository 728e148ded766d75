package abi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/testenv"
)

// What follows needs more than one worker, or a change of the chain, which scenarios do
// not have.

// scenario reads one.
func scenario(t *testing.T, text string) (*Scenario, []byte) {
	t.Helper()
	list, err := Parse("=== " + t.Name() + "\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	list[0].ID = "s000"
	wasm, err := Emit(list[0])
	if err != nil {
		t.Fatal(err)
	}
	return list[0], wasm
}

// A message is told to the worker that registered its queue last, whoever sends it.
func TestQueueAcrossWorkers(t *testing.T) {
	s, wasm := scenario(t, `
on configure
  register_shared_queue "q" > id
on request_headers
  enqueue_shared_queue $id "one"
on queue_ready
  dequeue_shared_queue $id
`)
	var logged lineList
	c, err := host.NewChain(t.Context(), host.Plugin{Wasm: wasm, Config: host.Config{
		Workers: 3, Deadline: 5 * time.Second, Logger: slog.New(lines{"", &logged})}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	const requests = 9
	for range requests { // each worker has some
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	testenv.Eventually(t, 10*time.Second, "the messages", func() bool {
		log := strings.Join(decode(s, logged.get()), "\n")
		return strings.Count(log, "dequeue_shared_queue $id = OK \"one\"") == requests &&
			strings.Count(log, "queue_ready(1, #1)") == requests
	})
}

// Where other plugins keep the VM, one that puts off its end is deleted when it calls
// proxy_done.
func TestEndIsPutOff(t *testing.T) {
	s, wasm := scenario(t, `
on configure
  set_tick_period_milliseconds 5
on done
  set ending 1
  return 0
on tick if=ending
  done
`)
	var logged lineList
	plugins := []host.Plugin{}
	for _, root := range []string{"one", "two"} {
		plugins = append(plugins, host.Plugin{Wasm: wasm, Config: host.Config{
			Name: root, RootID: root, Workers: 1, Deadline: 5 * time.Second, Logger: slog.New(lines{"", &logged})}})
	}
	c, err := host.NewChain(t.Context(), plugins...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.Reload(t.Context(), plugins[0]); err != nil {
		t.Fatal(err)
	}
	var log string
	testenv.Eventually(t, 10*time.Second, "the end of the second plugin", func() bool {
		log = strings.Join(decode(s, logged.get()), "\n")
		return strings.Contains(log, "delete(2)") && strings.Contains(log, "  done = NOT_FOUND")
	})
	if strings.Count(log, "  done = OK") != 1 || strings.Contains(log, "delete(1)") || strings.Index(log, "done(2)") > strings.Index(log, "delete(2)") {
		t.Errorf("the guest saw:\n%s", log)
	}
}
