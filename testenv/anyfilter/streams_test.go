package anyfilter

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
)

// message is a request that was generated, with what the probes shall do.
type message struct {
	Method, Path string
	Header       [][2]string
	Pieces       []string // of the body; with several it is sent in chunks
	Trailer      bool
}

// result is everything that can be seen of a message's way.
type result struct {
	Status   int
	Header   map[string][]string // of the response
	Body     string
	Received string // what the upstream got
	Events   string // the probes' callbacks
}

// what the probes can be told, most often nothing. A trap is TestChain's: in Envoy its
// VM stays away.
var orders = []string{"", "", "", "", "deny", "pause", "hold", "hold-response", "deny-body", "deny-response", "hold hold-response", "hold deny-response"}

// draw makes up a message.
func draw(r *rand.Rand) (m message) {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	m.Method = pick("GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
	m.Path = pick("/", "/a", "/a/b%20c", "/?q", "/a?b=c&d=%2f", "/~a;b=c", "/%C3%A4")
	for _, n := range names {
		if do := pick(orders...); do != "" {
			m.Header = append(m.Header, [2]string{"x-do-" + n, do})
		}
	}
	if m.told("pause") && m.told("deny-body") {
		// Who comes first is a race: see compare.
		m.Header = slices.DeleteFunc(m.Header, func(h [2]string) bool { return h[1] == "pause" })
	}
	for range r.IntN(6) {
		name := pick("accept", "cookie", "x-one", "x-two", "authorization", "apikey", "x-forwarded-host", "accept-language", "if-none-match", "range", "x-state", "x-trace", "user-agent")
		value := pick("", "a", "a, b", "a;q=0.5", "\"quoted\"", strings.Repeat("long ", 500)+"end", "a=b; c=d", "caf\u00e9")
		m.Header = append(m.Header, [2]string{name, value})
	}
	if m.Method == "GET" || m.Method == "HEAD" || m.Method == "OPTIONS" {
		return m
	}
	for range r.IntN(4) {
		m.Pieces = append(m.Pieces, strings.Repeat(pick("x", "body ", "{}"), 1+r.IntN([]int{2, 100, 5000}[r.IntN(3)])))
	}
	// A body that a probe holds until trailers come has been lost by Envoy 1.40.
	m.Trailer = len(m.Pieces) > 1 && r.IntN(4) == 0 && !m.told("hold")
	return m
}

// shown are the headers that are compared: those of the message and of the probes. What
// a proxy adds of its own is configuration.
var shown = []string{"Accept", "Cookie", "X-One", "X-Two", "Authorization", "Apikey", "X-Forwarded-Host", "Accept-Language", "If-None-Match", "Range",
	"X-State", "X-Trace", "X-Denied-By", "X-Up", "Set-Cookie", "Content-Type", "Content-Length", "User-Agent"}

// show returns them, each as one list: whether it came in one line or several, and with
// empty ones among them, means the same (RFC 9110, section 5.3).
func show(h http.Header, leaveOut ...string) map[string][]string {
	out := map[string][]string{}
	for _, name := range shown {
		values := slices.DeleteFunc(slices.Clone(h[name]), func(v string) bool { return v == "" })
		if len(values) == 0 || slices.Contains(leaveOut, name) {
			continue
		}
		if name != "Set-Cookie" {
			values = []string{strings.Join(values, ",")}
		}
		out[name] = values
	}
	return out
}

// recorder is an upstream that keeps what it has received.
type recorder struct {
	mu   sync.Mutex // guards last
	last string
}

// ServeHTTP implements http.Handler.
func (u *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text, _ := json.Marshal(map[string]any{ // of strings: cannot fail
		"method": r.Method, "target": r.RequestURI, "host": strings.Contains(r.Host, "127.0.0.1"), "body": string(body), "error": err != nil,
		"header": show(r.Header, "Content-Length"), "trailer": r.Trailer,
	})
	if err == nil {
		u.mu.Lock()
		u.last = string(text)
		u.mu.Unlock()
	}
	w.Header().Add("Set-Cookie", "a=1")
	w.Header().Add("Set-Cookie", "b=2")
	w.Header().Set("X-Up", "up")
	w.Header().Set("Content-Type", "text/x-up")
	if n := len(body); n%3 == 0 { // now with a length, now without
		w.Header().Set("Content-Length", strconv.Itoa(len("answer ")+n))
	}
	if r.URL.RawQuery == "q" {
		w.WriteHeader(http.StatusAccepted)
	}
	_, _ = io.WriteString(w, "answer ")
	_, _ = w.Write(body)
}

func (u *recorder) take() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := u.last
	u.last = ""
	return last
}

