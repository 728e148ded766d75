package inquiry

import (
	"context"
	"errors"
	"net/url"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

var errSubject = errors.New("the answer does not say who the token is of")

// userInfo asks who a token is of (OIDC Core §5.3). That the issuer says so is what
// makes the token good.
func (s *Service) userInfo(ctx context.Context, q *question) result {
	to := first(q.inquiry().Endpoints.UserInfo, q.set.Metadata.UserInfo)
	if to == "" {
		return s.missing(q)
	}
	if !b64token(q.value) {
		return s.refused(q, reason.TokenMalformed)
	}
	u, err := url.Parse(to)
	if err != nil {
		return s.failed(q, errors.New("the endpoint is no URL"), true)
	}
	if args := q.args(); len(args) > 0 {
		query := u.Query()
		for name, values := range args {
			query[name] = values
		}
		u.RawQuery = query.Encode()
	}
	doc, err := s.caller(q).UserInfo(ctx, u.String(), q.value, q.headers(nil))
	if err != nil {
		return s.failed(q, err, true)
	}
	if sub, ok := doc.Root().Get("sub").Text(); !ok || sub == "" {
		return s.failed(q, errSubject, true)
	}
	now := s.now().Unix()
	c := claims.Read(doc.Root())
	if code := q.judge(&c, now); code != reason.Unspecified {
		return s.refused(q, code)
	}
	return result{
		session: &wire.Session{Info: doc.Source(), Access: "{}", Opaque: true, Keys: q.names(doc.Root())},
		until:   until(q.inquiry(), q.method, q.tokenEnds(), now),
		caller:  s.person(q, doc.Root()),
	}
}

// b64token reports whether a text can stand behind Bearer (RFC 6750 §2.1). What cannot
// would be another header by the time it is sent.
func b64token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}
