package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// browser does what an instance with sessions does before it looks at bearer
// tokens: logout, the way back from the identity provider, the session. The code
// is reason.Unspecified when nothing of it decides the request.
func (r *run) browser(p *bundle.Plugin, l *bundle.Login) (reason.Code, *Question) {
	if r.logsOut(l) {
		return reason.Unspecified, r.browserQuestion(p, wire.Logout, r.cookiesOf(l, true, true))
	}
	state, called := r.callback(l)
	if called && r.facts.method == "GET" && r.hasCookie(l.FlowCookie.On(r.scheme())+"_"+state.flow) {
		return reason.Unspecified, r.browserQuestion(p, wire.Callback, r.cookiesOf(l, true, true))
	}
	if l.Session && r.try.session == nil {
		if code, question := r.open(p, l); code != reason.Unspecified || question != nil {
			return code, question
		}
	}
	switch {
	case !called:
	case r.try.session != nil:
		// Answered before: the back button, or a reload. The code is never redeemed
		// without the flow's cookie (RFC 6749 §10.12).
		r.try.response = &wire.Response{Status: 303, Headers: []wire.Header{
			{Name: "location", Value: cleanTarget(r.facts.path)}, {Name: "cache-control", Value: "no-store"}}}
		return reason.LoginReturned, nil
	default:
		r.try.loginAttempt = state.attempt + 1
	}
	return reason.Unspecified, nil
}

// open finds the session of the request's cookies: remembered, or asked for. With
// reason.Unspecified and no question there is none, and r.try.closed says why when
// there were cookies.
func (r *run) open(p *bundle.Plugin, l *bundle.Login) (reason.Code, *Question) {
	if r.try.asked&(1<<wire.Open) != 0 {
		if r.try.closed.Ours() {
			return r.try.closed, nil
		}
		return reason.Unspecified, nil
	}
	cookies := r.cookiesOf(l, true, false)
	if len(cookies) == 0 {
		return reason.Unspecified, nil
	}
	e := r.engine
	e.key = sessionKey(e.key[:0], p.ID, r.scheme(), cookies)
	if s := e.sessions.get(fingerprint(cookies[0].Value), r.now); s != nil && s.value.key == string(e.key) &&
		r.now-e.contact <= e.config.CredentialGrace {
		r.try.session = s.value
		return reason.Unspecified, nil
	}
	return reason.Unspecified, r.browserQuestion(p, wire.Open, cookies)
}

// sessionKey names what a session was opened with: the exact bytes, so that a
// cookie which differs in one of them is asked for.
func sessionKey(dst []byte, instance, scheme string, cookies []wire.Cookie) []byte {
	dst = append(append(append(dst, instance...), 0), scheme...)
	for _, c := range cookies {
		dst = append(append(append(append(dst, 0), c.Name...), '='), c.Value...)
	}
	return dst
}

// challenge begins a login where the answer is a page that a person sees, and
// nothing worse than a missing session is the matter (D9).
func (r *run) challenge(p *bundle.Plugin, l *bundle.Login, code reason.Code) (reason.Code, *Question) {
	if r.try.closed != reason.Unspecified && code == reason.CredentialMissing {
		code = r.try.closed
	}
	if !l.Begin || p.OIDC.Anonymous != nil || r.try.asked&(1<<wire.Begin) != 0 || !r.navigation() {
		return code, nil
	}
	if path, _, _ := strings.Cut(r.facts.path, "?"); len(path) > wire.MaxPath {
		return code, nil // nobody could come back to it
	}
	switch code {
	case reason.CredentialMissing, reason.SessionInvalid, reason.SessionExpired, reason.SessionRevoked,
		reason.RefreshRefused, reason.SubjectMismatch:
		return reason.Unspecified, r.browserQuestion(p, wire.Begin, r.cookiesOf(l, true, true))
	}
	return code, nil
}

