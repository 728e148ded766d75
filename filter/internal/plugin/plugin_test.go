package plugin

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

func compact(header, claims string) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(header)) + "." + b([]byte(claims)) + "." + b([]byte("0123456789abcdef0123456789abcdef"))
}

func authorization(token string) abi.Pair {
	return abi.Pair{Key: "authorization", Value: "Bearer " + token}
}

var (
	issued = compact(`{"alg":"RS256","kid":"k"}`, `{"iss":"https://issuer","sub":"alice","exp":1800000600}`)
	secret = compact(`{"alg":"HS256"}`, `{"iss":"alice-key"}`)
)

// credentialAnswer is what the sidecar says about the key of secret.
func credentialAnswer(verdict wire.Verdict) string {
	a := wire.Answer{Verdict: verdict, Feed: "f", Credential: &bundle.Credential{
		ID: "c", Key: "alice-key", Version: "1", Alg: []jose.Alg{jose.HS256}, Consumer: &bundle.Consumer{ID: "id", Username: "alice"},
	}}
	return string(a.Encode())
}

func verdictAnswer(v wire.Verdict) string {
	a := wire.Answer{Verdict: v, Feed: "f"}
	return string(a.Encode())
}

// scenarios are requests with everything that happens to them.
var scenarios = map[string]struct {
	route  string
	header []abi.Pair
	// judge is the verdict of the proxy's verify_signature; nil: it has none.
	judge  func(string) (string, abi.Status)
	answer string   // of the sidecar, "" when it is not asked
	edits  []string // that have to be made before the request may pass
	denied int      // the status, when it may not
}{
	"open": {route: openRoute, edits: []string{"-x-consumer-username"}},
	"issuer": {route: issuerRoute, header: []abi.Pair{authorization(issued)},
		edits: []string{"-x-consumer-username", "x-credential-identifier: alice"}},
	"issuer, judged by the sidecar": {route: issuerRoute, header: []abi.Pair{authorization(issued)}, answer: verdictAnswer(wire.Valid),
		judge: func(string) (string, abi.Status) { return "", abi.NotFound },
		edits: []string{"-x-consumer-username", "x-credential-identifier: alice"}},
	"issuer, refused": {route: issuerRoute, header: []abi.Pair{authorization(issued)}, denied: 401,
		judge: func(string) (string, abi.Status) { return string(abi.AppendVerifyResult(nil, false, "no")), abi.OK }},
	"secret": {route: secretRoute, header: []abi.Pair{authorization(secret)}, answer: credentialAnswer(wire.Valid),
		edits: []string{"-x-consumer-username", "x-consumer-username: alice", "x-consumer-id: id", "x-credential-identifier: alice-key"}},
	"secret, refused": {route: secretRoute, header: []abi.Pair{authorization(secret)}, answer: credentialAnswer(wire.Invalid), denied: 401},
	"no token":        {route: secretRoute, denied: 401},
	"unknown route":   {route: "other.000000000000", denied: 503},
	"unnamed route":   {route: "", denied: 503},
}

// run sends the scenario's request and answers its question.
func run(w *world, name string) (action abi.Action) {
	s := scenarios[name]
	if s.judge != nil {
		w.verify = s.judge
	}
	action = w.request(7, s.route, s.header...)
	if s.answer != "" && len(w.calls) > 0 {
		w.reply("200", s.answer)
	}
	return action
}

func TestScenarios(t *testing.T) {
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).withBundle()
			action := run(w, name)
			st := w.streams[7]
			if passed := w.passed(7, action); passed != (s.denied == 0) || st.responded != s.denied {
				t.Fatalf("passed %v, answered %d, want %d; %q", passed, st.responded, s.denied, w.logs)
			}
			if slices.Sort(st.edits); !slices.Equal(st.edits, slices.Sorted(slices.Values(s.edits))) {
				t.Errorf("edits %q, want %q", st.edits, s.edits)
			}
		})
	}
}

