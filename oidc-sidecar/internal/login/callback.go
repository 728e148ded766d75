package login

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// response is an authorization response (RFC 6749 §4.1.2, RFC 9207 §2).
type response struct {
	state, code, issuer, err, description string
	hasIssuer                             bool
}

// readResponse reads the query of a callback. A parameter that comes twice makes it
// none: two readers could take different ones (RFC 6749 §3.1).
func readResponse(path string) (r response, ok bool) {
	_, query, _ := strings.Cut(path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return r, false
	}
	ok = true
	get := func(name string) string {
		if len(values[name]) > 1 {
			ok = false
		}
		return values.Get(name)
	}
	r.state, r.code, r.issuer = get("state"), get("code"), get("iss")
	r.err, r.description = get("error"), get("error_description")
	r.hasIssuer = values.Has("iss")
	return r, ok && r.state != "" && (r.code != "") != (r.err != "")
}

// Callback takes a browser back from the identity provider.
func (s *Service) Callback(ctx context.Context, in *Instance, p *provider.Provider, r *wire.Request) wire.Answer {
	l := in.Login()
	res, ok := readResponse(r.Path)
	id := ""
	if parts := strings.Split(res.state, "."); len(parts) == 3 {
		id = parts[1]
	}
	name := flowPrefix(&l.FlowCookie, r.Scheme) + id
	var drop []string
	sealed, copies := "", 0
	for _, c := range r.Cookies {
		if c.Name == name && id != "" {
			sealed = c.Value
			copies++
		}
	}
	if copies > 0 {
		drop = []string{name + "=" + attributes(&l.FlowCookie, r.Scheme, 0)}
	}
	origin := in.origin(r)
	f := &flow{}
	plain, err := in.Ring.Open(sealFlow, append(in.realm(l.FlowCookie.Name), id), sealed)
	if err == nil {
		err = json.Unmarshal(plain, f)
	}
	if !ok || copies != 1 || err != nil || subtle.ConstantTimeCompare([]byte(f.State), []byte(res.state)) != 1 {
		return s.refuse(in, r, reason.LoginStateInvalid, origin+cleanPath(r.Path), "", drop)
	}
	if now := s.now().Unix(); now >= f.Begun+l.FlowTimeout {
		return s.again(in, p, r, f, reason.LoginExpired, drop)
	}
	set := p.Current()
	if set.Err != nil {
		return s.refuse(in, r, reason.IssuerUnavailable, f.Return, "", drop)
	}
	// RFC 9207 §2.4: another issuer's answer must not reach this one's token endpoint.
	if res.hasIssuer && res.issuer != set.Metadata.Issuer || !res.hasIssuer && set.Metadata.IssuerParameter {
		return s.refuse(in, r, reason.LoginIssuerMismatch, f.Return, "", drop)
	}
	if res.err != "" {
		s.logger.Info("a login was refused by the identity provider", "issuer", p.Config().Name(), "request_id", r.ID)
		return s.refuse(in, r, reason.LoginRefused, f.Return, first(res.description, res.err), drop)
	}
	fresh, err := s.revoked.Once(endpoint.KeyOf("f", f.State), time.Unix(f.Begun+l.FlowTimeout, 0))
	switch {
	case err != nil:
		s.logger.Error("a login cannot be noted as used", "error", err)
		return wire.Answer{Code: reason.Internal}
	case !fresh:
		return s.again(in, p, r, f, reason.LoginCodeRefused, drop)
	}
	rec, code, detail := s.exchange(ctx, in, p, set, f, res.code)
	if code != reason.Unspecified {
		s.logger.Info("a login came to nothing", "issuer", p.Config().Name(), "reason", code.Error(), "request_id", r.ID)
		return s.refuse(in, r, code, f.Return, detail, drop)
	}
	return s.finish(in, r, f, rec, drop)
}

// again begins a login anew that lost its time, once, and says so the second time.
func (s *Service) again(in *Instance, p *provider.Provider, r *wire.Request, f *flow, code reason.Code, drop []string) wire.Answer {
	if f.Attempt >= maxAttempts || !r.Navigation {
		return s.refuse(in, r, code, f.Return, "", drop)
	}
	return s.begin(in, p, r, &flow{Redirect: f.Redirect, Return: f.Return, Client: f.Client, Attempt: f.Attempt + 1}, drop)
}

