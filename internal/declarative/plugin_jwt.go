package declarative

import "github.com/sallyport-auth/sallyport/internal/jose"

// JWTConfig is the configuration of the jwt plugin (kong/plugins/jwt/schema.lua).
type JWTConfig struct {
	// URIParamNames are query parameters with a token. Kong's default is jwt; ours
	// is none, because URLs end up in logs (docs/differences-from-kong.md).
	URIParamNames     []string
	CookieNames       []string
	HeaderNames       []string // lower case
	KeyClaimName      string
	SecretIsBase64    bool
	ClaimsToVerify    []string
	MaximumExpiration int64
	Anonymous         *Consumer
	Realm             string
	RunOnPreflight    bool

	// Beyond Kong.
	Issuers        []string
	Audiences      []string
	Leeway         int64
	Algorithms     []jose.Alg
	AcceptIDTokens bool

	anonymous ref
}

// VerifyExp reports whether exp is checked.
func (c *JWTConfig) VerifyExp() bool { return contains(c.ClaimsToVerify, "exp") }

// VerifyNbf reports whether nbf is checked.
func (c *JWTConfig) VerifyNbf() bool { return contains(c.ClaimsToVerify, "nbf") }

// maxLifetime is Kong's bound on maximum_expiration: 365 days.
const maxLifetime = 31536000

func (p *parser) jwtConfig(v, config, shared at) *JWTConfig {
	c := &JWTConfig{HeaderNames: []string{"authorization"}, KeyClaimName: "iss", RunOnPreflight: true}
	var algorithms []string
	where := p.config(v, config, shared, p.known("jwt", fields{
		"uri_param_names":    p.texts(&c.URIParamNames, notEmpty),
		"cookie_names":       p.texts(&c.CookieNames, notEmpty),
		"header_names":       p.texts(&c.HeaderNames, headerName),
		"key_claim_name":     p.text(&c.KeyClaimName, claimName),
		"secret_is_base64":   p.bool(&c.SecretIsBase64),
		"claims_to_verify":   p.texts(&c.ClaimsToVerify, oneOf("exp", "nbf")),
		"maximum_expiration": p.int(&c.MaximumExpiration, 0, maxLifetime),
		"anonymous":          p.reference(&c.anonymous),
		"realm":              p.text(&c.Realm, printable),
		"run_on_preflight":   p.bool(&c.RunOnPreflight),

		"issuers":          p.texts(&c.Issuers, notEmpty),
		"audiences":        p.texts(&c.Audiences, notEmpty),
		"leeway":           p.leeway(&c.Leeway),
		"algorithms":       p.texts(&algorithms, oneOf(jose.Algs()...)),
		"accept_id_tokens": p.idTokens(&c.AcceptIDTokens),
	}))
	for _, name := range algorithms {
		c.Algorithms = append(c.Algorithms, jose.ParseAlg(name))
	}
	c.HeaderNames = lower(c.HeaderNames)
	if c.MaximumExpiration > 0 && !c.VerifyExp() {
		p.fail(v, "maximum_expiration needs exp in claims_to_verify")
	}
	if !c.VerifyExp() {
		p.note(expiredTokens, where.of("claims_to_verify"), "claims_to_verify does not have exp: expired tokens are accepted, as in Kong")
	}
	if len(c.URIParamNames) > 0 {
		p.note(tokenInQuery, where.of("uri_param_names"), inQuery)
	}
	if len(c.HeaderNames)+len(c.CookieNames)+len(c.URIParamNames) == 0 && !p.failedAt(v.path) {
		p.fail(v, "has no place to look for a token: expected header_names, cookie_names or uri_param_names")
	}
	return c
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
