package demo

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// audience is who access tokens are for.
var audience = []string{"shop"}

// grant is what a user let the client do. The library makes all tokens of one
// answer from one grant.
type grant struct {
	user, client string
	scopes       []string
	authTime     time.Time
	audience     []string // of the access token, then nil; see storage.GetPrivateClaimsFromRequest
}

var _ op.RefreshTokenRequest = (*grant)(nil)

func (g *grant) GetSubject() string {
	if g.user == "" { // an application that has signed in as itself (RFC 9068 §2.2)
		return g.client
	}
	return g.user
}
func (g *grant) GetClientID() string              { return g.client }
func (g *grant) GetScopes() []string              { return g.scopes }
func (g *grant) GetAudience() []string            { return g.audience }
func (g *grant) GetAuthTime() time.Time           { return g.authTime }
func (g *grant) GetAMR() []string                 { return []string{"pwd"} } // RFC 8176 §2
func (g *grant) SetCurrentScopes(scopes []string) { g.scopes = scopes }

// authRequest is a login under way.
type authRequest struct {
	grant
	*oidc.AuthRequest
	id      string
	done    bool // the user is known
	expires time.Time
}

var _ op.AuthRequest = (*authRequest)(nil)

func (r *authRequest) GetID() string    { return r.id }
func (r *authRequest) GetACR() string   { return "" }
func (r *authRequest) GetNonce() string { return r.Nonce }
func (r *authRequest) Done() bool       { return r.done }

func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// grantOf returns the grant that the library got from the storage.
func grantOf(request op.TokenRequest) (*grant, error) {
	switch r := request.(type) {
	case *grant:
		return r, nil
	case *authRequest:
		return &r.grant, nil
	default:
		return nil, oidc.ErrUnsupportedGrantType()
	}
}

// session is what a refresh token stands for.
type session struct {
	grant   grant
	refresh string // the one that is good; those before it were used
	expires time.Time
}

// accessToken is what is known of an access token that was issued.
type accessToken struct {
	grant   grant
	session *session // nil without a refresh token
	expires time.Time
}
