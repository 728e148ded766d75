package declarative

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// OIDCConfig is the configuration of the openid-connect plugin.
type OIDCConfig struct {
	Issuer string // as it is written
	// IssuerURL is the issuer identifier: Issuer without the path of discovery.
	IssuerURL      string
	IssuersAllowed []string
	Audience       []string // any of them has to be in aud
	Required       []Required
	Leeway         int64
	Anonymous      *Consumer
	RunOnPreflight bool
	HeaderNames    []string
	CookieNames    []string
	QueryNames     []string
	Verify         bool   // the IdP's certificate
	Timeout        int64  // of requests to the IdP, milliseconds
	JWKSEndpoint   string // instead of discovery's jwks_uri
	// DiscoveryHeaders go along with requests for the discovery document.
	DiscoveryHeaders []DiscoveryHeader
	// Methods are how callers may be known: session, bearer and those of an Inquiry, in
	// the order in which they are looked for.
	Methods []string
	Inquiry *Inquiry // nil for none
	// Forbidden are claims that must not be there. Keep leaves credentials to the
	// upstream (hide_credentials: false).
	Forbidden []string
	Keep      bool
	Login     *Login // nil where auth_methods has neither session nor authorization_code
	Identity  Identity

	// Beyond Kong.
	Algorithms     []jose.Alg
	AcceptIDTokens bool
	Realm          string

	anonymous ref
}

// DiscoveryHeader is a header with what may be a key.
type DiscoveryHeader struct {
	Name  string
	Value redact.Secret
}

// Required is one of Kong's pairs x_claim and x_required, or an element of claims_required,
// a field beyond Kong: there may be any number of those.
type Required struct {
	What  string // scopes, audience, groups, roles; claims for one of claims_required
	Claim []string
	Any   []string
}

// discoverySuffix is what an issuer may end in (OpenID Connect Discovery §4).
const discoverySuffix = "/.well-known/openid-configuration"

