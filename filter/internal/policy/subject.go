package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// subject is who a bearer token or a session speaks of, and with what words.
type subject struct {
	access, id, info jsonx.Value // claims of the access token, of the ID token, userinfo
	name             jsonx.Value // the access token's sub, if it is at hand
	token, idToken   string
	userInfo         string // as JSON
	session          string // its id, "" for a bearer token
	refresh          string // a refresh token for the caller
	opaque           bool
	sent             bool // token stands in the Authorization header as we would write it
	introspected     bool // access is the answer of an introspection
}

// session is an opened session, as it is remembered.
type session struct {
	key    string // sessionKey
	wire   *wire.Session
	access jsonx.Doc
	claims jsonx.Doc
	info   jsonx.Doc
}

var claimLimits = jsonx.Limits{Bytes: 64 << 10, Depth: 16, Nodes: 1 << 12}

// readSession reads the claims of a session; nil when they are none.
func readSession(key string, w *wire.Session) *session {
	s := &session{key: key, wire: w}
	for _, part := range [...]struct {
		src string
		dst *jsonx.Doc
	}{{w.Access, &s.access}, {w.Claims, &s.claims}, {w.Info, &s.info}} {
		if part.src == "" {
			continue
		}
		doc, err := jsonx.Parse(part.src, claimLimits)
		if err != nil || doc.Root().Kind() != jsonx.Object {
			return nil
		}
		*part.dst = doc
	}
	return s
}

// size is roughly what the session takes in memory.
func (s *session) size() int {
	n := 1024 + len(s.key) + len(s.wire.Token) + len(s.wire.IDToken)
	return n + s.access.Size() + s.claims.Size() + s.info.Size()
}

func (s *session) subject() *subject {
	return &subject{
		access: s.access.Root(), id: s.claims.Root(), info: s.info.Root(), token: s.wire.Token, idToken: s.wire.IDToken,
		userInfo: s.wire.Info, session: s.wire.ID, opaque: s.wire.Opaque,
		refresh: s.wire.Refresh, introspected: s.wire.Introspected,
	}
}

// claim finds a claim in the access token, else in the ID token, else in userinfo,
// and says where.
func (s *subject) claim(path []string) (v, root jsonx.Value) {
	for _, root := range [...]jsonx.Value{s.access, s.id, s.info} {
		if v := claims.Lookup(root, path); v.Exists() && v.Kind() != jsonx.Null {
			return v, root
		}
	}
	return jsonx.Value{}, jsonx.Value{}
}

// has reports whether one of the tokens, or userinfo, has a claim, be it null.
func (s *subject) has(name string) bool {
	return s.access.Get(name).Exists() || s.id.Get(name).Exists() || s.info.Get(name).Exists()
}

// of returns the claims of one token by its name.
func (s *subject) of(token string) jsonx.Value {
	switch token {
	case "access_token":
		return s.access
	case "id_token":
		return s.id
	case "user_info":
		return s.info
	}
	return jsonx.Value{}
}

// accept judges what a subject may do and who it is: required claims, then the
// consumer. Headers are made when the chain has come to its end.
func (r *run) accept(p *bundle.Plugin, s *subject) (reason.Code, *Question) {
	c := p.OIDC
	for _, name := range c.Forbidden {
		if s.has(name) {
			r.try.note = "the claim " + name + " is forbidden"
			return reason.ClaimForbidden, nil
		}
	}
	for i := range c.Required {
		if code := r.require(&c.Required[i], s); code != reason.Unspecified {
			return code, nil
		}
	}
	if code, question := r.consumerOf(p, s); code != reason.Allowed {
		return code, question
	}
	v := s.name
	if path := c.Identity.CredentialClaim; len(path) > 0 {
		v, _ = s.claim(path)
	} else if v.Kind() != jsonx.String {
		v, _ = s.claim(subjectClaim)
	}
	r.try.identifier = scalar(v)
	r.try.subject = s
	return reason.Allowed, nil
}

var subjectClaim = []string{"sub"}

// require judges one claim that has to list something. Scopes and audience are the
// access token's own; groups and roles may stand in the ID token or in userinfo.
func (r *run) require(q *bundle.Requirement, s *subject) reason.Code {
	v := claims.Lookup(s.access, q.Claim)
	if !v.Exists() && !q.Scope && (s.opaque || q.Claim[0] != "aud") {
		v, _ = s.claim(q.Claim)
	}
	if q.Any.Met(v) {
		return reason.Unspecified
	}
	var have []string
	claims.Words(v, func(w string) bool {
		have = append(have, w)
		return len(have) < 64
	})
	what, code := strings.Join(q.Claim, ".")+" claim", reason.ClaimMissingRequired
	if q.Scope {
		what, code = "scopes", reason.ScopeMissing
	}
	r.try.note = "required " + what + " were not found [ " + strings.Join(have, ", ") + " ]"
	return code
}

