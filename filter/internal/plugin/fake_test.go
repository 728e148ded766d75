package plugin

import (
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// stream is a request as the fake proxy sees it.
type stream struct {
	edits      []string // acknowledged header edits
	unedited   bool     // an edit was refused
	continued  bool
	responded  int // status, 0 for none
	responses  int
	gone       bool // the client
	route      string
	headers    []abi.Pair
	onContinue func()
}

// fake is a proxy that can refuse any call. Like the arena in the module it hands
// out strings over memory that it writes over when a callback ends.
type fake struct {
	t       *testing.T
	seconds int64
	streams map[uint32]*stream
	current uint32

	config  string
	calls   []call // http calls under way
	token   uint32
	answer  []abi.Pair
	body    string
	logs    []string
	metrics map[string]int64
	names   []string

	// The fail-th hostcall of a kind that has a status is refused with status.
	fail, made int
	status     abi.Status
	only       string // the kind, "" for any
	failed     string // the kind that was refused

	verify func(argument string) (string, abi.Status)
	lent   [][]byte
}

type call struct {
	token         uint32
	headers, body string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, seconds: 1_800_000_000, streams: map[uint32]*stream{}, metrics: map[string]int64{}}
	f.verify = func(string) (string, abi.Status) { return string(abi.AppendVerifyResult(nil, true, "")), abi.OK }
	old := host
	host = f
	t.Cleanup(func() { host = old })
	return f
}

// lend returns a string that lives until the callback ends.
func (f *fake) lend(s string) string {
	if s == "" {
		return ""
	}
	b := []byte(s)
	f.lent = append(f.lent, b)
	return unsafe.String(&b[0], len(b))
}

// over ends a callback: what was lent is written over.
func (f *fake) over() {
	for _, b := range f.lent {
		for i := range b {
			b[i] = '#'
		}
	}
	f.lent = nil
}

// refuse says whether this call is the one to be refused.
func (f *fake) refuse(kind string) (abi.Status, bool) {
	if f.only != "" && f.only != kind {
		return abi.OK, false
	}
	f.made++
	if f.fail == 0 || f.made != f.fail {
		return abi.OK, false
	}
	f.failed = kind
	return f.status, true
}

func (f *fake) log(_ abi.LogLevel, text string) { f.logs = append(f.logs, strings.Clone(text)) }

func (f *fake) now() (uint64, abi.Status) {
	if s, no := f.refuse("now"); no {
		return 0, s
	}
	return uint64(f.seconds) * 1e9, abi.OK
}

func (f *fake) setTick(uint32) abi.Status { s, _ := f.refuse("setTick"); return s }

func (f *fake) setEffectiveContext(id uint32) abi.Status {
	if s, no := f.refuse("setEffectiveContext"); no {
		return s
	}
	if st := f.streams[id]; st == nil || st.gone {
		return abi.BadArgument
	}
	f.current = id
	return abi.OK
}

func (f *fake) buffer(b abi.BufferType, max uint32) (string, abi.Status) {
	if s, no := f.refuse("buffer"); no {
		return "", s
	}
	text := f.body
	if b == abi.PluginConfiguration {
		text = f.config
	}
	return f.lend(text[:min(int(max), len(text))]), abi.OK
}

func (f *fake) pairs(m abi.MapType) (string, abi.Status) {
	if s, no := f.refuse("pairs"); no {
		return "", s
	}
	list := f.answer
	if m == abi.HTTPRequestHeaders {
		list = f.streams[f.current].headers
	}
	return f.lend(string(abi.AppendPairs(nil, list))), abi.OK
}

func (f *fake) property(path string) (string, abi.Status) {
	if path != "xds\x00route_name" {
		f.t.Errorf("the property %q is asked for", path)
	}
	if s, no := f.refuse("property"); no {
		return "", s
	}
	return f.lend(f.streams[f.current].route), abi.OK
}

func (f *fake) edit(what string) abi.Status {
	st := f.streams[f.current]
	if s, no := f.refuse("edit"); no {
		st.unedited = true
		return s
	}
	st.edits = append(st.edits, strings.Clone(what))
	return abi.OK
}

func (f *fake) addHeader(m abi.MapType, key, value string) abi.Status {
	if m == abi.HTTPResponseHeaders {
		return f.edit("response + " + key + ": " + value)
	}
	return f.edit("+ " + key + ": " + value)
}

func (f *fake) replaceHeader(m abi.MapType, key, value string) abi.Status {
	if m == abi.HTTPResponseHeaders {
		return f.edit("response = " + key + ": " + value)
	}
	return f.edit(key + ": " + value)
}

func (f *fake) removeHeader(_ abi.MapType, key string) abi.Status { return f.edit("-" + key) }

func (f *fake) sendLocalResponse(status uint32, _, _ string, headers []byte) abi.Status {
	if _, ok := abi.DecodePairs(nil, string(headers)); !ok {
		f.t.Error("the headers of a response are no pairs")
	}
	if s, no := f.refuse("sendLocalResponse"); no {
		return s
	}
	st := f.streams[f.current]
	st.responded = int(status)
	st.responses++
	return abi.OK
}