// browserQuestion puts a question of a browser's request together. It outlives the
// request's memory, so everything is cloned. What the proxy knows of the connection
// is added by the glue, which alone can ask it.
func (r *run) browserQuestion(p *bundle.Plugin, kind wire.Kind, cookies []wire.Cookie) *Question {
	req := &wire.Request{ID: shortID(r.facts.id), Scheme: r.scheme()}
	for _, c := range cookies {
		req.Cookies = append(req.Cookies, wire.Cookie{Name: strings.Clone(c.Name), Value: strings.Clone(c.Value)})
	}
	q := &Question{Question: wire.Question{Kind: kind, Instance: p.ID, Generation: r.bundle.Generation, Request: req}}
	if kind == wire.Open {
		// One call answers everybody who comes with the same cookies.
		q.Identity = "open\x00" + string(sessionKey(nil, p.ID, req.Scheme, req.Cookies))
		return q
	}
	path := r.facts.path
	if r.try.loginAttempt > 0 {
		path = cleanTarget(path)
	}
	if len(path) > wire.MaxPath {
		if path, _, _ = strings.Cut(path, "?"); len(path) > wire.MaxPath {
			path = ""
		}
	}
	req.Path, req.Method, req.Authority = strings.Clone(path), strings.Clone(r.facts.method), hostOnly(r.facts.authority)
	req.Route, req.Navigation, req.Attempt = r.route.Name, r.navigation(), r.try.loginAttempt
	req.ForwardedHost, req.ForwardedPort = hostOnly(r.header("x-forwarded-host")), hostOnly(r.header("x-forwarded-port"))
	r.engine.serial++
	q.Identity = kind.String() + "\x00" + serialText(r.engine.serial)
	return q
}

// hostOnly returns a copy of what may be a host or several, cut where it is too long
// to be one.
func hostOnly(s string) string { return strings.Clone(s[:min(len(s), 1024)]) }

// shortID returns a copy of the request's id, which a trusted client may have chosen.
func shortID(id string) string { return strings.Clone(id[:min(len(id), 128)]) }

// serialText writes a number as bytes that name it.
func serialText(n uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
	return string(b[:])
}

// logsOut reports whether the request asks for the end of its session.
func (r *run) logsOut(l *bundle.Login) bool {
	if l.LogoutQuery == "" && l.LogoutSuffix == "" {
		return false
	}
	method := false
	for _, m := range l.LogoutMethods {
		method = method || m == r.facts.method
	}
	if !method {
		return false
	}
	path, _, _ := strings.Cut(r.facts.path, "?")
	if l.LogoutSuffix != "" && strings.HasSuffix(path, l.LogoutSuffix) {
		return true
	}
	found := false
	if l.LogoutQuery != "" {
		query(r.facts.path, []string{l.LogoutQuery}, func(string) { found = true })
	}
	return found
}

// flowState is what a state parameter of ours says: sp, the number of attempts, a
// dot, the flow's id, a dot, the rest.
type flowState struct {
	flow    string
	attempt int64
}

const (
	stateMark = "sp"
	flowID    = 13
)

// callback reports whether the request is one that the identity provider has sent
// the browser back with, which only a GET redeems. Others' parameters of the same names are left to the
// upstream, which may be a client of somebody itself.
func (r *run) callback(l *bundle.Login) (s flowState, ok bool) {
	if !l.Begin || r.facts.method != "GET" && r.facts.method != "HEAD" || !strings.Contains(r.facts.path, "state="+stateMark) {
		return s, false
	}
	n := 0
	query(r.facts.path, []string{"state"}, func(v string) {
		n++
		if len(v) < len(stateMark)+flowID+4 || v[:2] != stateMark || v[2] < '0' || v[2] > '9' || v[3] != '.' || v[4+flowID] != '.' {
			return
		}
		for _, c := range []byte(v[4 : 4+flowID]) {
			if c < '0' || c > '9' && c < 'a' || c > 'z' {
				return
			}
		}
		s = flowState{flow: v[4 : 4+flowID], attempt: int64(v[2] - '0')}
	})
	hasAnswer := false
	query(r.facts.path, []string{"code", "error"}, func(string) { hasAnswer = true })
	return s, n == 1 && s.flow != "" && hasAnswer
}

