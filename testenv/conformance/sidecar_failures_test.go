package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

const failuresFile = `_format_version: "3.0"
services:
- name: s
  url: ${UPSTREAM}
  routes:
  - {name: open, paths: [/open]}
  - {name: issuer, paths: [/issuer], plugins: [{name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer]}}]}
  - {name: secret, paths: [/secret], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
consumers:
- {username: alice, jwt_secrets: [{key: alice, secret: the-secret-of-alice}]}
_sallyport:
  filter: {ask_timeout_ms: 500, keys_timeout_ms: 500}
`

// badSidecars are what may listen in the sidecar's place. Each gets one connection
// at a time and is ended by closing the listener.
var badSidecars = map[string]func(c net.Conn){
	"garbage": func(c net.Conn) { _, _ = io.WriteString(c, "\x00\xffrubbish\r\n\r\n") },
	"truncated": func(c net.Conn) {
		_, _ = io.WriteString(c, answer("200", "Content-Length: 1000\r\n")+`{"verdict":"valid"`)
	},
	"500":   func(c net.Conn) { _, _ = io.WriteString(c, answer("500", "Content-Length: 0\r\n")) },
	"empty": func(c net.Conn) { _, _ = io.WriteString(c, answer("200", "Content-Length: 0\r\n")) },
	"nonsense": func(c net.Conn) {
		_, _ = io.WriteString(c, answer("200", "Content-Length: 18\r\n")+`{"code":"allowed"}`)
	},
	"another version": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nsallyport-wire: 99\r\nContent-Length: 2\r\n\r\n{}")
	},
	"slow": func(c net.Conn) {
		_, _ = io.WriteString(c, answer("200", "Content-Length: 100000\r\n"))
		for drip(c, "{", 50*time.Millisecond) {
		}
	},
	"endless": func(c net.Conn) {
		_, _ = io.WriteString(c, answer("200", "Transfer-Encoding: chunked\r\n"))
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10))
		for drip(c, chunk, 0) {
		}
	},
	"endless headers": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for i := 0; drip(c, fmt.Sprintf("x-%d: %s\r\n", i, strings.Repeat("x", 1000)), 0); i++ {
		}
	},
}

func answer(status, headers string) string {
	return "HTTP/1.1 " + status + " X\r\nsallyport-wire: 1\r\n" + headers + "\r\n"
}

// drip writes once more and reports whether anybody still reads.
func drip(c net.Conn, s string, pause time.Duration) bool {
	time.Sleep(pause) // the fault that is being played
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	_, err := io.WriteString(c, s)
	return err == nil
}

// listenBadly puts a bad sidecar on the socket until the returned function is called.
func listenBadly(t *testing.T, socket string, play func(net.Conn)) (stop func()) {
	t.Helper()
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.Map
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(c, true)
			work.Go(func() {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					play(c)
				}
			})
		}
	})
	return func() {
		_ = l.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		work.Wait()
	}
}

// TestSidecarFailures: whatever becomes of the sidecar, requests that need nothing
// of it are answered as before, the others 503 within the time-out, nothing passes
// that was not judged, and memory stays within a bound.
func TestSidecarFailures(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{Apart: true, Workers: 1}, func(e vectors.Env) string {
			return strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer).Replace(failuresFile)
		})
		secret := func(key string) string {
			return tokens.Sign("the-secret-of-alice", map[string]any{"alg": "HS256"}, map[string]any{"iss": key, "exp": tokens.In(600), "jti": tokens.Random()})
		}
		issued := func(kid string) string {
			return tokens.Sign("rsa2048", map[string]any{"alg": "RS256", "kid": kid},
				map[string]any{"iss": r.idp.Issuer(), "sub": "s", "exp": tokens.In(600), "jti": tokens.Random()})
		}
		remembered := secret("alice")
		r.eventually(t, 200, "GET", "/issuer", bearer(r.idp.Token("k1", nil)))
		r.eventually(t, 200, "GET", "/secret", bearer(remembered))

		// judge sends what has to be answered without the sidecar, and what cannot be.
		judge := func(t *testing.T) {
			before := resident(t, r.Gateway.PID())
			for range 4 {
				r.send(t, "GET", "/open").want(t, 200, "", "")
				r.send(t, "GET", "/issuer", bearer(r.idp.Token("k1", map[string]any{"jti": tokens.Random()}))).want(t, 200, "", "")
				r.send(t, "GET", "/secret", bearer(remembered)).want(t, 200, "", "")
				r.send(t, "GET", "/issuer").want(t, 401, "", noToken)
			}
			for name, send := range map[string][2]string{
				"an unknown credential": {"/secret", secret("nobody-" + tokens.Random())},
				"an HS256 token":        {"/secret", secret("alice")},
				"an unknown kid":        {"/issuer", issued("unknown-" + tokens.Random())},
			} {
				begin := time.Now()
				x := r.send(t, "GET", send[0], bearer(send[1]))
				x.want(t, 503, "", "")
				// The time-outs are half a second; this is what a client would still call an answer.
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("%s: answered after %v", name, took)
				}
				if x.Header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", name)
				}
			}
			if grown := resident(t, r.Gateway.PID()) - before; grown > maxGrowth {
				t.Errorf("the memory grew by %d MB, want at most %d", grown, maxGrowth)
			}
		}
		t.Run("stopped", func(t *testing.T) {
			r.Sidecar.Signal(syscall.SIGSTOP)
			defer r.Sidecar.Signal(syscall.SIGCONT)
			judge(t)
		})
		r.eventually(t, 200, "GET", "/secret", bearer(secret("alice")))
		r.Sidecar.Kill()
		t.Run("killed", judge)
		for name, play := range badSidecars {
			t.Run(name, func(t *testing.T) {
				stop := listenBadly(t, r.Socket(), play)
				defer stop()
				judge(t)
			})
		}
		t.Run("back", func(t *testing.T) {
			_ = os.Remove(r.Socket())
			r.StartSidecar()
			r.eventually(t, 200, "GET", "/secret", bearer(secret("alice")))
			r.send(t, "GET", "/secret", bearer(secret("nobody"))).want(t, 401, "", badToken)
		})
	})
}

// maxGrowth is how much memory a bad sidecar may cost, in MB. In half a second a
// Unix socket carries more than ten times as much.
const maxGrowth = 100

// resident returns the memory of a process in MB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
