package wire

import (
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Bounds on what a question says of a browser's request.
const (
	MaxPath    = 8 << 10
	MaxCookies = 48 << 10 // all of ours together
	maxCookies = 64
)

// Request is a browser's request, as far as sessions and logins are concerned.
type Request struct {
	ID         string // x-request-id
	Method     string
	Scheme     string // http or https, of the connection or of a trusted proxy
	Authority  string // without the port
	Path       string // with the query
	Route      string // as the proxy reports it
	Navigation bool   // the answer is a page that a person sees
	Attempt    int64  // logins that ended without a cookie before this one
	// Cookies are ours, no others.
	Cookies []Cookie

	// What the proxy knows of the connection. The forwarded headers are what came
	// along: whether they are believed is for the sidecar to say (D16).
	Peer          string // address of the client, with or without a port
	Trusted       bool   // the proxy believes the headers itself: the client is one of trusted_ips
	Port          int64  // that the client has connected to
	ForwardedHost string
	ForwardedPort string
}

// TrustedChain is what the names of an Envoy listener's filter chains begin with that
// take the connections of trusted_ips. There the address of the client is that of the
// proxy's own client, so that it does not tell.
const TrustedChain = "trusted_"

// Cookie is a cookie of the request.
type Cookie struct{ Name, Value string }

// Header is a header of an answer.
type Header struct{ Name, Value string }

// Response is what the client is to get. Set-Cookie may be among the headers.
type Response struct {
	Status  int64
	Headers []Header
	Body    string
}

// Session is a session that holds, or what an issuer says of a credential: that has
// no ID.
type Session struct {
	ID     string   // for people and logs; opens nothing
	Keys   []string // a change that names one of them ends the session
	Access string   // claims of the access token, JSON; "{}" for an opaque one but for its scope
	Claims string   // claims of the ID token, JSON
	Info   string   // userinfo, JSON
	Token  string   // the access token
	// IDToken is the ID token itself, where a header wants it.
	IDToken string
	// Introspected says that Access is what introspection has answered.
	Introspected bool
	// Refresh is a refresh token that the caller gets in the place of its own.
	Refresh string
	Opaque  bool  // the access token says nothing that we can read
	Until   int64 // Unix seconds; from then on the sidecar is asked again
	// SetCookies are values of Set-Cookie for this answer alone.
	SetCookies []string
}

func (r *Request) write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", r.ID)
	w.StringMember("method", r.Method)
	w.StringMember("scheme", r.Scheme)
	w.StringMember("authority", r.Authority)
	w.StringMember("path", r.Path)
	w.StringMember("route", r.Route)
	w.BoolMember("navigation", r.Navigation)
	w.IntMember("attempt", r.Attempt)
	writePairs(w, "cookies", r.Cookies)
	w.StringMember("peer", r.Peer)
	w.BoolMember("trusted", r.Trusted)
	w.IntMember("port", r.Port)
	w.StringMember("forwarded_host", r.ForwardedHost)
	w.StringMember("forwarded_port", r.ForwardedPort)
	w.Close('}')
}

// writePairs writes names with values, nothing for none.
func writePairs[P Cookie | Header](w *jsonx.Writer, member string, pairs []P) {
	if len(pairs) == 0 {
		return
	}
	w.Name(member)
	w.Open('[')
	for _, p := range pairs {
		pair := Header(p)
		w.Open('[')
		w.String(pair.Name)
		w.String(pair.Value)
		w.Close(']')
	}
	w.Close(']')
}

// reader reads members; bad is set by the first that has the wrong type.
type reader struct{ bad bool }

func (d *reader) text(v jsonx.Value) string {
	s, ok := v.Text()
	d.bad = d.bad || v.Exists() && !ok
	return s
}

func (d *reader) int(v jsonx.Value) int64 {
	n, ok := v.Int()
	d.bad = d.bad || v.Exists() && (!ok || n < 0)
	return n
}

func (d *reader) bool(v jsonx.Value) bool {
	b, ok := v.Bool()
	d.bad = d.bad || v.Exists() && !ok
	return b
}

