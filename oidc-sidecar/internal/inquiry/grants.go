package inquiry

import (
	"context"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// refresh redeems a refresh token of our client's (RFC 6749 §6).
func (s *Service) refresh(ctx context.Context, q *question) result {
	form := q.args()
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", q.value)
	q.ask(form, nil)
	return s.grant(ctx, q, q.client(), form, true)
}

// password asks for tokens by a user's name and password (RFC 6749 §4.3).
func (s *Service) password(ctx context.Context, q *question) result {
	user, secret, ok := strings.Cut(q.value, ":")
	if !ok || user == "" {
		return s.refused(q, reason.CredentialRefused)
	}
	form := q.args()
	form.Set("grant_type", "password")
	form.Set("username", user)
	form.Set("password", secret)
	q.ask(form, q.inquiry().Scopes)
	return s.grant(ctx, q, q.client(), form, true)
}

// clientCredentials asks for tokens in the caller's own name (RFC 6749 §4.4). Our
// client has no part in it. An issuer that takes a client without a secret would let
// anybody be it, so that a caller has to have one.
func (s *Service) clientCredentials(ctx context.Context, q *question) result {
	id, secret, ok := strings.Cut(q.value, ":")
	if !ok || id == "" || secret == "" {
		return s.refused(q, reason.CredentialRefused)
	}
	who := endpoint.Client{ID: id, Secret: redact.New(secret), Auth: "client_secret_basic"}
	if q.client().Auth == "client_secret_post" {
		who.Auth = "client_secret_post"
	}
	form := q.args()
	form.Set("grant_type", "client_credentials")
	q.ask(form, ofMachines(q.inquiry().Scopes))
	return s.grant(ctx, q, who, form, false)
}

// client is who we are at the token endpoint.
func (q *question) client() endpoint.Client {
	return endpoint.ClientOf(&q.inquiry().Client, 0, q.set.Metadata.TokenAuthMethods)
}

// ofMachines are the scopes that make sense where there is nobody to be identified or
// to be away: there is no ID token and no refresh token (RFC 6749 §4.4.3), and issuers
// refuse to be asked for them.
func ofMachines(scopes []string) (list []string) {
	for _, name := range scopes {
		if name != "openid" && name != "offline_access" {
			list = append(list, name)
		}
	}
	return list
}

// ask adds scopes and audience, unless the file has set them for this endpoint.
func (q *question) ask(form url.Values, scopes []string) {
	if len(scopes) > 0 && !form.Has("scope") {
		form.Set("scope", strings.Join(scopes, " "))
	}
	if aud := q.in.Config.Audience; len(aud) > 0 && !form.Has("audience") {
		form.Set("audience", strings.Join(aud, " "))
	}
}

// grant asks the token endpoint. own is set where the client is ours.
func (s *Service) grant(ctx context.Context, q *question, who endpoint.Client, form url.Values, own bool) result {
	to := first(q.inquiry().Endpoints.Token, q.set.Metadata.Token)
	if to == "" {
		return s.missing(q)
	}
	asked := s.now().Unix()
	t, err := s.caller(q).Tokens(ctx, to, who, form, q.headers(nil))
	if err != nil {
		return s.failed(q, err, own)
	}
	if !t.HasScope && q.method != bundle.RefreshToken {
		t.Scope = form.Get("scope") // absent means as requested (RFC 6749 §5.1)
	}
	return s.judged(ctx, q, t, asked)
}

// keepTokens is how long, in seconds, tokens that could not be judged are kept.
const keepTokens = 60

// judged judges the tokens of a response that was asked for at a time. Where the
// issuer's keys are away they are kept: the refresh token has been used, and its owner
// must not lose what came for it.
func (s *Service) judged(ctx context.Context, q *question, t *endpoint.Tokens, asked int64) result {
	r, code := s.session(ctx, q, t, asked)
	switch {
	case code == reason.Unspecified:
		return r
	case code.Ours() && q.method == bundle.RefreshToken && q.inquiry().CacheTokens:
		return result{code: code, tokens: t, came: asked, until: s.now().Unix() + keepTokens}
	}
	return s.refused(q, code)
}

// session is what the filter gets for tokens.
func (s *Service) session(ctx context.Context, q *question, t *endpoint.Tokens, asked int64) (result, reason.Code) {
	now := s.now()
	access, code := q.rules().Access(ctx, q.p, t, now)
	if code != reason.Unspecified {
		return result{}, code
	}
	if access.Token == nil && access.Unread != reason.Unspecified {
		return result{}, access.Unread // it must not pass because nobody can read its claims
	}
	out := &wire.Session{Token: t.Access, Opaque: access.Token == nil}
	if q.method == bundle.RefreshToken && t.Refresh != q.value {
		out.Refresh = t.Refresh
	}
	subject := jsonx.Value{}
	if access.Token != nil {
		out.Access = access.Token.Claims.Source()
		subject = access.Token.Claims.Root()
	} else {
		w := &jsonx.Writer{}
		w.Open('{')
		w.StringMember("scope", t.Scope)
		w.Close('}')
		out.Access = string(w.Buf)
	}
	out.Keys = q.names(subject)
	if t.ID != "" && q.method != bundle.ClientCredentials {
		tok, code := q.rules().Judge(ctx, q.p, t.ID, endpoint.Expectation{
			Clients: []string{q.client().ID}, Access: t.Access, MaxAge: -1, Now: now.Unix(),
		})
		if code != reason.Unspecified {
			return result{}, code
		}
		subject = tok.Claims.Root()
		out.Claims = tok.Claims.Source()
		out.Keys = append(out.Keys, q.names(subject)...)
		if q.idTokenWanted() {
			out.IDToken = t.ID
		}
	} else if q.method != bundle.ClientCredentials {
		if code := q.rules().Domain(subject); code != reason.Unspecified {
			return result{}, code
		}
	}
	e := ends{}
	if t.HasExpiresIn {
		e.sooner(asked + t.ExpiresIn)
	}
	if access.Token != nil {
		c := claims.Read(access.Token.Claims.Root())
		if exp, ok := c.ExpiresAt(); ok {
			e.sooner(exp)
		}
	}
	return result{session: out, until: until(q.inquiry(), q.method, e, now.Unix()), caller: s.owner(q, subject)}, reason.Unspecified
}

// idTokenWanted reports whether a header has the ID token.
func (q *question) idTokenWanted() bool {
	for _, t := range q.in.Config.Identity.Tokens {
		if t.Token == "id_token" {
			return true
		}
	}
	return false
}

// owner names whose credential it was.
func (s *Service) owner(q *question, subject jsonx.Value) key {
	switch q.method {
	case bundle.Password, bundle.ClientCredentials:
		name, _, _ := strings.Cut(q.value, ":")
		return s.mac("caller", q.in.Realm, q.method.String(), name)
	}
	return s.person(q, subject)
}
