package login

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// maxFlows bounds the logins that one browser may have begun; the oldest gives way.
const maxFlows = 7

// flowGrace is how many seconds longer a flow's cookie is kept than the flow holds, so
// that a login which took too long begins anew for the page that was asked for.
const flowGrace = 3600

// maxAttempts is how often a login may be begun anew by itself.
const maxAttempts = 1

// flow is a login that has been begun, as its cookie holds it.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE (RFC 7636 §4.1)
	Redirect string `json:"r"` // redirect_uri, exactly as it was sent
	Return   string `json:"u"` // where it ends
	Begun    int64  `json:"t"` // Unix seconds
	Client   int    `json:"c"`
	Attempt  int64  `json:"a"`
}

// purposes of what is sealed.
const (
	sealSession = "session"
	sealFlow    = "flow"
)

// Begin sends a browser to the identity provider (RFC 6749 §4.1.1, RFC 7636, OIDC Core
// §3.1.2.1).
func (s *Service) Begin(in *Instance, p *provider.Provider, r *wire.Request) wire.Answer {
	origin := in.origin(r)
	target := returnURL(r, origin)
	switch {
	case !in.hostAllowed(r.Route, origin):
		return s.refuse(in, r, reason.LoginRedirectRefused, "", "", nil)
	case r.Attempt > maxAttempts:
		return s.refuse(in, r, reason.LoginStateUnknown, target, "", nil)
	}
	return s.begin(in, p, r, &flow{Redirect: in.redirectURI(r, origin), Return: target, Attempt: r.Attempt}, nil)
}

// begin begins a flow whose ends are known.
func (s *Service) begin(in *Instance, p *provider.Provider, r *wire.Request, f *flow, cookies []string) wire.Answer {
	l := in.Login()
	set := p.Current()
	if set.Err != nil {
		return s.refuse(in, r, reason.IssuerUnavailable, f.Return, "", nil)
	}
	endpoint := first(l.Endpoints.Authorization, set.Metadata.Authorization)
	if endpoint == "" {
		return s.refuse(in, r, reason.LoginMisconfigured, "", "", nil)
	}
	now := s.now()
	id := flowID(now)
	f.State = fmt.Sprintf("sp%d.%s.%s", f.Attempt, id, rand.Text())
	f.Nonce, f.Verifier, f.Begun = rand.Text(), oauth2.GenerateVerifier(), now.Unix()
	plain, err := json.Marshal(f)
	if err != nil {
		return wire.Answer{Code: reason.Internal}
	}
	prefix := flowPrefix(&l.FlowCookie, r.Scheme)
	cookie := prefix + id + "=" + in.Ring.Seal(sealFlow, append(in.realm(l.FlowCookie.Name), id), plain)
	cookies = append(cookies, cookie+attributes(&l.FlowCookie, r.Scheme, l.FlowTimeout+flowGrace))
	if old := flowCookies(&l.FlowCookie, r); len(old) >= maxFlows {
		for _, c := range old[:len(old)-maxFlows+1] {
			cookies = append(cookies, c.Name+"="+attributes(&l.FlowCookie, r.Scheme, 0))
		}
	}
	return redirect(reason.LoginStarted, 302, in.authorizationURL(endpoint, f, r), cookies)
}

// authorizationURL is the request that the browser carries. An endpoint may have a
// query of its own, which stays (RFC 6749 §3.1).
func (in *Instance) authorizationURL(endpoint string, f *flow, r *wire.Request) string {
	l := in.Login()
	id := in.client(f.Client)
	config := oauth2.Config{ClientID: id, RedirectURL: f.Redirect, Scopes: l.Scopes, Endpoint: oauth2.Endpoint{AuthURL: endpoint}}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier), oauth2.SetAuthURLParam("nonce", f.Nonce)}
	if l.MaxAge >= 0 {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(l.MaxAge, 10)))
	}
	if len(in.Config.Audience) > 0 {
		options = append(options, oauth2.SetAuthURLParam("audience", strings.Join(in.Config.Audience, " ")))
	}
	for _, arg := range l.QueryArgs {
		options = append(options, oauth2.SetAuthURLParam(arg.Name, arg.Value))
	}
	if len(l.QueryArgsOf) > 0 {
		_, query, _ := strings.Cut(r.Path, "?")
		if values, err := url.ParseQuery(query); err == nil {
			for _, name := range l.QueryArgsOf {
				if v := values.Get(name); v != "" && len(v) <= 512 {
					options = append(options, oauth2.SetAuthURLParam(name, v))
				}
			}
		}
	}
	return config.AuthCodeURL(f.State, options...)
}

// flowID names a flow: eight digits of the time in base 36, in milliseconds, so that
// the order of names is that of time even where a browser opens ten tabs at once, and
// five of chance.
func flowID(now time.Time) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	const times = 8 // until 2059
	var id [13]byte
	_, _ = rand.Read(id[times:]) // never fails
	for i, b := range id[times:] {
		id[times+i] = digits[int(b)%36]
	}
	n := now.UnixMilli()
	for i := times - 1; i >= 0; i-- {
		id[i] = digits[n%36]
		n /= 36
	}
	return string(id[:])
}