func (p *parser) oidcConfig(v, config, shared at) *OIDCConfig {
	c := &OIDCConfig{RunOnPreflight: true, Verify: true, Timeout: 10000}
	var methods, places, algorithms, headers, values []string
	var methodsSet bool
	var more []Required
	cookie := ""
	pairs := map[string]*Required{
		"scopes":   {What: "scopes", Claim: []string{"scope"}},
		"audience": {What: "audience", Claim: []string{"aud"}},
		"groups":   {What: "groups", Claim: []string{"groups"}},
		"roles":    {What: "roles", Claim: []string{"roles"}},
	}
	login, identity, inquiry := newLogin(), newIdentity(), newInquiry()
	hide := true
	bearerHeader := ""
	known := fields{
		"issuer":          p.address(&c.Issuer, issuerPlainHTTP, "anybody in between can hand out keys of their own"),
		"issuers_allowed": p.oneOrMore(&c.IssuersAllowed, notEmpty),
		"auth_methods": func(v at) {
			methodsSet = true
			p.oneOrMore(&methods, authMethod)(v)
		},
		"audience":         p.oneOrMore(&c.Audience, notEmpty),
		"leeway":           p.leeway(&c.Leeway),
		"anonymous":        p.reference(&c.anonymous),
		"run_on_preflight": p.bool(&c.RunOnPreflight),
		"bearer_token_param_type": func(v at) {
			p.oneOrMore(&places, oneOf("header", "query", "cookie", "body"))(v)
			switch without := slices.DeleteFunc(slices.Clone(places), func(s string) bool { return s == "body" }); {
			case len(without) == len(places):
			case len(without) == 0:
				p.fail(v, "has nothing but body, and bodies are not read: expected header, query or cookie")
			default:
				places = without
				p.note(noEffect, v, "has body: bodies are not read")
			}
		},
		"bearer_token_cookie_name": p.text(&cookie, notEmpty),
		"bearer_token_header_name": p.text(&bearerHeader, tokenHeaderName),
		"claims_forbidden":         p.oneOrMore(&c.Forbidden, claimName),
		"hide_credentials":         p.bool(&hide),
		"ssl_verify": func(v at) {
			p.bool(&c.Verify)(v)
			if !c.Verify {
				p.note(sslVerifyOff, v, "is false: anybody between here and the identity provider can hand out keys of their own")
			}
		},
		"timeout": p.int(&c.Timeout, 1, 60000),

		"jwks_endpoint":            p.address(&c.JWKSEndpoint, jwksURIPlainHTTP, "anybody in between can hand out keys of their own"),
		"discovery_headers_names":  p.oneOrMore(&headers, requestHeader),
		"discovery_headers_values": p.secrets(&values, printable),
		"verify_signature": func(v at) {
			verify := true
			p.bool(&verify)(v)
			login.SkipSignature = !verify
			if !verify {
				p.note(verifySignature, v, "is false: whoever answers in the identity provider's place logs in as anybody; "+
					"it has no effect on tokens that clients present, whose signature is always verified")
			}
		},

		"algorithms":       p.oneOrMore(&algorithms, oneOf(jose.Algs()...)),
		"accept_id_tokens": p.idTokens(&c.AcceptIDTokens),
		"realm":            p.text(&c.Realm, printable),
	}
	known["claims_required"] = p.list(func(v at) {
		r := Required{What: "claims"}
		before := p.errors
		p.record(v, fields{"claim": p.oneOrMore(&r.Claim, claimName), "required": p.oneOrMore(&r.Any, requirement)})
		if p.errors > before {
			return
		}
		if len(r.Claim) == 0 || len(r.Any) == 0 {
			p.fail(v, "has no claim or nothing required of it: expected both")
			return
		}
		more = append(more, r)
	})
	for name, pair := range pairs {
		known[name+"_claim"] = p.oneOrMore(&pair.Claim, claimName)
		known[name+"_required"] = p.oneOrMore(&pair.Any, requirement)
	}
	for _, list := range []fields{login.fields(p), identity.fields(p), inquiry.fields(p)} {
		for name, read := range list {
			known[name] = read
		}
	}
	where := p.config(v, config, shared, p.known("openid-connect", known))

	if c.Issuer == "" {
		if !p.failedAt(v.path) {
			p.fail(v, "has no issuer")
		}
		return c
	}
	c.IssuerURL = strings.TrimSuffix(c.Issuer, discoverySuffix)
	methods = p.methods(v, c, login, methods, methodsSet)
	inquiry.finish(p, where, c, login, methods)
	c.Identity = identity.finish(p, where, p.nulls(config, shared))
	c.Login = login.finish(p, where, c.Inquiry)
	for _, name := range []string{"scopes", "audience", "groups", "roles"} {
		if len(pairs[name].Any) > 0 && len(pairs[name].Claim) == 0 {
			p.fail(v, "%s_required has no claim to look at: %s_claim is empty", name, name)
		}
		if len(pairs[name].Any) > 0 {
			c.Required = append(c.Required, *pairs[name])
		}
	}
	c.Required = append(c.Required, more...)
	for _, name := range algorithms {
		a := jose.ParseAlg(name)
		if a.Family() == jose.HMAC {
			p.fail(v, "algorithms has %s: an issuer's tokens are verified with public keys", name)
		}
		c.Algorithms = append(c.Algorithms, a)
	}
	c.Keep = !hide
	if len(headers) != len(values) {
		p.fail(v, "discovery_headers_names has %d values and discovery_headers_values %d: expected as many", len(headers), len(values))
	} else {
		for i, name := range headers {
			c.DiscoveryHeaders = append(c.DiscoveryHeaders, DiscoveryHeader{name, redact.New(values[i])})
		}
	}
	p.tokenPlaces(v, c, places, cookie)
	if bearerHeader != "" && len(c.HeaderNames) > 0 {
		c.HeaderNames = []string{strings.ToLower(bearerHeader)}
	}
	p.lintOIDC(where, c)
	return c
}

// tokenPlaces decides where bearer tokens are looked for. Kong's default is body,
// header and query; ours is the header alone.
func (p *parser) tokenPlaces(v at, c *OIDCConfig, places []string, cookie string) {
	if len(places) == 0 {
		places = []string{"header"}
	}
	for _, place := range places {
		switch place {
		case "header":
			c.HeaderNames = []string{"authorization"}
		case "query":
			c.QueryNames = []string{"access_token"} // RFC 6750 §2.3
		case "cookie":
			if cookie == "" {
				p.fail(v, "bearer_token_param_type has cookie: expected bearer_token_cookie_name too")
				continue
			}
			c.CookieNames = []string{cookie}
		}
	}
	if cookie != "" && len(c.CookieNames) == 0 {
		p.fail(v, "bearer_token_cookie_name needs cookie in bearer_token_param_type")
	}
}

