package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// How long somebody may think about a password, and a client about a code.
const (
	loginLifetime = 10 * time.Minute
	codeLifetime  = time.Minute
)

// storage is the provider's memory.
type storage struct {
	key    *ecdsa.PrivateKey
	client *client            // the gateway
	others map[string]*client // the portal and applications, by id

	mu       sync.Mutex              // guards what follows
	requests map[string]*authRequest // by id
	codes    map[string]string       // ids of requests
	tokens   map[string]*accessToken // by jti
	sessions map[string]*session     // by refresh token, used ones too
}

var (
	_ op.Storage                        = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*storage)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*storage)(nil)
	_ op.ClientCredentialsStorage       = (*storage)(nil)
)

var (
	errNoRequest = errors.New("demo: no such login")
	errNoToken   = errors.New("demo: no such token")
	errNoClient  = errors.New("demo: no such client, or not its secret")
	errNoKey     = errors.New("demo: no client has keys")
)

func newStorage(key *ecdsa.PrivateKey, c *client, others ...*client) *storage {
	s := &storage{key: key, client: c, others: map[string]*client{}, requests: map[string]*authRequest{}, codes: map[string]string{},
		tokens: map[string]*accessToken{}, sessions: map[string]*session{}}
	for _, o := range others {
		s.others[o.id] = o
	}
	return s
}

// clientBy returns a client by its id, nil for none.
func (s *storage) clientBy(id string) *client {
	if id == s.client.id {
		return s.client
	}
	return s.others[id]
}

// sweep forgets what has expired. The caller holds mu.
func (s *storage) sweep() {
	now := time.Now()
	maps.DeleteFunc(s.requests, func(_ string, r *authRequest) bool { return r.expires.Before(now) })
	maps.DeleteFunc(s.codes, func(_, id string) bool { return s.requests[id] == nil })
	maps.DeleteFunc(s.tokens, func(_ string, t *accessToken) bool { return t.expires.Before(now) })
	maps.DeleteFunc(s.sessions, func(_ string, e *session) bool { return e.expires.Before(now) })
}

// CreateAuthRequest implements op.Storage.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	switch {
	case slices.Contains(asked.Prompt, oidc.PromptNone):
		return nil, oidc.ErrLoginRequired()
	case asked.CodeChallenge == "" || asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256: // RFC 7636 §4.4.1
		return nil, oidc.ErrInvalidRequest().WithDescription("a code_challenge by S256 is required")
	}
	r := &authRequest{AuthRequest: asked, id: rand.Text(), expires: time.Now().Add(loginLifetime),
		grant: grant{client: asked.ClientID, scopes: asked.Scopes, audience: audience}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	s.requests[r.id] = r
	return r, nil
}

// request returns a copy of a login that is under way.
func (s *storage) request(id string) (*authRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	r := s.requests[id]
	if r == nil {
		return nil, errNoRequest
	}
	same := *r
	return &same, nil
}

// signIn says who the user of a login is.
func (s *storage) signIn(id string, u user) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests[id]
	if r == nil || r.done {
		return errNoRequest
	}
	r.done, r.user, r.scopes, r.authTime = true, u.Name, u.granted(r.AuthRequest.Scopes), time.Now()
	return nil
}

// AuthRequestByID implements op.Storage.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	r, err := s.request(id)
	if err != nil {
		return nil, err // not a nil pointer in an interface
	}
	return r, nil
}

// SaveAuthCode implements op.Storage.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests[id]
	if r == nil {
		return errNoRequest
	}
	r.expires = time.Now().Add(codeLifetime)
	s.codes[code] = id
	return nil
}

// AuthRequestByCode implements op.Storage. A code is good once, whatever comes of
// it (RFC 6749 §4.1.2).
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	r := s.requests[s.codes[code]]
	if r == nil {
		return nil, errNoRequest
	}
	delete(s.requests, r.id)
	delete(s.codes, code)
	return r, nil
}

// DeleteAuthRequest implements op.Storage. The code has taken the request along.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

// issue remembers an access token without a refresh token.
func (s *storage) issue(g *grant, lifetime time.Duration) (id string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	return s.add(g, nil, lifetime)
}

// add remembers an access token. The caller holds mu.
func (s *storage) add(g *grant, e *session, lifetime time.Duration) (id string, expires time.Time) {
	id, expires = rand.Text(), time.Now().Add(lifetime)
	s.tokens[id] = &accessToken{grant: *g, session: e, expires: expires}
	return id, expires
}

