package plugin

import (
	"strings"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Bounds on what waits for the sidecar. Beyond them a request is denied with
// reason.Overloaded: an attacker may slow down new credentials, not fill memory.
const (
	maxQuestions = 256  // calls under way
	maxBrowsers  = 192  // of them those of sessions, logins and inquiries, which may wait for an identity provider
	maxInquiries = 128  // and of these inquiries: made-up credentials keep nobody from logging in
	maxWaiting   = 2048 // requests that wait for them
)

// callouts are the calls under way.
type callouts struct {
	byToken map[uint32]*callout
	byName  map[string]*callout // questions by their identity
	waiting int
	// browsers are the questions of sessions, logins and inquiries among byName.
	browsers, inquiries int
}

type callKind uint8

const (
	callAsk callKind = iota
	callBundle
	callChanges
)

// callout is one http_call and who waits for it.
type callout struct {
	kind     callKind
	question *policy.Question
	waiters  []waiter
}

// waiter is a paused stream.
type waiter struct {
	stream  uint32
	route   string
	pending *policy.Pending
}

// ask lets the stream wait for the answer to s.Question: of a call that is under
// way for the same question, or of a new one.
func (v *vm) ask(stream uint32, s *policy.Step, route string) reason.Code {
	c := &v.calls
	if c.waiting >= maxWaiting {
		return reason.Overloaded
	}
	call := c.byName[s.Question.Identity]
	if req := s.Question.Request; req != nil && call == nil {
		connection(req)
	}
	if call == nil {
		kind := s.Question.Kind
		if len(c.byName) >= maxQuestions || (kind.OfBrowser() || kind == wire.Inquire) && c.browsers >= maxBrowsers ||
			kind == wire.Inquire && c.inquiries >= maxInquiries {
			return reason.Overloaded
		}
		call = &callout{kind: callAsk, question: s.Question}
		timeout := v.config.AskTimeoutMS
		switch {
		case kind == wire.Keys:
			timeout = v.config.KeysTimeoutMS
		case kind.AsksIssuer():
			timeout = v.config.LoginTimeoutMS
		}
		if !v.call(call, "POST", wire.PathAsk, s.Question.Encode(), timeout) {
			return reason.SidecarUnreachable
		}
		if c.byName == nil {
			c.byName = make(map[string]*callout)
		}
		c.byName[s.Question.Identity] = call
		c.count(kind, 1)
		v.stats.pendingAsked++
	}
	call.waiters = append(call.waiters, waiter{stream: stream, route: strings.Clone(route), pending: s.Pending})
	c.waiting++
	return reason.Unspecified
}

// count counts a question that is asked, or answered.
func (c *callouts) count(k wire.Kind, by int) {
	if k == wire.Inquire {
		c.inquiries += by
	}
	if k == wire.Inquire || k.OfBrowser() {
		c.browsers += by
	}
}

// call sends a request to the sidecar.
func (v *vm) call(c *callout, method, path string, body []byte, timeout uint32) bool {
	headers := abi.AppendPairs(make([]byte, 0, 256), []abi.Pair{
		{Key: ":method", Value: method},
		{Key: ":path", Value: path},
		{Key: ":authority", Value: "oidc-sidecar"},
		{Key: wire.VersionHeader, Value: wire.Version},
	})
	token, status := hostHTTPCall(v.config.Cluster, headers, body, timeout)
	if status != abi.OK {
		return false
	}
	if v.calls.byToken == nil {
		v.calls.byToken = make(map[uint32]*callout)
	}
	v.calls.byToken[token] = c
	return true
}

// onHTTPCallResponse takes an answer. headers is 0 when the call failed.
func (v *vm) onHTTPCallResponse(token, headers, bodySize uint32) {
	v.memory.begin()
	defer v.end(func() {})
	call := v.calls.byToken[token]
	if call == nil {
		return
	}
	delete(v.calls.byToken, token)
	status, body, code := v.answer(call.kind, headers, bodySize)
	now, clock := hostNow()
	if clock != abi.OK && code == reason.Unspecified {
		code = reason.HostFailure
	}
	seconds := int64(now / 1e9)
	switch call.kind {
	case callBundle:
		v.gotBundle(status, body, code, seconds)
	case callChanges:
		v.gotChanges(status, body, code, seconds)
	default:
		v.gotAnswer(call, body, code, seconds)
	}
}

// answer reads the response of a call: its status and body, or why they are none.
func (v *vm) answer(kind callKind, headers, bodySize uint32) (status, body string, code reason.Code) {
	if headers == 0 {
		return "", "", reason.SidecarUnreachable
	}
	text, got := hostPairs(abi.HTTPCallResponseHeaders)
	pairs, ok := abi.DecodePairs(nil, text)
	if got != abi.OK || !ok {
		return "", "", reason.HostFailure
	}
	version := ""
	for _, p := range pairs {
		switch p.Key {
		case ":status":
			status = p.Value
		case wire.VersionHeader:
			version = p.Value
		}
	}
	switch {
	case version != wire.Version && (status == "503" || status == "504"):
		// Envoy's own answer where the cluster has no healthy host.
		return status, "", reason.SidecarUnreachable
	case version != wire.Version:
		return status, "", reason.SidecarVersion
	}
	limit := map[callKind]uint32{callAsk: wire.MaxAnswer, callBundle: maxBundle, callChanges: wire.MaxChanges}[kind]
	if bodySize > limit {
		return status, "", reason.SidecarAnswer
	}
	if bodySize > 0 {
		if body, got = hostBuffer(abi.HTTPCallResponseBody, bodySize); got != abi.OK || uint32(len(body)) != bodySize {
			return status, "", reason.HostFailure
		}
	}
	return status, body, reason.Unspecified
}

// gotAnswer resumes everybody who waits for a question.
func (v *vm) gotAnswer(call *callout, body string, code reason.Code, now int64) {
	delete(v.calls.byName, call.question.Identity)
	v.calls.count(call.question.Kind, -1)
	v.calls.waiting -= len(call.waiters)
	var answer wire.Answer
	if code == reason.Unspecified {
		var ok bool
		// Cloned, because credentials that are kept point into it.
		if answer, ok = wire.DecodeAnswer(strings.Clone(body)); !ok {
			code = reason.SidecarAnswer
		}
	}
	for _, w := range call.waiters {
		v.resume(call, w, answer, code, now)
	}
}

// resume goes on with one paused stream. A panic in it costs that stream, not
// the others.
func (v *vm) resume(call *callout, w waiter, answer wire.Answer, code reason.Code, now int64) {
	if hostSetEffectiveContext(w.stream) != abi.OK {
		return // the client is gone
	}
	defer func() {
		if p := recover(); p != nil {
			caught(p)
			v.deny(policy.Denial(reason.Internal), w.route)
		}
	}()
	v.apply(w.stream, v.engine.Resume(w.pending, call.question, answer, code, now), w.route, true)
}