// TestEveryRefusedCall refuses each call that is made in each scenario, with each
// status there is. Whatever happens, a request passes only with all its edits
// made, no request is answered twice, and nothing panics.
func TestEveryRefusedCall(t *testing.T) {
	refused := map[string]bool{}
	for name, s := range scenarios {
		for _, status := range abi.Statuses() {
			if status == abi.OK {
				continue
			}
			for n := 1; ; n++ {
				w := newWorld(t).withBundle()
				w.made, w.fail, w.status = 0, n, status
				action := run(w, name)
				if w.failed == "" {
					break // there are no more calls
				}
				refused[w.failed] = true
				where := fmt.Sprintf("%s: call %d (%s) answered %v", name, n, w.failed, status)
				st := w.streams[7]
				if st.responses > 1 || st.responded != 0 && (action == abi.Continue || st.continued) {
					t.Errorf("%s: answered %d times, continued %v", where, st.responses, st.continued)
				}
				if !w.passed(7, action) {
					continue
				}
				if s.denied != 0 || st.unedited {
					t.Errorf("%s: the request passed", where)
				}
				for _, edit := range s.edits {
					if !slices.Contains(st.edits, edit) {
						t.Errorf("%s: the request passed without %q", where, edit)
					}
				}
				for _, line := range w.logs {
					if strings.Contains(line, "caught") {
						t.Errorf("%s: %s", where, line)
					}
				}
			}
		}
	}
	for _, kind := range []string{"now", "property", "pairs", "edit", "sendLocalResponse", "continueStream", "httpCall",
		"callForeign", "setEffectiveContext", "buffer"} {
		if !refused[kind] {
			t.Errorf("%s was never refused", kind)
		}
	}
}

// TestRefusedOutsideRequests: configuration, ticks and the bundle.
func TestRefusedOutsideRequests(t *testing.T) {
	for _, status := range abi.Statuses() {
		if status == abi.OK {
			continue
		}
		for n := 1; ; n++ {
			f := newFake(t)
			w := &world{f, newVM()}
			w.fail, w.status = n, status
			if w.configure("{}") {
				w.tick()
				if len(w.calls) > 0 {
					w.reply("200", testBundle(1))
				}
				w.tick()
			}
			done := w.failed == ""
			w.fail = 0
			if w.vm.engine == nil {
				if action := w.request(7, openRoute); w.passed(7, action) || w.streams[7].responded != 503 {
					t.Errorf("not configured (call %d, %v), and a request passed", n, status)
				}
			}
			for _, line := range w.logs {
				if strings.Contains(line, "caught") {
					t.Errorf("call %d (%s) answered %v: %s", n, w.failed, status, line)
				}
			}
			if done {
				break
			}
		}
	}
}

func TestConfigure(t *testing.T) {
	for config, ok := range map[string]bool{
		"": true, "{}": true, `{"cluster":"c","poll_ms":100}`: true,
		"[]": false, "{": false, `{"cluster":""}`: false, `{"poll_ms":99}`: false, `{"poll_ms":"500"}`: false, `{"other":1}`: false,
		`{"cache_bytes":1e9}`: false, `{"cluster":1}`: false,
	} {
		w := &world{newFake(t), newVM()}
		if got := w.configure(config); got != ok {
			t.Errorf("%q: %v, want %v", config, got, ok)
		}
	}
	w := newWorld(t)
	if w.configure(`{"cluster":"another"}`) {
		t.Error("two configurations share a VM")
	}
	if !w.configure("") {
		t.Error("the same configuration is refused")
	}
}

func TestBeforeTheBundle(t *testing.T) {
	w := newWorld(t)
	if action := w.request(7, openRoute); w.passed(7, action) || w.streams[7].responded != 503 {
		t.Error("a request passed without a bundle")
	}
	w.tick()
	for _, reply := range []func(){
		func() { w.reply("", "") },
		func() { w.reply("503", "") },
		func() { w.reply("200", "{}") },
		func() { w.reply("200", testBundle(1)[:20]) },
	} {
		reply()
		if w.vm.engine.Bundle() != nil {
			t.Fatal("a bundle was taken")
		}
		w.tick()
	}
	w.reply("200", testBundle(2))
	if action := w.request(8, openRoute); !w.passed(8, action) {
		t.Error("a request is refused with a bundle")
	}
	// An older bundle and a broken one change nothing.
	for _, body := range []string{testBundle(1), "rubbish"} {
		w.tick()
		w.reply("200", string((&wire.Changes{Feed: "f", Seq: 1, Bundle: body[:3]}).Encode()))
		w.reply("200", body, abi.Pair{Key: "etag", Value: `"` + body[:3] + `"`})
		if g := w.vm.engine.Bundle().Generation; g != 2 {
			t.Errorf("generation %d is in use", g)
		}
	}
}