// CreateAccessToken implements op.Storage.
func (s *storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (id string, expires time.Time, err error) {
	g, err := grantOf(request)
	if err != nil {
		return "", time.Time{}, err
	}
	id, expires = s.issue(g, accessLifetime)
	return id, expires, nil
}

// CreateAccessAndRefreshTokens implements op.Storage. A refresh token is good
// once; the answer has the next (RFC 9700 §4.14.2).
func (s *storage) CreateAccessAndRefreshTokens(_ context.Context, request op.TokenRequest, current string) (id, refresh string, expires time.Time, err error) {
	g, err := grantOf(request)
	if err != nil {
		return "", "", time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &session{grant: *g, expires: time.Now().Add(sessionLifetime)}
	if current != "" {
		if e = s.sessions[current]; e == nil || e.refresh != current {
			return "", "", time.Time{}, oidc.ErrInvalidGrant()
		}
	}
	e.refresh = rand.Text()
	s.sessions[e.refresh] = e
	id, expires = s.add(g, e, accessLifetime)
	return id, e.refresh, expires, nil
}

// TokenRequestByRefreshToken implements op.Storage. A token that was used before
// is in two hands, and nobody knows which are the thief's: the session ends.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, refresh string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	e := s.sessions[refresh]
	if e == nil {
		return nil, op.ErrInvalidRefreshToken
	}
	if e.refresh != refresh {
		s.end(func(other *session) bool { return other == e })
		return nil, op.ErrInvalidRefreshToken
	}
	g := e.grant
	return &g, nil
}

// end forgets sessions with all their tokens. The caller holds mu.
func (s *storage) end(which func(*session) bool) {
	maps.DeleteFunc(s.tokens, func(_ string, t *accessToken) bool { return t.session != nil && which(t.session) })
	maps.DeleteFunc(s.sessions, func(_ string, e *session) bool { return which(e) })
}

// TerminateSession implements op.Storage: the user has signed out.
func (s *storage) TerminateSession(_ context.Context, name, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(func(e *session) bool { return e.grant.user == name && e.grant.client == clientID })
	return nil
}

// GetRefreshTokenInfo implements op.Storage.
func (s *storage) GetRefreshTokenInfo(_ context.Context, _, token string) (name, id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.sessions[token]
	if e == nil {
		return "", "", op.ErrInvalidRefreshToken
	}
	return e.grant.user, token, nil
}

// RevokeToken implements op.Storage. A token that is not known is as good as
// revoked (RFC 7009 §2.2); with a refresh token its access tokens go (§2.1).
func (s *storage) RevokeToken(_ context.Context, tokenOrID, _, _ string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, tokenOrID)
	if e := s.sessions[tokenOrID]; e != nil {
		s.end(func(other *session) bool { return other == e })
	}
	return nil
}

// GetClientByClientID implements op.Storage.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c := s.clientBy(id)
	if c == nil {
		return nil, oidc.ErrInvalidClient().WithParent(errNoClient)
	}
	return c, nil
}

// AuthorizeClientIDSecret implements op.Storage.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	c := s.clientBy(id)
	if c == nil || subtle.ConstantTimeCompare([]byte(secret), []byte(c.secret)) != 1 {
		return errNoClient
	}
	return nil
}

// ClientCredentials implements op.ClientCredentialsStorage: an application signs in as
// itself (RFC 6749 §4.4).
func (s *storage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if err := s.AuthorizeClientIDSecret(ctx, id, secret); err != nil {
		return nil, oidc.ErrInvalidClient().WithParent(err)
	}
	return s.GetClientByClientID(ctx, id)
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentialsTokenRequest(_ context.Context, id string, _ []string) (op.TokenRequest, error) {
	return &grant{client: id, audience: audience}, nil
}

// SetUserinfoFromScopes implements op.Storage. The library wants it empty.
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: the claims of
// an ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	return describe(info, request.GetSubject(), scopes)
}

// SetUserinfoFromToken implements op.Storage: the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, _, _ string) error {
	t, err := s.token(id)
	if err != nil {
		return err
	}
	return describe(info, t.grant.user, t.grant.scopes)
}

// SetIntrospectionFromToken implements op.Storage. An error makes it inactive.
func (s *storage) SetIntrospectionFromToken(_ context.Context, answer *oidc.IntrospectionResponse, id, _, _ string) error {
	t, err := s.token(id)
	if err != nil {
		return err
	}
	info := new(oidc.UserInfo)
	if err := describe(info, t.grant.user, t.grant.scopes); err != nil {
		return err
	}
	answer.SetUserInfo(info)
	answer.Scope, answer.ClientID, answer.Audience = t.grant.scopes, t.grant.client, audience
	answer.Expiration, answer.TokenType = oidc.FromTime(t.expires), oidc.BearerToken
	return nil
}

// token returns what is known of an access token that is still good.
func (s *storage) token(id string) (*accessToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	t := s.tokens[id]
	if t == nil {
		return nil, errNoToken
	}
	return t, nil
}

// describe fills in what the scopes tell of a user (OIDC Core §5.4).
func describe(info *oidc.UserInfo, name string, scopes []string) error {
	u, err := userByName(name)
	if err != nil {
		return err
	}
	info.Subject = u.Name
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name, info.PreferredUsername = u.FullName, u.Name
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = u.Email, true
	}
	return nil
}

// GetPrivateClaimsFromRequest implements op.CanGetPrivateClaimsFromRequest: what
// an access token says beyond the registered claims (RFC 9068 §2.2.2, §2.2.3).
//
// The library takes the audience of the access token from the request, calls
// this, and takes the audience of the ID token from the same request. An ID token
// for the shop would pass there as an access token, so it is cleared in between.
func (s *storage) GetPrivateClaimsFromRequest(_ context.Context, request op.TokenRequest, _ []string) (map[string]any, error) {
	g, err := grantOf(request)
	if err != nil {
		return nil, err
	}
	g.audience = nil
	if g.user == "" {
		return nil, nil // an application has no name and no address
	}
	info := new(oidc.UserInfo)
	if err := describe(info, g.user, g.scopes); err != nil {
		return nil, err
	}
	claims := map[string]any{"scope": strings.Join(g.scopes, " ")}
	if info.Name != "" {
		claims["name"] = info.Name
	}
	if info.Email != "" {
		claims["email"] = info.Email
	}
	return claims, nil
}

// GetPrivateClaimsFromScopes implements op.Storage; the method above is called
// instead.
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

// GetKeyByIDAndClientID implements op.Storage: clients do not sign here.
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNoKey
}

// ValidateJWTProfileScopes implements op.Storage: clients do not sign here.
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNoKey
}

// Health implements op.Storage.
func (s *storage) Health(context.Context) error { return nil }
