package declarative

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jose"
)

// maxUsualLeeway is more than clocks that are kept in step differ by, in seconds.
const maxUsualLeeway = 300

// Texts that several findings have.
const (
	inQuery   = "lets tokens come in the query: they end up in logs, histories and referrers"
	shareKeys = "names several issuers: whoever has the keys of one can write tokens of the others"
)

// leeway reads a difference between clocks.
func (p *parser) leeway(dst *int64) reader {
	return func(v at) {
		if p.int(dst, 0, maxLeeway)(v); *dst > maxUsualLeeway {
			p.note(largeLeeway, v, "is %d seconds: tokens that have ended pass for that long", *dst)
		}
	}
}

// idTokens reads accept_id_tokens.
func (p *parser) idTokens(dst *bool) reader {
	return func(v at) {
		if p.bool(dst)(v); *dst {
			p.note(idTokensAccepted, v, "is true: what a client knows a person by, and may have shown to others, opens the API")
		}
	}
}

// address reads a URL, and says what it exposes when others can be in between. The
// URL is not said: its query may have a secret.
func (p *parser) address(dst *string, r Rule, exposes string) reader {
	return func(v at) {
		if p.text(dst, httpURL)(v); plainHTTP(*dst) {
			p.note(r, v, "is not https: %s", exposes)
		}
	}
}

// plainHTTP reports whether a URL leads to another machine without TLS.
func plainHTTP(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err != nil || !addr.Unmap().IsLoopback()
}

// lintOIDC names what is unsafe in an openid-connect plugin as a whole.
func (p *parser) lintOIDC(where places, c *OIDCConfig) {
	if len(c.QueryNames) > 0 {
		p.note(tokenInQuery, where.of("bearer_token_param_type"), inQuery)
	}
	if slices.ContainsFunc(c.IssuersAllowed, func(iss string) bool { return iss != c.IssuerURL }) {
		p.note(issuersShareKeys, where.of("issuers_allowed"), shareKeys)
	}
	demanded := slices.ContainsFunc(c.Required, func(r Required) bool { return r.What == "audience" })
	byToken := slices.Contains(c.Methods, "bearer") || slices.Contains(c.Methods, "introspection")
	if byToken && len(c.Audience) == 0 && !demanded {
		p.note(noAudience, where.plugin, "has no audience: bearer tokens that the issuer has made for other APIs pass")
	}
}

// lint names what is unsafe in a login.
func (l *loginReader) lint(p *parser, where places) {
	for _, e := range []struct{ field, url string }{
		{"authorization_endpoint", l.Endpoints.Authorization}, {"token_endpoint", l.Endpoints.Token},
		{"userinfo_endpoint", l.Endpoints.UserInfo}, {"revocation_endpoint", l.Endpoints.Revocation},
		{"end_session_endpoint", l.Endpoints.EndSession},
	} {
		if plainHTTP(e.url) {
			p.note(endpointPlainHTTP, where.of(e.field), "is not https: anybody in between can read and change what a login is made of")
		}
	}
	if slices.ContainsFunc(l.RedirectURIs, plainHTTP) {
		p.note(redirectPlainHTTP, where.of("redirect_uri"), "is not https: anybody in between can take over the login")
	}
	if l.LoginAction == "redirect" && slices.ContainsFunc(l.LoginRedirects, plainHTTP) {
		p.note(redirectPlainHTTP, where.of("login_redirect_uri"), "is not https: anybody in between can take the tokens along")
	}
	l.SessionCookie.lint(p, where, "session_cookie_")
	l.FlowCookie.lint(p, where, "authorization_cookie_")
}

// lint names what is unsafe in a cookie. What is left out is safe.
func (c *CookieSettings) lint(p *parser, where places, prefix string) {
	if !c.HTTPOnly {
		p.note(cookieNotHTTPOnly, where.of(prefix+"http_only"), "is false: any script on the page can take the cookie along")
	}
	if c.Secure != nil && !*c.Secure {
		p.note(cookieNotSecure, where.of(prefix+"secure"), "is false: the cookie also travels without TLS")
	}
	switch c.SameSite {
	case "None":
		p.note(cookieCrossSite, where.of(prefix+"same_site"), "is None: other sites can make requests with the cookie")
	case "":
		p.note(cookieCrossSite, where.of(prefix+"same_site"), "is off: some browsers send the cookie with requests that other sites make")
	}
}

// secretBytes are the lengths below which a secret is weaker than its hash (RFC 7518
// §3.2).
var secretBytes = map[jose.Alg]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64}

// shortSecrets warns of secrets of credentials that can be found by trying.
func (p *parser) shortSecrets() {
	base64 := slices.ContainsFunc(p.file.Plugins, func(pl *Plugin) bool { return pl.JWT != nil && pl.JWT.SecretIsBase64 })
	for _, s := range p.file.JWTSecrets {
		n := len(s.Secret)
		if base64 {
			n = len(strings.TrimRight(s.Secret, "=")) * 3 / 4
		}
		if least := secretBytes[s.Algorithm]; s.written.node != nil && n < least {
			p.note(shortSecret, s.written, "has fewer than %d bytes for %s: whoever has one token can find it by trying, and then write tokens",
				least, s.Algorithm)
		}
	}
}
