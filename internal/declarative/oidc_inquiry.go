package declarative

import (
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Client is what we are to an identity provider, and how it is asked.
type Client struct {
	ClientIDs     []string
	ClientSecrets []redact.Secret // paired by index
	ClientAuth    string          // at the token endpoint; "" for what discovery offers
	ClientAlg     jose.Alg        // of private_key_jwt
	Scopes        []string
	Endpoints     Endpoints // instead of discovery's
	Domains       []string  // accepted hd
	SkipSignature bool      // of tokens that the sidecar fetches (verify_signature: false)
	Token         Extra     // for the token endpoint
}

// Extra is what is added to a request to an endpoint of the issuer's.
type Extra struct {
	Headers, Args []Pair // as configured
	// What a caller may add, by name: headers of its own as headers, parameters of its
	// query as parameters, and headers as parameters.
	ClientHeaders, ClientArgs, ClientArgHeaders []string
}

// Inquiry configures the methods of openid-connect that ask the issuer about the
// credential of a caller: introspection, userinfo, refresh_token, password,
// client_credentials, and an ID token that comes beside another credential.
type Inquiry struct {
	Client
	IntrospectJWT     bool
	IntrospectionAuth string // how we authenticate there; "" as at the token endpoint
	IntrospectionHint string // token_type_hint (RFC 7662 §2.1); "" for none
	IntrospectionName string // of the parameter with the token
	Introspection     Extra
	UserInfo          Extra
	RefreshHeader     string // lower case
	IDTokenHeader     string // lower case; "" for none

	CacheTokens, CacheIntrospection, CacheUserInfo bool
	// CacheTTL is how long, in seconds, an answer is remembered that does not say how
	// long it holds. CacheMax bounds every answer, 0 for no bound; CacheMin is what one
	// is remembered at least; neither goes beyond what an answer says. CacheNegative is
	// for refusals.
	CacheTTL, CacheMax, CacheMin, CacheNegative int64

	needsSecret bool
}

// inquiryMethods are the methods that need an Inquiry, in Kong's order.
var inquiryMethods = []string{"introspection", "userinfo", "refresh_token", "password", "client_credentials"}

// inquiryReader reads the fields of an Inquiry.
type inquiryReader struct {
	*Inquiry
	token          Extra
	names, values  map[string]*[]string // by the beginning of the fields' names
	places         []placesOf
	idToken, order string
	seen           []string // fields that mean nothing without it
}

// placesOf is where a credential may be: x_param_type.
type placesOf struct {
	method string
	at     at
	list   []string
}

func newInquiry() *inquiryReader {
	return &inquiryReader{
		Inquiry: &Inquiry{
			IntrospectionHint: "access_token", IntrospectionName: "token", RefreshHeader: "refresh-token",
			CacheTokens: true, CacheIntrospection: true, CacheUserInfo: true,
			CacheTTL: 60, CacheNegative: 10,
		},
		order: "kong", names: map[string]*[]string{}, values: map[string]*[]string{},
	}
}

// fields are the fields of an Inquiry, by Kong's names.
func (r *inquiryReader) fields(p *parser) fields {
	place := func(method string) reader {
		return func(v at) {
			var list []string
			p.oneOrMore(&list, oneOf("body", "header", "query"))(v)
			r.places = append(r.places, placesOf{method, v, list})
		}
	}
	known := fields{
		"introspect_jwt_tokens":              p.bool(&r.IntrospectJWT),
		"introspection_endpoint":             p.text(&r.Endpoints.Introspection, httpURL),
		"introspection_endpoint_auth_method": p.text(&r.IntrospectionAuth, clientAuth),
		"introspection_hint":                 p.text(&r.IntrospectionHint, printable),
		"introspection_token_param_name":     p.text(&r.IntrospectionName, notEmpty, printable),
		"cache_introspection":                p.bool(&r.CacheIntrospection),
		"cache_user_info":                    p.bool(&r.CacheUserInfo),
		"cache_tokens":                       p.bool(&r.CacheTokens),
		"cache_tokens_salt": func(v at) {
			var s string
			p.text(&s)(v)
			p.note(noEffect, v, "is set: the sidecar draws a salt whenever it starts")
		},
		"cache_ttl":                              p.int(&r.CacheTTL, 0, maxSeconds),
		"cache_ttl_max":                          p.int(&r.CacheMax, 0, maxSeconds),
		"cache_ttl_min":                          p.int(&r.CacheMin, 0, maxSeconds),
		"cache_ttl_neg":                          p.int(&r.CacheNegative, 0, maxSeconds),
		"client_credentials_param_type":          place("client_credentials"),
		"password_param_type":                    place("password"),
		"refresh_token_param_type":               place("refresh_token"),
		"id_token_param_type":                    place("id_token"),
		"refresh_token_param_name":               p.text(&r.RefreshHeader, claimHeader),
		"id_token_param_name":                    p.text(&r.idToken, claimHeader),
		"auth_methods_order":                     p.text(&r.order, oneOf("kong", "listed")),
		"introspection_headers_client":           p.oneOrMore(&r.Introspection.ClientHeaders, askHeader),
		"introspection_post_args_client":         p.oneOrMore(&r.Introspection.ClientArgs, askArg),
		"introspection_post_args_client_headers": p.oneOrMore(&r.Introspection.ClientArgHeaders, askArg, headerName),
		"userinfo_headers_client":                p.oneOrMore(&r.UserInfo.ClientHeaders, askHeader),
		"userinfo_query_args_client":             p.oneOrMore(&r.UserInfo.ClientArgs, askArg),
		"token_headers_client":                   p.oneOrMore(&r.token.ClientHeaders, askHeader),
		"token_post_args_client":                 p.oneOrMore(&r.token.ClientArgs, askArg),
	}
	for _, e := range []struct {
		name string
		what check
	}{
		{"introspection_headers", askHeader}, {"introspection_post_args", askArg}, {"userinfo_headers", askHeader},
		{"userinfo_query_args", askArg}, {"token_headers", askHeader}, {"token_post_args", askArg},
	} {
		r.names[e.name], r.values[e.name] = &[]string{}, &[]string{}
		known[e.name+"_names"] = p.oneOrMore(r.names[e.name], e.what)
		known[e.name+"_values"] = p.secrets(r.values[e.name], printable)
	}
	for name, read := range known {
		known[name] = func(v at) {
			r.seen = append(r.seen, name)
			read(v)
		}
	}
	return known
}

// askHeader is a check for a header that is added to a request to the issuer.
func askHeader(s string) string {
	if wrong := headerName(s); wrong != "" {
		return wrong
	}
	switch strings.ToLower(s) {
	case "authorization", "host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade",
		"accept", "accept-encoding", "cookie", "dpop", "proxy-authorization":
		return "is " + s + ", which the request sets itself"
	}
	return ""
}

// askArg is a check for a parameter that is added to a request to the issuer.
func askArg(s string) string {
	switch strings.ToLower(s) {
	case "grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "token", "token_type_hint", "username",
		"password", "scope", "code", "code_verifier", "redirect_uri", "refresh_token", "assertion", "subject_token", "actor_token",
		"access_token", "id_token":
		return "is " + s + ", which the request sets itself"
	}
	if len(s) > 64 {
		return "is longer than 64 bytes"
	}
	return notEmpty(s)
}

// finish checks what was read as a whole: the methods in the order in which they are
// looked for, and what they need.
func (r *inquiryReader) finish(p *parser, where places, c *OIDCConfig, l *loginReader, listed []string) {
	v := where.plugin
	asks := func(m string) bool { return slices.Contains(listed, m) }
	order := append([]string{"bearer"}, inquiryMethods...)
	if r.order == "listed" {
		order = nil
		for _, m := range listed {
			if m != "session" && m != "authorization_code" && !slices.Contains(order, m) {
				order = append(order, m)
			}
		}
	}
	inquires := false
	for _, m := range order {
		if asks(m) {
			c.Methods = append(c.Methods, m)
			inquires = inquires || m != "bearer"
		}
	}
	if r.idToken != "" {
		r.IDTokenHeader, inquires = strings.ToLower(r.idToken), true
	}
	if r.IntrospectJWT {
		inquires = true
		if !asks("bearer") {
			p.fail(v, "introspect_jwt_tokens is for tokens that bearer has verified: expected bearer in auth_methods")
		}
	}
	if !inquires {
		if len(r.seen) > 0 {
			p.note(noEffect, v, "%s: has no effect where the issuer is not asked about callers' credentials", strings.Join(sorted(r.seen), ", "))
		}
		return
	}
	for name, dst := range map[string]*[]Pair{
		"introspection_headers": &r.Introspection.Headers, "introspection_post_args": &r.Introspection.Args,
		"userinfo_headers": &r.UserInfo.Headers, "userinfo_query_args": &r.UserInfo.Args,
		"token_headers": &r.token.Headers, "token_post_args": &r.token.Args,
	} {
		names, values := *r.names[name], *r.values[name]
		if len(names) != len(values) {
			p.fail(v, "%s_names has %d values and %s_values %d: expected as many", name, len(names), name, len(values))
			continue
		}
		for i := range names {
			*dst = append(*dst, Pair{names[i], values[i]})
		}
	}
	for _, w := range r.places {
		if !asks(w.method) && (w.method != "id_token" || r.idToken == "") {
			continue
		}
		if !slices.Contains(w.list, "header") {
			p.fail(w.at, "does not have header: nothing else is looked at")
		} else if len(w.list) > 1 {
			p.note(noEffect, w.at, "only headers are looked at: addresses end up in logs, and bodies are not collected")
		}
	}
	if r.CacheMax > 0 && r.CacheMin > r.CacheMax {
		p.fail(v, "cache_ttl_min is above cache_ttl_max")
	}
	r.RefreshHeader = strings.ToLower(r.RefreshHeader)
	if asks("userinfo") && len(c.Audience) > 0 {
		p.fail(v, "auth_methods has userinfo, which does not tell whom a token is for: expected no audience, or introspection in its place")
	}
	introspection := r.Endpoints.Introspection
	r.Client = l.Client
	r.Client.Endpoints.Introspection = introspection
	r.Client.Token = r.token
	l.Client.Token = r.token
	for _, m := range []string{"introspection", "refresh_token", "password"} {
		if !asks(m) && (m != "introspection" || !r.IntrospectJWT) {
			continue
		}
		if r.needsSecret = true; len(l.ClientIDs) == 0 && !p.failedAt(v.path+".config.client_id") {
			p.fail(v, "has no client_id: %s needs one", m)
			break
		}
	}
	if r.IDTokenHeader != "" && len(l.ClientIDs) == 0 {
		p.fail(v, "has no client_id: an ID token has to be for one (OIDC Core §3.1.3.7)")
	}
	r.lint(p, where, asks)
	c.Inquiry = r.Inquiry
}

// lint names what is unsafe in the methods.
func (r *inquiryReader) lint(p *parser, where places, asks func(m string) bool) {
	if asks("password") {
		p.note(passwordGrant, where.of("auth_methods"), "has password: callers show people's passwords to the gateway, and no second factor can be asked for")
	}
	if _, named := where.fields["auth_methods"]; named && asks("userinfo") {
		p.note(anyClientsToken, where.of("auth_methods"), "has userinfo: any token of the issuer passes, also one that was made for another application")
	}
	if plainHTTP(r.Endpoints.Introspection) {
		p.note(endpointPlainHTTP, where.of("introspection_endpoint"), "is not https: anybody in between can read tokens, and call them active")
	}
}