// exchange redeems a code and judges what comes of it (OIDC Core §3.1.3).
func (s *Service) exchange(ctx context.Context, in *Instance, p *provider.Provider, set *provider.Set, f *flow, code string) (*record, reason.Code, string) {
	l := in.Login()
	t, err := s.tokenRequest(ctx, in, p, &set.Metadata, f.Client, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.Redirect}, "code_verifier": {f.Verifier}})
	if err != nil {
		out := outcome(err)
		s.logger.Warn("a code cannot be exchanged", "issuer", p.Config().Name(), "error", err, "reason", out.Error())
		var r *endpoint.Refusal
		if errors.As(err, &r) {
			return nil, out, first(r.Description, r.Code)
		}
		return nil, out, ""
	}
	if t.ID == "" {
		return nil, reason.IDTokenMissing, ""
	}
	now := s.now()
	rec := in.newRecord(sourceCode, now)
	rec.Client = f.Client
	rec.ClientID = in.client(f.Client)
	tok, out := in.rules().Judge(ctx, p, t.ID, endpoint.Expectation{
		Clients: []string{rec.ClientID}, Nonce: f.Nonce, Access: t.Access, MaxAge: l.MaxAge, Now: now.Unix()})
	if out != reason.Unspecified {
		return nil, out, ""
	}
	rec.Issuer, rec.Subject, rec.SID = claimText(tok, "iss"), claimText(tok, "sub"), claimText(tok, "sid")
	rec.Scope = strings.Join(l.Scopes, " ") // absent means as requested (RFC 6749 §5.1)
	if out := s.take(ctx, in, p, rec, t, now); out != reason.Unspecified {
		return nil, out, ""
	}
	if _, expired := rec.due(now); expired && (rec.Refresh == "" || !l.Refresh) {
		return nil, reason.TokenExpired, "" // the session would end in the next login
	}
	if in.UserInfo {
		if rec.UserInfo, out = s.userInfo(ctx, in, p, &p.Current().Metadata, rec.Access, rec.Subject); out != reason.Unspecified {
			return nil, out, ""
		}
	}
	return rec, reason.Unspecified, ""
}

// take puts the tokens of a response into a record. The scope of an access token that
// is opaque is the response's.
func (s *Service) take(ctx context.Context, in *Instance, p *provider.Provider, rec *record, t *endpoint.Tokens, now time.Time) reason.Code {
	rec.Access = t.Access
	if t.ID != "" {
		rec.IDToken = t.ID
	}
	if t.Refresh != "" {
		rec.Refresh = t.Refresh
	}
	if t.HasScope {
		rec.Scope = t.Scope
	}
	a, code := in.rules().Access(ctx, p, t, now)
	if code != reason.Unspecified {
		return code
	}
	rec.Opaque, rec.Expires, rec.Life = a.Token == nil, a.Expires, a.Life
	return reason.Unspecified
}

func claimText(tok *jose.Token, name string) string {
	s, _ := tok.Claims.Root().Get(name).Text()
	return s
}

// finish ends a login as login_action says.
func (s *Service) finish(in *Instance, r *wire.Request, f *flow, rec *record, cookies []string) wire.Answer {
	l := in.Login()
	if !contains(l.DisabledSession, "authorization_code") {
		list, code := in.seal(rec, r, s.now())
		if code != reason.Unspecified {
			s.logger.Error("a session does not fit into cookies: ask for fewer scopes, or for opaque access tokens", "request_id", r.ID)
			return s.refuse(in, r, code, "", "", cookies)
		}
		cookies = append(cookies, list...)
	}
	switch l.LoginAction {
	case "response":
		w := &jsonx.Writer{}
		w.Open('{')
		for _, t := range rec.shown(l.LoginTokens) {
			w.StringMember(t.name, t.value)
		}
		w.Close('}')
		res := &wire.Response{Status: 200, Body: string(w.Buf), Headers: []wire.Header{
			{Name: "content-type", Value: "application/json; charset=utf-8"}, {Name: "cache-control", Value: "no-store"}}}
		return wire.Answer{Code: reason.LoginCompleted, Response: withCookies(res, cookies)}
	case "redirect":
		return redirect(reason.LoginCompleted, 302, rec.addTo(l.LoginRedirects[min(f.Client, len(l.LoginRedirects)-1)], l.LoginMode, l.LoginTokens), cookies)
	}
	return redirect(reason.LoginCompleted, 303, f.Return, cookies)
}

type shown struct{ name, value string }

// shown returns the tokens that login_tokens names.
func (rec *record) shown(names []string) []shown {
	var list []shown
	for _, name := range []string{"id_token", "access_token", "refresh_token"} {
		value := map[string]string{"id_token": rec.IDToken, "access_token": rec.Access, "refresh_token": rec.Refresh}[name]
		if value != "" && (contains(names, name) || contains(names, "tokens")) {
			list = append(list, shown{name, value})
		}
	}
	return list
}

// addTo adds the tokens to an address of the configuration, in its query or its
// fragment.
func (rec *record) addTo(to, mode string, names []string) string {
	u, err := url.Parse(to)
	if err != nil {
		return to
	}
	values := url.Values{}
	for _, t := range rec.shown(names) {
		values.Set(t.name, t.value)
	}
	switch {
	case len(values) == 0:
	case mode == "query":
		q := u.Query()
		for name := range values {
			q.Set(name, values.Get(name))
		}
		u.RawQuery = q.Encode()
	default:
		return strings.TrimSuffix(u.String(), "#") + "#" + values.Encode()
	}
	return u.String()
}

// cleanPath is a target without its query.
func cleanPath(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return local(path)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
