package conformance

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// A change takes effect within two seconds. What a machine that is busy with
// other things adds to that is not the product's: so much more is let pass before
// a change counts as late, and the evidence says how long it really took.
const (
	reloadWithin = 2 * time.Second
	reloadMargin = 3 * time.Second
)

const (
	reloads     = 20
	loadRate    = 220 // requests a second, each on a new connection
	steadyToken = "the-secret-that-stays-the-same-for-ever"
)

// reloadFile returns the n-th edition of a file: with every edition another
// credential, another name of a consumer, a plugin that comes and goes, and a
// route of its own.
func reloadFile(upstream string, n int) string {
	flip := ""
	if n%2 == 1 {
		flip = ", plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]"
	}
	return fmt.Sprintf(`_format_version: "3.0"
services:
- name: upstream
  url: %s
  routes:
  - {name: open, paths: [/open], strip_path: false}
  - {name: stream, paths: [/stream], strip_path: false, plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
  - {name: guarded, paths: [/guarded], strip_path: false, plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
  - {name: flip, paths: [/flip], strip_path: false%s}
  - {name: new-%d, paths: [/new-%d], strip_path: false}
consumers:
- {username: steady, jwt_secrets: [{key: steady, secret: %s}]}
- username: name-%d
  id: 5f0c1a0e-7f1e-4a53-9a39-1d6a4a3f6e10
  jwt_secrets:
  - {key: renamed, secret: %s}
  - {key: key-%d, secret: %s}
`, upstream, flip, n, n, steadyToken, n, steadyToken, n, steadyToken)
}

func reloadToken(key string) string {
	return bearer(tokens.Sign(steadyToken, map[string]any{"alg": "HS256"}, map[string]any{"iss": key, "exp": tokens.In(3600)}))
}

// load sends requests at a rate, whatever becomes of them, until stop is called:
// one third may pass, one third has to be refused, one third is public.
type load struct {
	sent, answered atomic.Int64
	mu             sync.Mutex // guards failures
	failures       []string
	done           chan struct{}
	work           sync.WaitGroup
}

func startLoad(addr string) *load {
	l := &load{done: make(chan struct{})}
	kinds := []struct {
		status  int
		request string
	}{
		{200, testenv.Request("GET", "/guarded", reloadToken("steady"))},
		{401, testenv.Request("GET", "/guarded")},
		{200, testenv.Request("GET", "/open")},
	}
	l.work.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for begin := time.Now(); ; {
			select {
			case <-l.done:
				return
			case <-tick.C:
			}
			for due := int64(time.Since(begin).Seconds() * loadRate); l.sent.Load() < due; {
				k := kinds[l.sent.Add(1)%int64(len(kinds))]
				l.work.Go(func() {
					res, err := testenv.TryRaw(addr, k.request)
					switch {
					case err != nil:
						l.fail(err.Error())
					case res.Status != k.status:
						l.fail(fmt.Sprintf("%d %s, want %d", res.Status, res.Body, k.status))
					default:
						l.answered.Add(1)
					}
				})
			}
		}
	})
	return l
}

func (l *load) fail(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, text)
}

// stop ends the load and reports what failed.
func (l *load) stop(t testing.TB) {
	t.Helper()
	close(l.done)
	l.work.Wait()
	if n := len(l.failures); n > 0 {
		t.Errorf("%d of %d requests failed: %q", n, l.sent.Load(), l.failures[:min(n, 5)])
	}
	if l.answered.Load() == 0 {
		t.Error("there was no load")
	}
}

// held is a request whose body and answer go on for ever, line by line.
type held struct {
	conn net.Conn
	r    *bufio.Reader
}

func holdStream(t testing.TB, addr string) *held {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := fmt.Fprintf(c, "POST /stream HTTP/1.1\r\nHost: h\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n", reloadToken("steady")); err != nil {
		t.Fatal(err)
	}
	h := &held{c, nil}
	h.say("first")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "POST"})
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("the stream is answered %v, %v", res, err)
	}
	h.r = bufio.NewReader(res.Body)
	h.hear(t, "first")
	return h
}

func (h *held) say(text string) { _, _ = fmt.Fprintf(h.conn, "%x\r\n%s\n\r\n", len(text)+1, text) }

func (h *held) hear(t testing.TB, text string) {
	t.Helper()
	if line, err := h.r.ReadString('\n'); err != nil || line != "echo: "+text+"\n" {
		t.Fatalf("the stream says %q, %v, want %q", line, err, text)
	}
}

// holds reports whether every worker, as far as one can tell, answers a request
// with a status and tells the upstream a consumer's name.
func (r *rig) holds(status int, target, line, consumer string) bool {
	for range inARow {
		id := tokens.Random()
		res, err := testenv.TryRaw(r.Addr, testenv.Request("GET", target, line, "X-Test-Id: "+id))
		if err != nil || res.Status != status {
			return false
		}
		if seen := r.echo.Seen(id); consumer != "" && (len(seen) != 1 || seen[0].Header("X-Consumer-Username") != consumer) {
			return false
		}
	}
	return true
}