// pieces is a body that comes in pieces.
type pieces []string

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(*p) > 0 && (*p)[0] == "" {
		*p = (*p)[1:]
	}
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	(*p)[0] = (*p)[0][n:]
	return n, nil
}

// pair is the same chain in both.
type pair struct {
	subjects map[string]subject
	upstream map[string]*recorder
}

func newPair(t testing.TB) *pair {
	t.Helper()
	module := testenv.Guest(t, "probe")
	p := &pair{upstream: map[string]*recorder{"host": {}, "envoy": {}}}
	p.subjects = map[string]subject{"host": inHost(t, module, p.upstream["host"]), "envoy": inEnvoy(t, module, p.upstream["envoy"])}
	return p
}

// send sends a message to one of the two.
func (p *pair) send(t testing.TB, who string, m message) result {
	t.Helper()
	s := p.subjects[who]
	before := len(s.log())
	var body io.Reader
	switch len(m.Pieces) {
	case 0:
	case 1:
		body = strings.NewReader(m.Pieces[0])
	default:
		list := pieces(slices.Clone(m.Pieces))
		body = &list
	}
	req, err := http.NewRequest(m.Method, s.url+m.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Trailer {
		req.Trailer = http.Header{"X-One": {"trailer"}}
	}
	req.Header.Set("User-Agent", "streams")
	for _, h := range m.Header {
		req.Header.Add(h[0], h[1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %+v: %v", who, m, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %+v: %v", who, m, err)
	}
	return result{res.StatusCode, show(res.Header), string(data), p.upstream[who].take(), s.events(t, before, len(names))}
}

var transport = &http.Transport{DisableCompression: true}

// told reports whether a probe is told something.
func (m message) told(what string) bool {
	return slices.ContainsFunc(m.Header, func(h [2]string) bool {
		return strings.HasPrefix(h[0], "x-do-") && slices.Contains(strings.Fields(h[1]), what)
	})
}

// byProbe orders events by probe.
func byProbe(events string) string {
	lines := strings.Split(events, "\n")
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	return strings.Join(lines, "\n")
}

// withoutEnds leaves out the ends of requests' bodies.
func withoutEnds(events string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(events, "\n"), func(e string) bool { return strings.HasSuffix(e, ": request body ends") }), "\n")
}

// compare sends a message to both.
func (p *pair) compare(t testing.TB, m message) result {
	t.Helper()
	host, envoy := p.send(t, "host", m), p.send(t, "envoy", m)
	if envoy.Header["Content-Length"] == nil {
		delete(host.Header, "Content-Length") // net/http counts what is short
	}
	if m.told("deny-body") || m.told("pause") && m.told("deny") {
		// Whether the end comes together with the last piece depends on how it was sent, and
		// net/http does not say: who denies at the first piece may not get to see the end.
		host.Events, envoy.Events = withoutEnds(host.Events), withoutEnds(envoy.Events)
	}
	if m.told("pause") {
		// Envoy pushes the body on to the filter that pauses, past those before it; here
		// they see it when the next one reads. What each sees is the same.
		host.Events, envoy.Events = byProbe(host.Events), byProbe(envoy.Events)
	}
	if !reflect.DeepEqual(host, envoy) {
		t.Errorf("%+v\nhost:  %+v\nenvoy: %+v", m, host, envoy)
	}
	return host
}

// TestStreams sends generated requests through both hosts. STREAMS says how many, SEED
// with which seed they are made up.
func TestStreams(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	seed, count := number("SEED", 1), number("STREAMS", 300)
	r := rand.New(rand.NewPCG(seed, 0))
	p := newPair(t)
	statuses := map[int]int{}
	for i := range count {
		statuses[p.compare(t, draw(r)).Status]++
		if t.Failed() {
			t.Fatalf("SEED=%d, message %d", seed, i)
		}
	}
	testenv.Evidence(t, "%d messages of SEED=%d were the same in both, by status: %s", count, seed, fmt.Sprint(statuses))
}