// methods returns auth_methods. Absent they are those of Kong's that are safe and that
// can work here: without a client there is no login, and nobody to ask the issuer.
func (p *parser) methods(v at, c *OIDCConfig, l *loginReader, methods []string, set bool) []string {
	switch {
	case !set && p.failedAt(v.path+".config.client_id"):
		methods = []string{"session", "bearer"} // what was meant is known: what is wrong with the client has been said
	case !set && len(l.ClientIDs) == 0:
		methods = []string{"bearer"}
		p.note(defaultMethods, v, "has no auth_methods: bearer tokens are verified, and nothing else")
	case !set && len(c.Audience) > 0:
		methods = []string{"session", "bearer", "introspection", "authorization_code"}
		p.note(defaultMethods, v, "has no auth_methods: session, bearer, introspection and authorization_code are on, the others only when named")
	case !set:
		methods = []string{"session", "bearer", "introspection", "userinfo", "authorization_code"}
		p.note(defaultMethods, v, "has no auth_methods: session, bearer, introspection, userinfo and authorization_code are on, the others only when named")
	case len(methods) == 0 && !p.failedAt(v.path):
		p.fail(v, "auth_methods is empty: nobody could pass")
	}
	l.Session, l.Begin = slices.Contains(methods, "session"), slices.Contains(methods, "authorization_code")
	// A login without a session would end in the next login. Kong says that session
	// has to be named for it to be used; its own example does not (S0-02, S0-16).
	l.BearerSession = l.Session && slices.Contains(methods, "bearer")
	if l.Session = l.Session || l.Begin; l.Session {
		c.Methods = append(c.Methods, "session")
	}
	return methods
}

// nulls returns the members of a plugin's configuration that are explicitly null.
func (p *parser) nulls(config, shared at) map[string]bool {
	out := map[string]bool{}
	for _, c := range []at{shared, config} {
		if c.node == nil {
			continue
		}
		if c, ok := p.resolve(c); ok && c.node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(c.node.Content); i += 2 {
				_, there := p.resolve(at{c.node.Content[i+1], ""})
				out[c.node.Content[i].Value] = !there
			}
		}
	}
	return out
}

// authMethod is a check. The method of Kong's that is not there is named, so that nobody
// believes it is.
func authMethod(s string) string {
	if s == "kong_oauth2" {
		return "is kong_oauth2, which is not supported: Kong keeps those tokens in its own database; use an identity provider, and bearer or introspection"
	}
	return oneOf("session", "bearer", "introspection", "userinfo", "refresh_token", "password", "client_credentials", "authorization_code")(s)
}

// tokenHeaderName is a check for the header that bearer tokens are looked for in.
func tokenHeaderName(s string) string {
	if strings.EqualFold(s, "authorization") {
		return ""
	}
	return claimHeader(s)
}

// requirement is a check: an element without words would be met by nothing, and
// is a mistake.
func requirement(s string) string {
	if strings.TrimSpace(s) == "" {
		return "is empty"
	}
	return ""
}

// requestHeader is a check for a header of a request to the identity provider.
func requestHeader(s string) string {
	switch strings.ToLower(s) {
	case "host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect":
		return "is " + s + ", which has a meaning of its own"
	}
	return headerName(s)
}

// realm names what sessions are bound to: plugins with one realm share them (D8).
func (c *OIDCConfig) realm() string { return strings.Join(c.Realms(""), "\x00") }

// Realms lists what a session is bound to, beside its purpose: a cookie of one issuer,
// client or audience opens nothing of another, and neither does one of an instance
// that asks something else of a login or believes the issuer's answers more easily. Two
// plugins that agree in all of it share their sessions, as they do in Kong;
// session_audience and instance_name keep them apart.
func (c *OIDCConfig) Realms(cookie string) []string {
	l := c.Login
	list := func(texts []string) string { return fmt.Sprintf("%q", sorted(slices.Clone(texts))) }
	realms := []string{c.IssuerURL, fmt.Sprintf("%q", l.ClientIDs), list(l.Scopes), list(c.Audience), l.SessionAudience, l.InstanceName, cookie,
		list(c.IssuersAllowed), list(l.Domains), fmt.Sprintf("%q", l.Endpoints), fmt.Sprint(l.MaxAge, c.Verify, l.SkipSignature)}
	if c.JWKSEndpoint != "" {
		realms = append(realms, c.JWKSEndpoint)
	}
	return realms
}