// answered are the parameters of an authorization response (RFC 6749 §4.1.2, RFC
// 9207, OIDC Session Management §2).
var answered = [...]string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state"}

// cleanTarget returns a target without the parameters of an authorization response.
// A target is a path: it never names another host.
func cleanTarget(target string) string {
	path, rest, _ := strings.Cut(target, "?")
	path = "/" + strings.TrimLeft(path, "/")
	kept := make([]byte, 0, len(target)+1)
	kept = append(kept, path...)
	mark := byte('?')
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, _, _ := strings.Cut(pair, "=")
		name = unescape(name)
		drop := pair == ""
		for _, a := range answered {
			drop = drop || name == a
		}
		if !drop {
			kept = append(append(kept, mark), pair...)
			mark = '&'
		}
	}
	return string(kept)
}

// scheme returns what the client used: the proxy writes this header itself, or
// takes it from a proxy that it trusts (D16).
func (r *run) scheme() string {
	if r.header("x-forwarded-proto") == "https" {
		return "https"
	}
	return "http"
}

// header returns the first value of a header.
func (r *run) header(name string) string {
	for h := r.headers.Cursor(); h.Next(); {
		if h.Key == name {
			return h.Value
		}
	}
	return ""
}

// navigation reports whether a browser goes somewhere: the answer is a page that a
// person sees, and may be another page instead (D9).
func (r *run) navigation() bool {
	return (r.facts.method == "GET" || r.facts.method == "HEAD") && r.forPerson()
}

// forPerson reports whether a person reads the answer, to a form too: by Fetch
// Metadata, and where a browser sends none, as it does without TLS, by what it accepts.
func (r *run) forPerson() bool {
	var mode, dest, purpose, accept, with string
	for h := r.headers.Cursor(); h.Next(); {
		switch h.Key {
		case "sec-fetch-mode":
			mode = h.Value
		case "sec-fetch-dest":
			dest = h.Value
		case "sec-purpose", "purpose", "x-purpose", "x-moz":
			purpose += h.Value
		case "accept":
			accept += h.Value + ","
		case "x-requested-with", "upgrade":
			with = h.Value
		}
	}
	if strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "prerender") || strings.Contains(purpose, "preview") {
		return false
	}
	if mode != "" || dest != "" {
		return mode == "navigate" && dest == "document"
	}
	return with == "" && strings.Contains(accept, "text/html")
}

// takeSession takes the answer to the question for a session.
func (r *run) takeSession(asked *Question, answer *wire.Answer) {
	switch {
	case answer.Session != nil && answer.Session.ID != "":
		key := string(sessionKey(nil, asked.Instance, asked.Request.Scheme, asked.Request.Cookies))
		if r.try.session = readSession(key, answer.Session); r.try.session == nil {
			r.try.closed = reason.SidecarAnswer
		}
		r.try.setCookies = answer.Session.SetCookies
	case answer.Code != reason.Unspecified && !answer.Code.Step():
		r.try.closed = answer.Code
		r.try.setCookies = answer.SetCookies
	default:
		r.try.closed = reason.SidecarAnswer
	}
	r.try.failed = reason.Unspecified
}

// respond takes an answer that is for the client: a step of a login, or why there
// is none. Without a response only a code that needs none is an answer.
func (r *run) respond(answer *wire.Answer) {
	switch {
	case answer.Response == nil && answer.Code != reason.Unspecified && !answer.Code.Step():
		r.try.response, r.try.bare = &wire.Response{}, true
	case answer.Response == nil || answer.Code == reason.Unspecified:
		r.try.response, r.try.bare, r.try.failed = &wire.Response{}, true, reason.SidecarAnswer
	default:
		r.try.response = answer.Response
	}
}