// consumerOf finds the consumer that a claim names (consumer_claim, consumer_by).
func (r *run) consumerOf(p *bundle.Plugin, s *subject) (reason.Code, *Question) {
	id := &p.OIDC.Identity
	if len(id.ConsumerClaims) == 0 {
		return reason.Allowed, nil
	}
	missing := func(code reason.Code, note string) (reason.Code, *Question) {
		if id.ConsumerOptional {
			return reason.Allowed, nil
		}
		r.try.note = note
		return code, nil
	}
	var v, root jsonx.Value
	var path []string
	for _, path = range id.ConsumerClaims {
		if v, root = s.claim(path); v.Exists() {
			break
		}
	}
	name := strings.Join(path, ".")
	value := scalar(v)
	if value == "" {
		return missing(reason.ConsumerMissing, "consumer was not found (claim ("+name+") was not found for consumer mapping)")
	}
	if path[len(path)-1] == "email" && !id.TrustEmail {
		if verified, _ := root.Get("email_verified").Bool(); !verified {
			return missing(reason.EmailUnverified, "consumer was not looked for (the issuer does not say email_verified)")
		}
	}
	if r.try.asked&(1<<wire.Consumer) == 0 {
		if code := r.fresh(); code != reason.Unspecified {
			return code, nil
		}
		key := consumerKey(id.ConsumerBy, value)
		found := r.engine.consumers.get(key, r.now)
		if found == nil {
			q := &Question{Question: wire.Question{Kind: wire.Consumer, Instance: p.ID, Generation: r.bundle.Generation,
				By: id.ConsumerBy, Value: value}}
			q.Identity = "consumer\x00" + p.ID + "\x00" + key
			return reason.Unspecified, q
		}
		r.try.consumer = found.value
	} else if r.try.failed != reason.Unspecified && r.try.failed != reason.ConsumerMissing {
		return r.try.failed, nil
	}
	if r.try.consumer == nil {
		return missing(reason.ConsumerMissing, "consumer was not found (claim ("+name+") names none)")
	}
	return reason.Allowed, nil
}

// fresh reports whether what is remembered of consumers may still be used.
func (r *run) fresh() reason.Code {
	if e := r.engine; r.now-e.contact > e.config.CredentialGrace {
		return reason.SidecarUnreachable
	}
	return reason.Unspecified
}

// consumerKey names a look-up.
func consumerKey(by []string, value string) string { return strings.Join(by, ",") + "\x00" + value }

// scalar returns a claim as a text: strings, numbers and booleans; "" for the rest.
func scalar(v jsonx.Value) string {
	switch v.Kind() {
	case jsonx.String:
		s, _ := v.Text()
		return s
	case jsonx.Number, jsonx.True, jsonx.False:
		return v.Raw()
	}
	return ""
}

// headerText returns a claim as the value of a header: a list of scalars joined by
// commas, an object as JSON.
func headerText(v jsonx.Value) string {
	switch v.Kind() {
	case jsonx.Array:
		var parts []string
		for c := v.Cursor(); c.Next(); {
			s := scalar(c.Value())
			if s == "" {
				return v.Raw()
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ",")
	case jsonx.Object:
		return v.Raw()
	}
	return scalar(v)
}

// headers adds what the instance makes of a subject: to the request, and to the
// response.
func (s *subject) headers(id *bundle.Identity, authorization string, request, response func(name, value string)) {
	for _, h := range id.Upstream {
		v, _ := s.claim(h.Claim)
		request(h.Header, headerText(v))
	}
	for _, h := range id.Downstream {
		v, _ := s.claim(h.Claim)
		response(h.Header, headerText(v))
	}
	for _, m := range id.Matches {
		var kept []string
		v := claims.Lookup(s.of(m.Token), m.Claim)
		each := func(text string) {
			if text != "" && m.Match.Match(text) {
				kept = append(kept, text)
			}
		}
		if v.Kind() == jsonx.Array {
			for c := v.Cursor(); c.Next(); {
				each(scalar(c.Value()))
			}
		} else {
			each(scalar(v))
		}
		request(m.Header, strings.Join(kept, ", "))
	}
	for _, t := range id.Tokens {
		value := ""
		switch t.Token {
		case "access_token":
			value = s.token
		case "id_token":
			value = s.idToken
		case "user_info":
			value = s.userInfo
		case "introspection":
			if s.introspected {
				value = s.access.Raw()
			}
		case "refresh_token":
			value = s.refresh
		case "session_id":
			value = s.session
		}
		if value != "" && t.Bearer {
			if !t.Response && t.Header == "authorization" && (s.sent && t.Token == "access_token" || isBearer(authorization, value)) {
				continue // it is there
			}
			value = "Bearer " + value
		}
		if t.Response {
			response(t.Header, value)
		} else {
			request(t.Header, value)
		}
	}
}

// isBearer reports whether a header value is that token as we would write it.
func isBearer(value, token string) bool {
	const scheme = "Bearer "
	return len(value) == len(scheme)+len(token) && value[:len(scheme)] == scheme && jose.Same(value[len(scheme):], token)
}

// replaces reports whether a request header is a caller's until we set it. The
// Authorization header has a rule of its own: see unjudged.
func replaces(t *bundle.TokenHeader) bool { return !t.Response && t.Header != "authorization" }

// named returns the headers of the request that look like one that the instance
// sets: an upstream must not take a caller's for ours.
func named(headers abi.Pairs, id *bundle.Identity, yield func(name string)) {
	n := len(id.Upstream) + len(id.Matches)
	for i := range id.Tokens {
		if replaces(&id.Tokens[i]) {
			n++
		}
	}
	if n == 0 {
		return
	}
	for h := headers.Cursor(); h.Next(); {
		for i := range id.Upstream {
			if sameHeader(h.Key, id.Upstream[i].Header) {
				yield(h.Key)
			}
		}
		for i := range id.Matches {
			if sameHeader(h.Key, id.Matches[i].Header) {
				yield(h.Key)
			}
		}
		for i := range id.Tokens {
			if t := &id.Tokens[i]; replaces(t) && sameHeader(h.Key, t.Header) {
				yield(h.Key)
			}
		}
	}
}

// sameHeader compares as a server does that hands headers on as environment
// variables: without regard to case, and whatever is no letter and no digit alike.
func sameHeader(a, b string) bool {
	if len(a) != len(b) || a == "" || a[0] == ':' {
		return false
	}
	for i := range len(a) {
		if level(a[i]) != level(b[i]) {
			return false
		}
	}
	return true
}

func level(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return c
	}
	return '-'
}
