package policy

import (
	"strings"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// judged is what the issuer has said of a credential.
type judged struct {
	key     string // inquiryKey
	method  bundle.Method
	session *session    // without an id; nil for a refusal
	code    reason.Code // why it is one
}

func (j *judged) outcome() reason.Code {
	if j.session != nil {
		return reason.Allowed
	}
	return j.code
}

// byIssuer judges a credential that only the issuer can judge.
func (r *run) byIssuer(p *bundle.Plugin, m bundle.Method) (reason.Code, *Question) {
	if p.OIDC.Inquiry == nil {
		return reason.Internal, nil
	}
	value, code := r.brought(p, m)
	if code != reason.Unspecified {
		return code, nil
	}
	s, code, question := r.inquire(p, m, value, "")
	if code != reason.Allowed {
		return code, question
	}
	if code := r.holds(p.OIDC, m, s); code != reason.Unspecified {
		return code, nil
	}
	return r.admit(p, s.subject())
}

// brought finds the credential for a method.
func (r *run) brought(p *bundle.Plugin, m bundle.Method) (string, reason.Code) {
	switch m {
	case bundle.Introspection, bundle.UserInfo:
		token, code := r.find(&p.OIDC.Common)
		if len(token) > maxPresented {
			return "", reason.TokenTooLarge
		}
		return token, code
	case bundle.RefreshToken:
		return r.only(p.OIDC.Inquiry.RefreshHeader)
	case bundle.Password, bundle.ClientCredentials:
		raw, code := r.basic()
		if code != reason.Unspecified {
			return "", code
		}
		user, password, ok := parseBasic(raw)
		if !ok {
			return "", reason.CredentialMalformed
		}
		return user + ":" + password, reason.Unspecified
	}
	return "", reason.Internal
}

// maxPresented bounds what the issuer is asked about, in bytes.
const maxPresented = 16 << 10

// only returns the value of a header that may be there once.
func (r *run) only(name string) (string, reason.Code) {
	value, n := "", 0
	for h := r.headers.Cursor(); h.Next(); {
		if h.Key == name && h.Value != "" {
			value = h.Value
			n++
		}
	}
	switch {
	case n == 0:
		return "", reason.CredentialMissing
	case n > 1:
		return "", reason.CredentialMultiple
	case len(value) > maxPresented:
		return "", reason.TokenTooLarge
	}
	return value, reason.Unspecified
}

// inquire finds out what the issuer says of a credential: remembered, or asked for. With
// reason.Allowed there is a session.
func (r *run) inquire(p *bundle.Plugin, m bundle.Method, value, beside string) (*session, reason.Code, *Question) {
	for i := range r.try.judged {
		if j := &r.try.judged[i]; j.method == m {
			return j.session, j.outcome(), nil
		}
	}
	e := r.engine
	sent := r.sent(p.OIDC.Inquiry, m)
	e.key = inquiryKey(e.key[:0], p.ID, m, value, beside, sent)
	if r.now-e.contact <= e.config.CredentialGrace {
		at := hashOf(e.key)
		for _, list := range [...]*cache[uint64, *judged]{e.inquiries, e.refusals} {
			if hit := list.get(at, r.now); hit != nil && hit.value.key == string(e.key) {
				return hit.value.session, hit.value.outcome(), nil
			}
		}
	}
	q := &Question{Question: wire.Question{
		Kind: wire.Inquire, Instance: p.ID, Generation: r.bundle.Generation,
		Method: m.String(), Value: strings.Clone(value), Beside: strings.Clone(beside), Sent: sent,
	}}
	q.Identity = inquiryMark + string(e.key)
	return nil, reason.Unspecified, q
}

const inquiryMark = "inquire\x00"

// inquiryKey names an inquiry by all that its answer depends on. Each part stands behind
// its length: no two inquiries have one key.
func inquiryKey(dst []byte, instance string, m bundle.Method, value, beside string, sent []wire.Header) []byte {
	part := func(s string) {
		n := len(s)
		dst = append(append(dst, byte(n), byte(n>>8), byte(n>>16)), s...)
	}
	dst = append(dst, byte(m))
	part(instance)
	part(value)
	part(beside)
	for _, h := range sent {
		part(h.Name)
		part(h.Value)
	}
	return dst
}

// hashOf is FNV-1a. Who makes two keys with one hash makes them take turns in the cache;
// they are compared whole.
func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// Bounds on what a caller adds to an inquiry.
const (
	maxSent      = 16
	maxSentValue = 1 << 10
)

// sent are the parameters that the caller adds to what the issuer is asked. What is too
// long, or comes twice, is left out.
func (r *run) sent(c *bundle.Inquiry, m bundle.Method) (list []wire.Header) {
	for i := range c.Sent {
		s := &c.Sent[i]
		if s.Method != m || len(list) == maxSent {
			continue
		}
		value, n := "", 0
		take := func(v string) {
			value = v
			n++
		}
		if s.Header {
			for h := r.headers.Cursor(); h.Next(); {
				if h.Key == s.Name {
					take(h.Value)
				}
			}
		} else {
			query(r.facts.path, []string{s.Name}, take)
		}
		if n == 1 && value != "" && len(value) <= maxSentValue && utf8.ValidString(value) {
			list = append(list, wire.Header{Name: s.Name, Value: strings.Clone(value)})
		}
	}
	return list
}

// takeInquiry takes the answer to an inquiry.
func (r *run) takeInquiry(asked *Question, answer *wire.Answer) {
	r.try.failed = reason.Unspecified
	// Pending requests share what came before.
	r.try.judged = append(r.try.judged[:len(r.try.judged):len(r.try.judged)], judgedOf(asked, answer))
}

// judgedOf reads the answer to an inquiry. One that is neither a session nor a refusal
// is none.
func judgedOf(asked *Question, answer *wire.Answer) judged {
	j := judged{method: bundle.ParseMethod(asked.Method), code: answer.Code}
	switch {
	case answer.Code.Step() || answer.Code == reason.Unspecified && answer.Session == nil:
		j.code = reason.SidecarAnswer
	case answer.Code == reason.Unspecified:
		if j.session = readSession("", answer.Session); j.session == nil {
			j.code = reason.SidecarAnswer
		}
	}
	return j
}

// learnInquiry remembers what the issuer has said as long as the sidecar lets it be.
// Refusals have a place of their own, so that made-up credentials drive nothing out.
func (e *Engine) learnInquiry(asked *Question, answer *wire.Answer, now int64) {
	j := judgedOf(asked, answer)
	j.key = strings.TrimPrefix(asked.Identity, inquiryMark)
	at := hashOf([]byte(j.key))
	switch {
	case j.session != nil && answer.Session.Until > now:
		e.inquiries.put(at, &j, min(answer.Session.Until, now+sessionLifetime), j.session.size()+len(j.key))
	case j.session == nil && !j.code.Ours() && answer.Until > now:
		e.refusals.put(at, &j, min(answer.Until, now+unknownLifetime), 256+len(j.key))
	}
}

// holds judges at every request what time may have changed since the issuer was asked,
// and whom the token has to be for. A token that was fetched for the caller and cannot
// be read was asked for with the audience of the configuration.
func (r *run) holds(c *bundle.OIDC, m bundle.Method, s *session) reason.Code {
	if s.wire.Opaque {
		if m == bundle.UserInfo && len(c.Audiences) > 0 {
			return reason.AudienceMismatch // it does not tell whom the token is for
		}
		return reason.Unspecified
	}
	set := claims.Read(s.access.Root())
	if m == bundle.Introspection {
		if code := isAccess(&set, c.AcceptIDTokens); code != reason.Unspecified {
			return code
		}
	}
	times := claims.Times{Leeway: c.Leeway}
	if code := times.Check(&set, r.now); code != reason.Unspecified {
		return code
	}
	return set.MeantFor(c.Audiences)
}

// isAccess refuses what an introspection calls active and is no access token: a server
// that is asked about a refresh token says that it is active too (RFC 7662 §2.1). What
// the answer does not tell cannot be held against the token.
func isAccess(set *claims.Set, acceptID bool) reason.Code {
	if code := set.Purpose(acceptID); code != reason.Unspecified {
		return code
	}
	if v := set.Root.Get("token_type"); v.Exists() && v.Kind() != jsonx.Null { // RFC 6749 §7.1
		kind, _ := v.Text()
		if !strings.EqualFold(kind, "bearer") && !strings.EqualFold(kind, "access_token") {
			return reason.TokenType
		}
	}
	if v := set.Root.Get("token_use"); v.Exists() && v.Kind() != jsonx.Null { // Hydra, Cognito
		switch use, _ := v.Text(); use {
		case "access", "access_token":
		default:
			return reason.TokenType
		}
	}
	return reason.Unspecified
}

// admit takes an ID token in that came beside the credential, then judges what the
// caller may do.
func (r *run) admit(p *bundle.Plugin, s *subject) (reason.Code, *Question) {
	c := p.OIDC.Inquiry
	if c == nil || c.IDTokenHeader == "" {
		return r.accept(p, s)
	}
	raw, code := r.only(c.IDTokenHeader)
	switch code {
	case reason.CredentialMissing:
		return r.accept(p, s)
	case reason.Unspecified:
	default:
		return code, nil
	}
	id, code, question := r.inquire(p, bundle.IDToken, raw, s.token)
	if code != reason.Allowed {
		return code, question
	}
	if exp, ok := claims.Date(id.claims.Root().Get("exp")); !ok || claims.Expired(exp, r.now, p.OIDC.Leeway) {
		return reason.TokenExpired, nil
	}
	switch want, _ := s.claim(subjectClaim); {
	case scalar(want) == "" && (s.token == "" || !id.claims.Root().Get("at_hash").Exists()):
		return reason.SubjectMismatch, nil // nothing says that the two belong together
	case scalar(want) != "" && scalar(want) != scalar(id.claims.Root().Get("sub")):
		return reason.SubjectMismatch, nil
	}
	s.id, s.idToken = id.claims.Root(), strings.Clone(raw) // headers of it outlive the request's memory
	r.try.beside = s.idToken
	return r.accept(p, s)
}
