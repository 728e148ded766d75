package declarative

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/match"
	"github.com/sallyport-auth/sallyport/internal/match/compile"
)

const scalarKind = yaml.ScalarNode

// Identity is what becomes of claims and tokens: headers and a consumer.
type Identity struct {
	Upstream, Downstream []ClaimHeader
	Tokens               []TokenHeader
	GroupsClaim          []string // path of the groups that the acl plugin looks at
	Matches              []ClaimMatch
	CredentialClaim      []string // path
	ConsumerClaims       [][]string
	ConsumerBy           []string
	UsernameAnyCase      bool // by_username_ignore_case
	ConsumerOptional     bool
	TrustEmail           bool // beyond Kong
}

// ClaimHeader is a claim that becomes a header.
type ClaimHeader struct {
	Header string // lower case
	Claim  []string
}

// TokenHeader is a token that becomes a header, after the word Bearer where that is
// wanted.
type TokenHeader struct {
	Header, Token    string // access_token, id_token, user_info, session_id
	Bearer, Response bool
}

// ClaimMatch is an element of upstream_claims, a field beyond Kong: values of a
// claim of one token that match an expression.
type ClaimMatch struct {
	Header string
	Claim  []string
	Match  *match.Program
	Token  string // access_token, id_token, user_info
}

// identityReader reads the fields of an Identity.
type identityReader struct {
	*Identity
	upNames, upClaims, downNames, downClaims []string
	consumerClaim                            []string
	tokens                                   map[string]string // header by field
}

// tokenFields are the fields that hand tokens on, and what they hand on.
var tokenFields = map[string]TokenHeader{
	"upstream_access_token_header":    {Token: "access_token"},
	"upstream_id_token_header":        {Token: "id_token"},
	"upstream_user_info_header":       {Token: "user_info"},
	"upstream_introspection_header":   {Token: "introspection"},
	"downstream_introspection_header": {Token: "introspection", Response: true},
	"downstream_refresh_token_header": {Token: "refresh_token", Response: true},
	"upstream_session_id_header":      {Token: "session_id"},
	"downstream_access_token_header":  {Token: "access_token", Response: true},
	"downstream_id_token_header":      {Token: "id_token", Response: true},
	"downstream_user_info_header":     {Token: "user_info", Response: true},
	"downstream_session_id_header":    {Token: "session_id", Response: true},
}

func newIdentity() *identityReader {
	return &identityReader{
		Identity: &Identity{CredentialClaim: []string{"sub"}, ConsumerBy: []string{"username", "custom_id"}},
		tokens:   map[string]string{"upstream_access_token_header": "authorization:bearer"},
	}
}

func (r *identityReader) fields(p *parser) fields {
	known := fields{
		"upstream_headers_names":    p.oneOrMore(&r.upNames, claimHeader),
		"upstream_headers_claims":   p.oneOrMore(&r.upClaims, claimName),
		"downstream_headers_names":  p.oneOrMore(&r.downNames, responseHeader),
		"downstream_headers_claims": p.oneOrMore(&r.downClaims, claimName),
		"upstream_headers":          p.claimHeaders(&r.Upstream, claimHeader),
		"downstream_headers":        p.claimHeaders(&r.Downstream, responseHeader),
		"upstream_claims":           p.list(func(v at) { r.claimMatch(p, v) }),
		"credential_claim":          p.oneOrMore(&r.CredentialClaim, claimName),
		"consumer_claim":            p.oneOrMore(&r.consumerClaim, claimName),
		"consumer_claims": p.list(func(v at) {
			var path []string
			if p.oneOrMore(&path, claimName)(v); len(path) > 0 {
				r.ConsumerClaims = append(r.ConsumerClaims, path)
			}
		}),
		"consumer_by":                p.oneOrMore(&r.ConsumerBy, oneOf("id", "username", "custom_id")),
		"by_username_ignore_case":    p.bool(&r.UsernameAnyCase),
		"authenticated_groups_claim": p.oneOrMore(&r.GroupsClaim, claimName),
		"consumer_optional":          p.bool(&r.ConsumerOptional),
		"trust_email":                p.bool(&r.TrustEmail),
	}
	for name := range tokenFields {
		known[name] = func(v at) {
			var s string
			p.text(&s, tokenHeader)(v)
			r.tokens[name] = s
		}
	}
	return known
}

// claimHeaders reads Kong's newer form: a list of header and path.
func (p *parser) claimHeaders(dst *[]ClaimHeader, name check) reader {
	return p.list(func(v at) {
		var h ClaimHeader
		before := p.errors
		p.record(v, fields{"header": p.text(&h.Header, name), "path": p.oneOrMore(&h.Claim, claimName)})
		if p.errors > before {
			return
		}
		if h.Header == "" || len(h.Claim) == 0 {
			p.fail(v, "has no header or no path: expected both")
			return
		}
		h.Header = strings.ToLower(h.Header)
		*dst = append(*dst, h)
	})
}