// TestReloadUnderLoad: changed plugins, consumers and credentials, and in the
// host routes too, take effect in time, and nobody notices but by them.
func TestReloadUnderLoad(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return reloadFile(e.Upstream, 0) })
		pid := r.Gateway.PID()
		stream := holdStream(t, r.Addr)
		l := startLoad(r.Addr)
		defer func() {
			if l != nil {
				l.stop(t)
			}
		}()
		var slowest time.Duration
		for n := 1; n <= reloads; n++ {
			file := reloadFile(r.echo.URL, n)
			if n%5 == 0 { // an editor that writes in place
				if err := os.WriteFile(r.Path, []byte(file), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				r.Write(file)
			}
			begin := time.Now()
			changes := map[string]func() bool{
				"a new credential":     func() bool { return r.holds(200, "/guarded", reloadToken(fmt.Sprintf("key-%d", n)), "") },
				"a removed credential": func() bool { return r.holds(401, "/guarded", reloadToken(fmt.Sprintf("key-%d", n-1)), "") },
				"a consumer's name":    func() bool { return r.holds(200, "/guarded", reloadToken("renamed"), fmt.Sprintf("name-%d", n)) },
				"a plugin":             func() bool { return r.holds([]int{200, 401}[n%2], "/flip", "Accept: */*", "") },
			}
			if host == "host" {
				changes["a new route"] = func() bool { return r.holds(200, fmt.Sprintf("/new-%d", n), "Accept: */*", "") }
				changes["a removed route"] = func() bool { return r.holds(404, fmt.Sprintf("/new-%d", n-1), "Accept: */*", "") }
			}
			err := testenv.Poll(reloadWithin+reloadMargin, func() bool {
				for what, done := range changes {
					if done() {
						delete(changes, what)
					}
				}
				return len(changes) == 0
			})
			if err != nil {
				for what := range changes {
					t.Errorf("edition %d: %s has no effect: %v", n, what, err)
				}
				t.Fatal(r.Gateway.Tail())
			}
			slowest = max(slowest, time.Since(begin))
			stream.say(fmt.Sprintf("line %d", n))
			stream.hear(t, fmt.Sprintf("line %d", n))
		}
		sent := l.sent.Load()
		l.stop(t)
		testenv.Evidence(t, "%s: %d editions of the file under %d requests, %d of them as they should be; the slowest edition was in force on all workers after %v (with %d probes each); a stream held through all",
			host, reloads, sent, l.answered.Load(), slowest.Round(10*time.Millisecond), inARow)
		l = nil
		if r.Gateway.Ended() || r.Gateway.PID() != pid {
			t.Error("the gateway was started again")
		}
	})
}

// TestBadFile: a file with an error changes nothing, and is reported in the log
// and in a metric, with its line.
func TestBadFile(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return reloadFile(e.Upstream, 1) })
		reader := r.Gateway // whose log says it
		if r.Sidecar != nil {
			reader = r.Sidecar
		}
		l := startLoad(r.Addr)
		defer func() { l.stop(t) }()
		good := reloadFile(r.echo.URL, 2)
		refused := 0
		for name, c := range map[string]struct{ file, says string }{
			"no YAML":           {good + "\n  - [", "kong.yml:"},
			"cut off":           {good[:len(good)/2] + `"`, "kong.yml:"},
			"empty":             {"", "kong.yml"},
			"unknown field":     {good + "rouets: []\n", "rouets"},
			"unknown plugin":    {good + "plugins: [{name: jwtt}]\n", "jwtt"},
			"another guard":     {good + "plugins: [{name: hmac-auth}]\n", "hmac-auth"},
			"nobody's secret":   {good + "jwt_secrets: [{consumer: nobody, key: k, secret: s}]\n", "nobody"},
			"a key twice":       {good + "jwt_secrets: [{consumer: steady, key: steady, secret: s}]\n", "steady"},
			"a short RSA key":   {good + "jwt_secrets: [{consumer: steady, key: k, algorithm: RS256, rsa_public_key: " + fmt.Sprintf("%q", tokens.PublicPEM("rsa1024")) + "}]\n", "1024"},
			"no format version": {strings.Replace(good, "_format_version: \"3.0\"\n", "", 1), "_format_version"},
		} {
			t.Run(name, func(t *testing.T) {
				before := len(reader.Log())
				r.Write(c.file)
				refused++
				metric := fmt.Sprintf("sallyport_sidecar_reloads_total{result=\"refused\"} %d\n", refused)
				testenv.Eventually(t, reloadWithin+reloadMargin, "the metric of refused files", func() bool {
					return strings.Contains(get(t, r.Status+"/metrics"), metric)
				})
				testenv.Eventually(t, reloadWithin+reloadMargin, "the report of a refused file", func() bool {
					log := reader.Log()[before:]
					return strings.Contains(log, "the old one stays in force") && strings.Contains(log, c.says)
				})
				if !testenv.OK(r.Status + "/readyz") {
					t.Error("the old file is in force, and readiness is gone")
				}
				// Nothing of the edition that the bad file was made from is there.
				for _, x := range []struct {
					status         int
					line, consumer string
				}{
					{200, reloadToken("steady"), "steady"}, {401, "Accept: */*", ""}, {200, reloadToken("renamed"), "name-1"},
					{200, reloadToken("key-1"), "name-1"}, {401, reloadToken("key-2"), ""},
				} {
					if !r.holds(x.status, "/guarded", x.line, x.consumer) {
						t.Errorf("a request is not answered as before: want %d as %q", x.status, x.consumer)
					}
				}
				if !r.holds(401, "/flip", "Accept: */*", "") {
					t.Error("a plugin is gone")
				}
				if r.Admin("/consumers/name-1", nil) != 200 || r.Admin("/consumers/name-2", nil) != 404 {
					t.Error("the admin API shows another file than the one in force")
				}
				testenv.Evidence(t, "%s: a bad file (%s) is refused, requests are answered as before", host, name)
			})
		}
		// The way back is open.
		r.Write(good)
		testenv.Eventually(t, reloadWithin+reloadMargin, "a good file after the bad ones", func() bool {
			return r.holds(200, "/guarded", reloadToken("key-2"), "name-2") && r.holds(200, "/flip", "Accept: */*", "")
		})
	})
}
