package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Tokens is a successful token response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
type Tokens struct {
	Access, ID, Refresh, Scope string
	HasScope                   bool
	ExpiresIn                  int64 // seconds, 0 for unknown
	HasExpiresIn               bool  // it says something, if only that there is no time left
}

// Refusal is an endpoint's error (RFC 6749 §5.2). Its texts are the other side's: they
// are shown to nobody unescaped, and only codes that are known are logged.
type Refusal struct {
	Status            int
	Code, Description string
}

// codes are what an error may be logged as. The other side knows secrets and passwords
// that we have sent, and could answer with them.
var codes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true, "access_denied": true, "server_error": true,
	"temporarily_unavailable": true, "slow_down": true, "invalid_target": true, "invalid_token": true,
	"insufficient_scope": true, "unsupported_token_type": true, "interaction_required": true,
	"login_required": true, "consent_required": true, "account_selection_required": true, "mfa_required": true,
}

// Error implements error.
func (r *Refusal) Error() string {
	if !codes[r.Code] {
		return "the endpoint says an error that is none of RFC 6749's"
	}
	return "the endpoint says " + r.Code
}

// Tokens asks the token endpoint. The error is a *Refusal where the endpoint has
// refused in the words of RFC 6749.
func (c Caller) Tokens(ctx context.Context, endpoint string, who Client, form url.Values, headers http.Header) (*Tokens, error) {
	if endpoint == "" {
		return nil, ErrNoEndpoint
	}
	res, err := c.Post(ctx, endpoint, who, form, headers)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	doc, err := Answer(res)
	if err != nil {
		return nil, err
	}
	return readTokens(doc.Root())
}

func readTokens(root jsonx.Value) (*Tokens, error) {
	t := &Tokens{}
	bad := false
	text := func(name string) string {
		v := root.Get(name)
		s, ok := v.Text()
		bad = bad || v.Exists() && v.Kind() != jsonx.Null && !ok
		return s
	}
	t.Access, t.ID, t.Refresh, t.Scope = text("access_token"), text("id_token"), text("refresh_token"), text("scope")
	t.HasScope = root.Get("scope").Kind() == jsonx.String
	kind := text("token_type")
	v := root.Get("expires_in")
	t.HasExpiresIn = v.Exists() && v.Kind() != jsonx.Null
	switch v.Kind() {
	case jsonx.Number:
		t.ExpiresIn, _ = v.Int()
	case jsonx.String: // some write it in quotes
		text, _ := v.Text()
		_, _ = fmt.Sscanf(text, "%d", &t.ExpiresIn)
	}
	switch {
	case bad:
		return nil, errors.New("the token response does not have the right types")
	case t.Access == "":
		return nil, errors.New("the token response has no access_token")
	case !strings.EqualFold(kind, "Bearer"):
		return nil, errors.New("the token response has a token_type that is not Bearer")
	case t.ExpiresIn < 0 || t.ExpiresIn > 10*365*24*3600:
		return nil, errors.New("the token response has an impossible expires_in")
	}
	return t, nil
}
