package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// maxTokens bounds the body of a token endpoint or of userinfo.
const maxTokens = 256 << 10

// tokens is a successful token response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
type tokens struct {
	access, id, refresh, scope string
	hasScope                   bool
	expiresIn                  int64 // seconds, 0 for unknown
}

// refusal is a token endpoint's error (RFC 6749 §5.2). Its texts are the other side's:
// they are shown to nobody unescaped, and are not logged but for the code.
type refusal struct{ code, description string }

func (r *refusal) Error() string {
	code := r.code
	for i := range len(code) {
		if c := code[i]; c != '_' && (c < 'a' || c > 'z') {
			code = "an error that is none of RFC 6749's"
			break
		}
	}
	return "the token endpoint says " + code
}

// call posts a form to an endpoint of the issuer's in the client's name.
func (s *Service) call(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, client int, endpoint string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, nil)
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	if err := s.authenticate(in, m, client, req, form); err != nil {
		return nil, err
	}
	body := form.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	req.GetBody = nil // a code and a refresh token are sent once, never again by the transport
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	return p.Client().Do(req)
}

// tokenRequest asks the token endpoint. The error is a *refusal where the endpoint
// has refused in the words of RFC 6749.
func (s *Service) tokenRequest(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, client int, form url.Values) (*tokens, error) {
	endpoint := first(in.Login().Endpoints.Token, m.Token)
	if endpoint == "" {
		return nil, errNoEndpoint
	}
	res, err := s.call(ctx, in, p, m, client, endpoint, form)
	if err != nil {
		return nil, sayable(err)
	}
	defer res.Body.Close()
	doc, err := readJSON(res)
	if err != nil {
		return nil, err
	}
	root := doc.Root()
	if res.StatusCode != http.StatusOK {
		code, _ := root.Get("error").Text()
		if code == "" || res.StatusCode >= 500 {
			return nil, fmt.Errorf("the token endpoint answers with status %d", res.StatusCode)
		}
		description, _ := root.Get("error_description").Text()
		return nil, &refusal{code, description}
	}
	return readTokens(root)
}

var errNoEndpoint = errors.New("the issuer has no token endpoint")

func readTokens(root jsonx.Value) (*tokens, error) {
	t := &tokens{}
	bad := false
	text := func(name string) string {
		v := root.Get(name)
		s, ok := v.Text()
		bad = bad || v.Exists() && v.Kind() != jsonx.Null && !ok
		return s
	}
	t.access, t.id, t.refresh, t.scope = text("access_token"), text("id_token"), text("refresh_token"), text("scope")
	t.hasScope = root.Get("scope").Kind() == jsonx.String
	kind := text("token_type")
	switch v := root.Get("expires_in"); v.Kind() {
	case jsonx.Number:
		t.expiresIn, _ = v.Int()
	case jsonx.String: // some write it in quotes
		text, _ := v.Text()
		_, _ = fmt.Sscanf(text, "%d", &t.expiresIn)
	}
	switch {
	case bad:
		return nil, errors.New("the token response does not have the right types")
	case t.access == "":
		return nil, errors.New("the token response has no access_token")
	case !strings.EqualFold(kind, "Bearer"):
		return nil, errors.New("the token response has a token_type that is not Bearer")
	case t.expiresIn < 0 || t.expiresIn > 10*365*24*3600:
		return nil, errors.New("the token response has an impossible expires_in")
	}
	return t, nil
}

// readJSON reads a response that has to be a JSON object which two readers read alike.
func readJSON(res *http.Response) (jsonx.Doc, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokens+1))
	if err != nil {
		return jsonx.Doc{}, sayable(err)
	}
	if len(body) > maxTokens {
		return jsonx.Doc{}, errors.New("the answer is too long")
	}
	doc, err := jsonx.Parse(string(body), jsonx.Limits{Bytes: maxTokens, Depth: 16, Nodes: 1 << 13})
	if err != nil || doc.Root().Kind() != jsonx.Object {
		return jsonx.Doc{}, fmt.Errorf("the answer, with status %d, is no JSON object", res.StatusCode)
	}
	return doc, nil
}

// sayable returns an error without what the other side has sent.
func sayable(err error) error { return provider.Sayable(err) }

// outcome says in the words of the closed list what an error of the token endpoint
// means for a login.
func outcome(err error) reason.Code {
	var r *refusal
	switch {
	case errors.Is(err, errNoEndpoint):
		return reason.LoginMisconfigured
	case !errors.As(err, &r):
		return reason.IssuerUnavailable
	case r.code == "invalid_grant":
		return reason.LoginCodeRefused
	case r.code == "temporarily_unavailable" || r.code == "server_error" || r.code == "slow_down":
		return reason.IssuerUnavailable
	}
	return reason.LoginMisconfigured // invalid_client, unauthorized_client, invalid_scope …
}

// userInfo fetches the claims of userinfo (OIDC Core §5.3), whose sub has to be the
// ID token's (§5.3.2).
func (s *Service) userInfo(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, access, subject string) (string, reason.Code) {
	endpoint := first(in.Login().Endpoints.UserInfo, m.UserInfo)
	if endpoint == "" {
		return "", reason.LoginMisconfigured
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return "", reason.LoginMisconfigured
	}
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	res, err := p.Client().Do(req)
	if err != nil {
		s.logger.Warn("userinfo cannot be asked", "issuer", p.Config().Name(), "error", sayable(err))
		return "", reason.IssuerUnavailable
	}
	defer res.Body.Close()
	doc, err := readJSON(res)
	if err != nil || res.StatusCode != http.StatusOK {
		s.logger.Warn("userinfo is not what it should be", "issuer", p.Config().Name(), "status", res.StatusCode, "error", err)
		return "", reason.IssuerUnavailable
	}
	if sub, ok := doc.Root().Get("sub").Text(); !ok || sub != subject {
		return "", reason.SubjectMismatch
	}
	return doc.Source(), reason.Unspecified
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
