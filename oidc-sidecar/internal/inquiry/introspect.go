package inquiry

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// introspect asks whether a token is active (RFC 7662 §2.1).
func (s *Service) introspect(ctx context.Context, q *question) result {
	i, m := q.inquiry(), &q.set.Metadata
	to := first(i.Endpoints.Introspection, m.Introspection)
	if to == "" {
		return s.missing(q)
	}
	offered := m.TokenAuthMethods
	if len(m.IntrospectionAuthMethods) > 0 {
		offered = m.IntrospectionAuthMethods
	}
	who := endpoint.ClientOf(&i.Client, 0, offered)
	who.Auth = endpoint.AuthMethod(first(i.IntrospectionAuth, i.ClientAuth), offered)
	form := q.args()
	form.Set(first(i.IntrospectionName, "token"), q.value)
	if i.IntrospectionHint != "" {
		form.Set("token_type_hint", i.IntrospectionHint)
	}
	res, err := s.caller(q).Post(ctx, to, who, form, q.headers(&who))
	if err != nil {
		return s.failed(q, err, true)
	}
	defer res.Body.Close()
	doc, err := endpoint.Answer(res)
	if err != nil {
		return s.failed(q, err, true)
	}
	active, err := isActive(doc.Root())
	switch {
	case err != nil:
		return s.failed(q, err, true)
	case !active:
		return s.refused(q, reason.TokenInactive)
	}
	return s.introspected(q, doc)
}

var errActive = errors.New("the answer does not say whether the token is active")

// isActive reads the one member that an introspection response has to have (RFC 7662
// §2.2). Nothing but a boolean says anything.
func isActive(root jsonx.Value) (bool, error) {
	active, ok := root.Get("active").Bool()
	if !ok {
		return false, errActive
	}
	return active, nil
}

// introspected judges the response about an active token. Its audience and its scopes
// are the filter's to judge.
func (s *Service) introspected(q *question, doc jsonx.Doc) result {
	now := s.now().Unix()
	c := claims.Read(doc.Root())
	if code := q.judge(&c, now); code != reason.Unspecified {
		return s.refused(q, code)
	}
	e := q.tokenEnds()
	if exp, ok := c.ExpiresAt(); ok {
		e.sooner(exp)
	}
	return result{
		session: &wire.Session{Access: doc.Source(), Introspected: true, Keys: q.names(doc.Root())},
		until:   until(q.inquiry(), q.method, e, now),
		caller:  s.person(q, doc.Root()),
	}
}

// judge judges what an issuer's own answer says: who says it, and for when.
func (q *question) judge(c *claims.Set, now int64) reason.Code {
	if c.Issuer.Exists() {
		if code := c.IssuedBy(q.issuers()); code != reason.Unspecified {
			return code
		}
	}
	if code := (claims.Times{Leeway: max(q.in.Config.Leeway, 0)}).Check(c, now); code != reason.Unspecified {
		return code
	}
	return q.rules().Domain(c.Root)
}

// issuers are the accepted values of iss. An issuer that has not been reached yet has
// the one of the file.
func (q *question) issuers() []string {
	list := q.rules().Issuers(q.set)
	if len(q.set.Issuers) == 0 {
		list = append(list, q.in.Config.IssuerURL)
	}
	return list
}

// tokenEnds is the end of the caller's token as the token has it, if it is one that can
// be read. Nobody has verified it, so that it makes a time shorter and never longer.
func (q *question) tokenEnds() (e ends) {
	if tok, code := jose.Parse(q.value); code == reason.Unspecified {
		c := claims.Read(tok.Claims.Root())
		if exp, ok := c.ExpiresAt(); ok {
			e.sooner(exp)
		}
	}
	return e
}

// maxNames bounds the names of one result.
const maxNames = 64

// names are those by which a revocation ends what is known of a subject: by its name,
// or by the identity provider's session. An answer that does not say whose word it is
// is that of any accepted issuer.
func (q *question) names(root jsonx.Value) (list []string) {
	issuers := q.issuers()
	if iss, ok := root.Get("iss").Text(); ok {
		issuers = []string{iss}
	}
	sub, _ := root.Get("sub").Text()
	sid, _ := root.Get("sid").Text()
	add := func(name string) {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if sub != "" {
		for _, iss := range issuers {
			add(endpoint.SubjectKey(iss, sub)) // first: these say the most
		}
	}
	for _, iss := range issuers {
		for _, client := range q.inquiry().ClientIDs {
			if sid != "" && len(list) < maxNames {
				add(endpoint.ProviderKey(iss, client, sid))
			}
		}
	}
	return list[:min(len(list), maxNames)]
}

// person names whose an answer is, for the bound on what is remembered of one.
func (s *Service) person(q *question, root jsonx.Value) key {
	for _, name := range []string{"sub", "username", "client_id"} {
		if text, ok := root.Get(name).Text(); ok && text != "" {
			return s.mac("caller", q.in.Realm, q.method.String(), name, text)
		}
	}
	return key{}
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
