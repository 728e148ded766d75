package conformance

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// tricksFile guards /protected and /public/nested on two hosts. On the first nothing else exists
// but /public; on the second whatever is not guarded is public, so that a target
// which the gateway reads otherwise than the upstream is let through to it. A
// third host is public as a whole; /free is public on any.
func tricksFile(upstream string) string {
	return `_format_version: "3.0"
_sallyport: {filter: {log_lines: 100000}}
services:
- name: upstream
  url: http://` + upstream + `
  routes:
  - name: protected
    hosts: [closed.example, open.example]
    paths: [/protected]
    strip_path: false
    preserve_host: true
    plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]
  - name: nested
    hosts: [closed.example, open.example]
    paths: [/public/nested]
    strip_path: false
    preserve_host: true
    plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]
  - {name: public, hosts: [closed.example, open.example], paths: [/public], strip_path: false, preserve_host: true}
  - {name: rest, hosts: [open.example], paths: [/], strip_path: false, preserve_host: true}
  - {name: free, paths: [/free], strip_path: false, preserve_host: true}
  - {name: other, hosts: [public.example], paths: [/], strip_path: false, preserve_host: true}
`
}

// readers are the ways in which upstreams read a path, beyond taking it as it is.
var readers = map[string]func(p string) string{
	"plain":   func(p string) string { return p },
	"decoded": func(p string) string { return path.Clean(decode(p)) }, // nginx, net/http
	"twice":   func(p string) string { return path.Clean(decode(decode(p))) },
	"windows": func(p string) string { return path.Clean(strings.ReplaceAll(decode(p), `\`, "/")) },
	"servlet": func(p string) string { return path.Clean(decode(withoutParameters(p))) },
	"c":       func(p string) string { p, _, _ = strings.Cut(decode(p), "\x00"); return path.Clean(p) },
	"lenient": func(p string) string { // overlong UTF-8
		return path.Clean(strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/").Replace(decode(p)))
	},
	"fragment": func(p string) string { p, _, _ = strings.Cut(decode(p), "#"); return path.Clean(p) },
	"caseless": func(p string) string { return path.Clean(strings.ToLower(decode(p))) },
}

// decode undoes percent-encoding, and leaves what is none.
func decode(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if i+2 < len(p) && p[i] == '%' {
			if s, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(s)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func withoutParameters(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// readAsProtected returns the readers that take a request for one that is
// guarded.
func readAsProtected(host, target string) (names []string) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	host, _, _ = strings.Cut(host, ":")
	if host == "public.example" {
		return nil
	}
	p, _, _ := strings.Cut(target, "?")
	if _, rest, ok := strings.Cut(p, "://"); ok {
		_, p, _ = strings.Cut(rest, "/")
		p = "/" + p
	}
	for name, read := range readers {
		for _, guarded := range []string{"/protected", "/public/nested"} {
			if got := read(p); got == guarded || strings.HasPrefix(got, guarded+"/") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// wire is an upstream that knows no HTTP: it remembers the lines that arrive and
// answers 200.
type wire struct {
	addr string
	mu   sync.Mutex // guards seen
	seen map[string][]arrival
}

type arrival struct{ line, host string }

func startWire(t testing.TB) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &wire{addr: l.Addr().String(), seen: map[string][]arrival{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	return w
}

func (w *wire) serve(c net.Conn) {
	defer c.Close()
	for r := textproto.NewReader(bufio.NewReader(c)); ; {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		h, err := r.ReadMIMEHeader()
		if err != nil {
			return
		}
		id := h.Get("X-Test-Id")
		w.mu.Lock()
		w.seen[id] = append(w.seen[id], arrival{line, strings.Join(h["Host"], " | ")})
		w.mu.Unlock()
		if _, err := fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

// try sends a request line with headers and says what came of it in a word: the
// status with the filter's reason, - where the proxy itself refused, or with what
// arrived at the upstream.
func (w *wire) try(t testing.TB, r *rig, line string, lines ...string) (came string, got []arrival) {
	t.Helper()
	if !strings.Contains(line, "HTTP/") {
		line += " HTTP/1.1"
	}
	id := tokens.Random()
	status, requestID := head(t, r.Addr, line+"\r\n"+strings.Join(lines, "\r\n")+"\r\nX-Test-Id: "+id+"\r\nConnection: close\r\n\r\n")
	w.mu.Lock()
	got = w.seen[id]
	w.mu.Unlock()
	came = status
	if status == "200" {
		for _, a := range got {
			came += " " + strings.TrimSuffix(a.line, " HTTP/1.1")
		}
	} else {
		reason := ""
		if requestID != "" {
			reason = r.Reason(requestID)
		}
		came += " " + cmp.Or(reason, "-")
	}
	testenv.Evidence(t, "%s: %q, %q -> %s, upstream received %q", r.Host, short(line), lines, short(came), got)
	return came, got
}

func short(s string) string { return s[:min(len(s), 80)] }

// head returns the status and the request id of the answer to some bytes. What
// comes behind the head, be it a reset of the connection, does not matter.
func head(t testing.TB, addr, request string) (status, requestID string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(c, request) }() // the answer may come before all is sent
	r := textproto.NewReader(bufio.NewReader(c))
	line, err := r.ReadLine()
	if err != nil {
		return "closed", ""
	}
	h, err := r.ReadMIMEHeader()
	if err != nil {
		t.Errorf("%s without its end: %v", line, err)
	}
	_, status, _ = strings.Cut(line, " ")
	status, _, _ = strings.Cut(status, " ")
	return status, h.Get("X-Request-Id")
}

func startTricks(t *testing.T, host string) (*rig, *wire) {
	t.Helper()
	w := startWire(t)
	return &rig{t: t, Stack: stack.Start(t, host, tricksFile(w.addr), stack.Options{})}, w
}

// trick is a request line and what comes of it, for each of the two hosts of the
// file where they differ: "on the closed one | on the open one".
type trick struct {
	line string // {H} stands for the host; HTTP/1.1 is added
	want string
	// envoy is what comes of it in Envoy, where that is something else.
	envoy string
	// reads names the readers that take what arrives for a guarded path: upstreams
	// that read paths as they do are not guarded by a route for one way of writing.
	reads string
}

// TestPaths sends targets that are written to be read in two ways. What has not
// been authenticated may not reach the upstream under the guarded path as the
// upstream reads it.
func TestPaths(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r, w := startTricks(t, host)
		for _, tr := range tricks {
			t.Run(short(tr.line), func(t *testing.T) {
				var came, reads []string
				for _, name := range []string{"closed.example", "open.example"} {
					c, got := w.try(t, r, strings.ReplaceAll(tr.line, "{H}", name), "Host: "+name)
					if len(came) == 0 || came[0] != c {
						came = append(came, c)
					}
					for _, a := range got {
						_, target, _ := strings.Cut(strings.TrimSuffix(a.line, " HTTP/1.1"), " ")
						reads = append(reads, readAsProtected(a.host, target)...)
					}
				}
				want := tr.want
				if host == "envoy" && tr.envoy != "" {
					want = tr.envoy
				}
				if got := strings.Join(came, " | "); got != want {
					t.Errorf("came of it: %s\nwant %s", got, want)
				}
				slices.Sort(reads)
				if got := strings.Join(slices.Compact(reads), " "); got != tr.reads {
					t.Errorf("read as guarded by: %q, want %q", got, tr.reads)
				}
			})
		}
	})
}

// hostTrick is header lines, and what comes of a request for /protected with them,
// and of one for /free, whose route does not look at the host.
type hostTrick struct{ lines, want, envoy, free, envoyFree string }

// TestHosts sends requests that name several hosts, or none. The host by which a
// request was routed has to be the one that the upstream sees.
func TestHosts(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r, w := startTricks(t, host)
		for _, tr := range hostTricks {
			t.Run(short(tr.lines), func(t *testing.T) {
				want, free := tr.want, tr.free
				if host == "envoy" {
					want, free = cmp.Or(tr.envoy, want), cmp.Or(tr.envoyFree, free)
				}
				lines := strings.Split(tr.lines, "\n")
				came, got := w.try(t, r, "GET /protected", lines...)
				if came != want {
					t.Errorf("of /protected came: %s\nwant %s", came, want)
				}
				for _, a := range got {
					if !strings.EqualFold(a.host, "public.example") {
						t.Errorf("the upstream sees the host %q", a.host)
					}
				}
				came, got = w.try(t, r, "GET /free", lines...)
				if came != free {
					t.Errorf("of /free came: %s\nwant %s", came, free)
				}
				for _, a := range got {
					if a.host == "" || strings.ContainsAny(a.host, " ,|@/") {
						t.Errorf("the upstream sees the host %q", a.host)
					}
				}
			})
		}
	})
}