func (d *reader) texts(v jsonx.Value) (out []string) {
	d.bad = d.bad || v.Exists() && v.Kind() != jsonx.Array
	for c := v.Cursor(); c.Next(); {
		s, ok := c.Value().Text()
		d.bad = d.bad || !ok
		out = append(out, s)
	}
	return out
}

// pairs reads a list of pairs of strings.
func (d *reader) pairs(v jsonx.Value, yield func(name, value string)) {
	d.bad = d.bad || v.Exists() && v.Kind() != jsonx.Array
	for c := v.Cursor(); c.Next(); {
		pair := d.texts(c.Value())
		if len(pair) != 2 || c.Value().Kind() != jsonx.Array {
			d.bad = true
			return
		}
		yield(pair[0], pair[1])
	}
}

func readRequest(v jsonx.Value) (*Request, bool) {
	if !v.Exists() {
		return nil, true
	}
	d := &reader{bad: v.Kind() != jsonx.Object}
	r := &Request{
		ID: d.text(v.Get("id")), Method: d.text(v.Get("method")), Scheme: d.text(v.Get("scheme")),
		Authority: d.text(v.Get("authority")), Path: d.text(v.Get("path")), Route: d.text(v.Get("route")),
		Navigation: d.bool(v.Get("navigation")), Attempt: d.int(v.Get("attempt")),
		Peer: d.text(v.Get("peer")), Trusted: d.bool(v.Get("trusted")), Port: d.int(v.Get("port")),
		ForwardedHost: d.text(v.Get("forwarded_host")), ForwardedPort: d.text(v.Get("forwarded_port")),
	}
	size := 0
	d.pairs(v.Get("cookies"), func(name, value string) {
		r.Cookies = append(r.Cookies, Cookie{name, value})
		size += len(name) + len(value)
	})
	return r, !d.bad && size <= MaxCookies && len(r.Cookies) <= maxCookies && len(r.Path) <= MaxPath
}

func (r *Response) write(w *jsonx.Writer) {
	w.Open('{')
	w.IntMember("status", r.Status)
	writePairs(w, "headers", r.Headers)
	w.StringMember("body", r.Body)
	w.Close('}')
}

func readResponse(v jsonx.Value) (*Response, bool) {
	if !v.Exists() {
		return nil, true
	}
	d := &reader{bad: v.Kind() != jsonx.Object}
	r := &Response{Status: d.int(v.Get("status")), Body: d.text(v.Get("body"))}
	d.pairs(v.Get("headers"), func(name, value string) { r.Headers = append(r.Headers, Header{name, value}) })
	return r, !d.bad && r.Status >= 200 && r.Status <= 599
}

func (s *Session) write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", s.ID)
	w.StringsMember("keys", s.Keys)
	w.StringMember("access", s.Access)
	w.StringMember("claims", s.Claims)
	w.StringMember("info", s.Info)
	w.StringMember("token", s.Token)
	w.StringMember("id_token", s.IDToken)
	w.BoolMember("introspected", s.Introspected)
	w.StringMember("refresh", s.Refresh)
	w.BoolMember("opaque", s.Opaque)
	w.IntMember("until", s.Until)
	w.StringsMember("set_cookies", s.SetCookies)
	w.Close('}')
}

func readSession(v jsonx.Value) (*Session, bool) {
	if !v.Exists() {
		return nil, true
	}
	d := &reader{bad: v.Kind() != jsonx.Object}
	s := &Session{
		ID: d.text(v.Get("id")), Keys: d.texts(v.Get("keys")), Access: d.text(v.Get("access")),
		Claims: d.text(v.Get("claims")), Info: d.text(v.Get("info")), Token: d.text(v.Get("token")),
		Introspected: d.bool(v.Get("introspected")), Refresh: d.text(v.Get("refresh")),
		IDToken: d.text(v.Get("id_token")), Opaque: d.bool(v.Get("opaque")), Until: d.int(v.Get("until")),
		SetCookies: d.texts(v.Get("set_cookies")),
	}
	// Without a key nothing could end it.
	return s, !d.bad && (s.ID == "" || len(s.Keys) > 0)
}