// claimMatch reads an element of upstream_claims.
func (r *identityReader) claimMatch(p *parser, v at) {
	m := ClaimMatch{Token: "access_token"}
	expr := ".*"
	before := p.errors
	p.record(v, fields{
		"claim":      p.oneOrMore(&m.Claim, claimName),
		"match":      p.text(&expr),
		"value_from": p.refuseUnless("values come from the claim", "claims"),
		"type":       p.text(&m.Token, oneOf("access_token", "id_token", "user_info")),
		"header":     p.text(&m.Header, claimHeader),
	})
	if p.errors > before {
		return
	}
	if len(m.Claim) == 0 {
		p.fail(v, "has no claim")
		return
	}
	var err error
	if m.Match, err = compile.Expression(expr); err != nil {
		p.fail(v, "match is %q: expected a regular expression in the syntax of RE2: %s", expr, err)
		return
	}
	m.Header = strings.ToLower(m.Header)
	if m.Header == "" {
		if last := m.Claim[len(m.Claim)-1]; last == "groups" {
			m.Header = "x-authenticated-groups"
		} else {
			p.fail(v, "has no header: only groups have one of their own, X-Authenticated-Groups")
		}
	}
	r.Matches = append(r.Matches, m)
}

// finish checks what was read as a whole. null is the set of fields that are
// explicitly null: where Kong's default is a header, null means none.
func (r *identityReader) finish(p *parser, where places, null map[string]bool) Identity {
	v := where.plugin
	pair := func(what string, names, claims []string, dst *[]ClaimHeader) {
		if len(names) != len(claims) {
			p.fail(v, "%s_headers_names has %d values and %s_headers_claims %d: expected as many", what, len(names), what, len(claims))
			return
		}
		for i, name := range names {
			*dst = append(*dst, ClaimHeader{strings.ToLower(name), []string{claims[i]}})
		}
	}
	pair("upstream", r.upNames, r.upClaims, &r.Upstream)
	pair("downstream", r.downNames, r.downClaims, &r.Downstream)
	for _, field := range slices.Sorted(maps.Keys(r.tokens)) {
		if r.tokens[field] == "" || null[field] {
			continue
		}
		t := tokenFields[field]
		name, bearer, _ := strings.Cut(r.tokens[field], ":")
		t.Header, t.Bearer = strings.ToLower(name), strings.EqualFold(bearer, "bearer")
		r.Tokens = append(r.Tokens, t)
	}
	if len(r.consumerClaim) > 0 && len(r.ConsumerClaims) > 0 {
		p.fail(v, "has consumer_claim and consumer_claims: expected one of them")
	}
	if len(r.consumerClaim) > 0 {
		r.ConsumerClaims = [][]string{r.consumerClaim}
	}
	if len(r.ConsumerClaims) > 0 && len(r.ConsumerBy) == 0 {
		p.fail(v, "consumer_by is empty: expected id, username or custom_id")
	}
	if r.TrustEmail {
		p.note(trustEmail, where.of("trust_email"), "is true: an address that nobody has verified is taken for the person")
	}
	for _, list := range [][]ClaimHeader{r.Upstream, r.Downstream} {
		seen := map[string]bool{}
		for _, h := range list {
			if seen[h.Header] {
				p.fail(v, "the header %s is set twice", h.Header)
			}
			seen[h.Header] = true
		}
	}
	return *r.Identity
}

// claimHeader is a check for a header that is made of a claim for the upstream.
func claimHeader(s string) string {
	if wrong := headerName(s); wrong != "" {
		return wrong
	}
	name := strings.ToLower(s)
	switch name {
	case "host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "cookie", "x-request-id",
		"authorization", "content-type", "forwarded":
		return "is " + s + ", which has a meaning of its own"
	case identity.ConsumerID, identity.ConsumerCustomID, identity.ConsumerUsername, identity.Credential, identity.Anonymous:
		return "is " + s + ", which tells upstreams of consumers"
	}
	if strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-envoy-") {
		return "is " + s + ", which the proxy sets"
	}
	return ""
}

// responseHeader is a check for a header that is made of a claim for the client.
func responseHeader(s string) string {
	switch strings.ToLower(s) {
	case "set-cookie", "location", "www-authenticate", "content-encoding", "content-security-policy":
		return "is " + s + ", which has a meaning of its own"
	}
	return claimHeader(s)
}

// tokenHeader is a check: a header's name, after which a colon and bearer may stand.
func tokenHeader(s string) string {
	name, scheme, _ := strings.Cut(s, ":")
	if scheme != "" && !strings.EqualFold(scheme, "bearer") {
		return "is " + s + ": expected a header, or a header and :bearer"
	}
	if strings.EqualFold(name, "authorization") {
		return ""
	}
	return claimHeader(name)
}