func (f *fake) continueStream(abi.StreamType) abi.Status {
	if s, no := f.refuse("continueStream"); no {
		return s
	}
	st := f.streams[f.current]
	st.continued = true
	if st.onContinue != nil {
		st.onContinue()
	}
	return abi.OK
}

func (f *fake) httpCall(cluster string, headers, body []byte, timeout uint32) (uint32, abi.Status) {
	if timeout == 0 {
		f.t.Error("a call without a time-out")
	}
	if s, no := f.refuse("httpCall"); no {
		return 0, s
	}
	f.token++
	f.calls = append(f.calls, call{f.token, string(headers), string(body)})
	return f.token, abi.OK
}

func (f *fake) callForeign(name string, argument []byte) (string, abi.Status) {
	if name == ReadyFunction {
		return "", abi.NotFound
	}
	if s, no := f.refuse("callForeign"); no {
		return "", s
	}
	result, status := f.verify(string(argument))
	return f.lend(result), status
}

func (f *fake) defineMetric(_ abi.MetricType, name string) (uint32, abi.Status) {
	if s, no := f.refuse("defineMetric"); no {
		return 0, s
	}
	f.names = append(f.names, strings.Clone(name))
	return uint32(len(f.names)), abi.OK
}

func (f *fake) incrementMetric(id uint32, by int64) abi.Status {
	if s, no := f.refuse("incrementMetric"); no {
		return s
	}
	f.metrics[f.names[id-1]] += by
	return abi.OK
}

func (f *fake) recordMetric(id uint32, value uint64) abi.Status {
	if s, no := f.refuse("recordMetric"); no {
		return s
	}
	f.metrics[f.names[id-1]] = int64(value)
	return abi.OK
}

// world is a VM in the fake proxy, with a sidecar that the test plays.
type world struct {
	*fake
	vm *vm
}

// Routes of the world's bundle.
const (
	openRoute   = "open.000000000000"
	issuerRoute = "issuer.000000000000"
	secretRoute = "secret.000000000000"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{newFake(t), newVM()}
	if !w.configure("") {
		t.Fatalf("not configured: %q", w.logs)
	}
	return w
}

func (w *world) configure(config string) bool {
	w.config = config
	defer w.over()
	return w.vm.onConfigure(uint32(len(config)))
}

// withBundle gives the VM its bundle.
func (w *world) withBundle() *world {
	w.t.Helper()
	w.tick()
	w.reply("200", testBundle(1))
	if w.vm.engine.Bundle() == nil {
		w.t.Fatalf("no bundle: %q", w.logs)
	}
	return w
}

func testBundle(generation uint64) string {
	oidc := &bundle.Plugin{ID: "o", OIDC: &bundle.OIDC{Common: bundle.Common{HeaderNames: []string{"authorization"}}, TrustID: "t", Methods: []bundle.Method{bundle.Bearer}}}
	jwt := &bundle.Plugin{ID: "j", JWT: &bundle.JWT{Common: bundle.Common{HeaderNames: []string{"authorization"}}, KeyClaim: "iss"}}
	b := &bundle.Bundle{
		Epoch: "e", Generation: generation, Source: "s",
		Trust:   []*bundle.Trust{{ID: "t", Hash: "h", Issuers: []string{"https://issuer"}, Keys: []bundle.Key{{ID: "k", DER: "der", Alg: []jose.Alg{jose.RS256}}}}},
		Plugins: []*bundle.Plugin{oidc, jwt},
		Routes: map[string]*bundle.Route{
			openRoute:   {Name: openRoute},
			issuerRoute: {Name: issuerRoute, Chain: []*bundle.Plugin{oidc}},
			secretRoute: {Name: secretRoute, Chain: []*bundle.Plugin{jwt}},
		},
	}
	return string(b.Encode())
}

func (w *world) tick() {
	w.vm.onTick()
	w.over()
}

// reply answers the oldest call under way.
func (w *world) reply(status, body string, more ...abi.Pair) {
	w.t.Helper()
	if len(w.calls) == 0 {
		w.t.Fatal("no call is under way")
	}
	c := w.calls[0]
	w.calls = w.calls[1:]
	w.answer = append([]abi.Pair{{Key: ":status", Value: status}, {Key: wire.VersionHeader, Value: wire.Version}}, more...)
	w.body = body
	n := uint32(len(w.answer))
	if status == "" {
		n = 0
	}
	w.vm.onHTTPCallResponse(c.token, n, uint32(len(body)))
	w.over()
}

// request begins a stream and returns what the callback said.
func (w *world) request(id uint32, route string, headers ...abi.Pair) abi.Action {
	w.t.Helper()
	w.begin(id, route, headers...)
	action := w.vm.onRequestHeaders(id)
	w.over()
	return action
}

func (w *world) begin(id uint32, route string, headers ...abi.Pair) {
	w.current = id
	w.streams[id] = &stream{route: route, headers: append([]abi.Pair{
		{Key: ":authority", Value: "gateway.example"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"},
		{Key: "x-request-id", Value: "id-" + strconv.Itoa(int(id))}, {Key: "x-consumer-username", Value: "admin"},
	}, headers...)}
}

// passed reports whether the upstream gets the request, as a proxy would.
func (w *world) passed(id uint32, action abi.Action) bool {
	st := w.streams[id]
	return st.responded == 0 && (action == abi.Continue || st.continued)
}