// TestSilenceOfTheSidecar: a sidecar that starts together with the proxy is not
// complained of at once, one that was there is; either is said once.
func TestSilenceOfTheSidecar(t *testing.T) {
	w := newWorld(t)
	complaints := func() (list []string) {
		for _, l := range w.logs {
			if strings.Contains(l, "the sidecar gives no") {
				list = append(list, l)
			}
		}
		return list
	}
	fail := func(n int) {
		for range n {
			w.tick()
			w.reply("", "")
		}
	}
	fail(patience - 1)
	if got := complaints(); len(got) > 0 {
		t.Errorf("said too early: %q", got)
	}
	fail(patience)
	want := []string{"sallyport: the sidecar gives no bundle: reason=sidecar_unreachable"}
	if got := complaints(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 2 { // it comes, and goes, and is complained of each time it goes
		w.tick()
		if w.vm.engine.Bundle() == nil {
			w.reply("200", testBundle(1))
		} else {
			w.reply("204", "")
		}
		w.tick()
		w.reply("503", "")
		fail(patience)
		want = append(want, "sallyport: the sidecar gives no changes: status=503")
	}
	if got := complaints(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSidecarAnswers: what is no proper answer is 503.
func TestSidecarAnswers(t *testing.T) {
	for name, reply := range map[string]func(w *world){
		"failed call":  func(w *world) { w.reply("", "") },
		"500":          func(w *world) { w.reply("500", "") },
		"rubbish":      func(w *world) { w.reply("200", "rubbish") },
		"nothing":      func(w *world) { w.reply("200", "") },
		"empty object": func(w *world) { w.reply("200", "{}") },
		"another's key": func(w *world) {
			w.reply("200", strings.ReplaceAll(credentialAnswer(wire.Valid), "alice-key", "bob-key"))
		},
		"no verdict": func(w *world) {
			w.reply("200", credentialAnswer(wire.Unjudged))
			w.reply("200", verdictAnswer(wire.Unjudged))
		},
		"refusal": func(w *world) {
			w.reply("200", string((&wire.Answer{Code: reason.SidecarRefused, Feed: "f"}).Encode()))
		},
		"a reason that allows": func(w *world) {
			w.reply("200", `{"code":"allowed","feed":"f","seq":0}`)
		},
		"another version": func(w *world) {
			w.reply("200", credentialAnswer(wire.Valid), abi.Pair{Key: wire.VersionHeader, Value: "99"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).withBundle()
			action := w.request(7, secretRoute, authorization(secret))
			reply(w)
			if w.passed(7, action) || w.streams[7].responded != 503 {
				t.Errorf("passed %v, answered %d; %q", w.passed(7, action), w.streams[7].responded, w.logs)
			}
		})
	}
}

// TestOneCallForMany: requests with the same question wait for one answer, each is
// judged by its own token, and those whose client is gone are left alone.
func TestOneCallForMany(t *testing.T) {
	w := newWorld(t).withBundle()
	other := compact(`{"alg":"HS256"}`, `{"iss":"alice-key","n":2}`)
	for id, token := range map[uint32]string{7: secret, 8: secret, 9: other} {
		if w.request(id, secretRoute, authorization(token)) != abi.Pause {
			t.Fatal("a request did not wait")
		}
	}
	if len(w.calls) != 1 {
		t.Fatalf("%d calls for one question", len(w.calls))
	}
	asked := w.calls[0].body
	w.streams[8].gone = true
	w.reply("200", credentialAnswer(wire.Valid))
	own := uint32(7) // the one whose token went along
	if strings.Contains(asked, other[:strings.LastIndexByte(other, '.')]) {
		own = 9
	}
	if !w.streams[own].continued && own != 8 {
		t.Errorf("the request that asked waits on: %+v", w.streams[own])
	}
	if w.streams[8].continued || w.streams[8].responses > 0 {
		t.Error("a stream that is gone was touched")
	}
	// The verdict was of one token only: the other one asks for its own.
	if len(w.calls) == 0 {
		t.Fatal("another token rests on a verdict that was not its own")
	}
	for len(w.calls) > 0 {
		w.reply("200", verdictAnswer(wire.Invalid))
	}
	refused := 0
	for _, id := range []uint32{7, 9} {
		if w.streams[id].responded == 401 {
			refused++
		}
	}
	if refused != 1 || w.vm.calls.waiting != 0 || len(w.vm.calls.byName) != 0 || len(w.vm.calls.byToken) != 0 {
		t.Errorf("%d refused, %d waiting, %d questions", refused, w.vm.calls.waiting, len(w.vm.calls.byName))
	}
}

// TestBounds: what waits for the sidecar is bounded, and what is beyond is 503.
func TestBounds(t *testing.T) {
	w := newWorld(t).withBundle()
	token := func(i int) abi.Pair {
		return authorization(compact(`{"alg":"HS256"}`, fmt.Sprintf(`{"iss":"key-%d"}`, i)))
	}
	for i := range maxQuestions {
		if w.request(uint32(100+i), secretRoute, token(i)); w.streams[uint32(100+i)].responses > 0 {
			t.Fatalf("question %d is refused", i)
		}
	}
	w.request(7, secretRoute, token(maxQuestions))
	if w.streams[7].responded != 503 {
		t.Error("a question too many is asked")
	}
	for i := range maxWaiting - maxQuestions {
		w.request(uint32(10_000+i), secretRoute, token(0))
	}
	w.request(8, secretRoute, token(0))
	if w.streams[8].responded != 503 || w.vm.calls.waiting != maxWaiting {
		t.Errorf("%d wait, want %d", w.vm.calls.waiting, maxWaiting)
	}
	if action := w.request(9, openRoute); !w.passed(9, action) {
		t.Error("requests without a question are hindered")
	}
}

// TestWithin: a proxy may begin a request while it carries out a continue.
func TestWithin(t *testing.T) {
	w := newWorld(t).withBundle()
	w.request(7, secretRoute, authorization(secret))
	inner := abi.Pause
	w.streams[7].onContinue = func() {
		w.begin(8, issuerRoute)
		inner = w.vm.onRequestHeaders(8)
		w.current = 7
	}
	w.reply("200", credentialAnswer(wire.Valid))
	if !w.streams[7].continued || w.passed(8, inner) || w.streams[8].responded != 401 {
		t.Errorf("outer %+v, inner %+v", w.streams[7], w.streams[8])
	}
	w.tick()
	if w.metrics[MetricPrefix+"allowed"] != 1 || w.metrics[MetricPrefix+"credential_missing"] != 1 {
		t.Errorf("counted %v", w.metrics)
	}
}

// TestLogs: refusals are logged with reason and request id, never with the token,
// and not without end.
func TestLogs(t *testing.T) {
	w := newWorld(t).withBundle()
	w.tick()
	w.reply("204", "")
	w.logs = nil
	w.verify = func(string) (string, abi.Status) { return string(abi.AppendVerifyResult(nil, false, "")), abi.OK }
	for i := range 500 {
		w.request(uint32(i), issuerRoute, authorization(issued))
	}
	if len(w.logs) != w.vm.config.LogLines {
		t.Errorf("%d lines", len(w.logs))
	}
	if want := "[openid-connect] denied reason=signature_invalid route=" + issuerRoute + " request_id=id-0"; w.logs[0] != want {
		t.Errorf("logged %q, want %q", w.logs[0], want)
	}
	w.tick()
	if last := w.logs[len(w.logs)-1]; !strings.Contains(last, "400 log lines were suppressed") {
		t.Errorf("logged %q", last)
	}
	for _, line := range w.logs {
		if strings.Contains(line, "eyJ") {
			t.Fatalf("a token was logged: %s", line)
		}
	}
	w.logs = nil
	w.begin(7, "route\nwith\x1b[31m lines", abi.Pair{Key: "x-request-id", Value: "a\r\nb"})
	w.vm.onRequestHeaders(7)
	if len(w.logs) != 1 || strings.ContainsAny(w.logs[0], "\r\n\x1b") {
		t.Errorf("logged %q", w.logs)
	}
}

// TestMetrics: a count that cannot be handed over is kept.
func TestMetrics(t *testing.T) {
	w := newWorld(t).withBundle()
	for i := range 3 {
		w.request(uint32(i), openRoute)
	}
	for _, kind := range []string{"defineMetric", "incrementMetric"} {
		w.made, w.fail, w.only, w.status = 0, 1, kind, abi.InternalFailure
		w.tick()
		w.reply("204", "")
		if n := w.metrics[MetricPrefix+"unprotected"]; n != 0 {
			t.Errorf("counted %d although %s was refused", n, kind)
		}
	}
	w.fail = 0
	w.tick()
	if n := w.metrics[MetricPrefix+"unprotected"]; n != 3 {
		t.Errorf("counted %d, want 3", n)
	}
}

func TestArena(t *testing.T) {
	var a arena
	a.begin()
	first := a.alloc(100)
	if len(first) != 100 || len(a.alloc(0)) != 1 || a.alloc(maxAlloc+1) != nil || len(a.alloc(chunkSize*2)) != chunkSize*2 {
		t.Error("sizes")
	}
	a.begin() // a callback within
	if inner := a.alloc(100); &inner[0] == &first[0] {
		t.Error("an inner callback takes the outer one's memory")
	}
	a.end()
	a.end()
	a.begin()
	if again := a.alloc(100); &again[0] != &first[0] || len(a.large) != 0 {
		t.Error("memory is not taken again")
	}
	a.end()
}
