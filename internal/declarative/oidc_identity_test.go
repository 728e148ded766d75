package declarative

import (
	"fmt"
	"testing"
)

func identityOf[T any](get func(i *Identity) T) func(c *OIDCConfig) any {
	return func(c *OIDCConfig) any { return get(&c.Identity) }
}

// tokenHeaders writes the headers of tokens, without the usual one.
func tokenHeaders(i *Identity) string {
	out := ""
	for _, t := range i.Tokens {
		if t != (TokenHeader{Header: "authorization", Token: "access_token", Bearer: true}) {
			out += fmt.Sprint(t)
		}
	}
	return out
}

var acceptedIdentities = []accepted{
	{"upstream_headers_names: [X-A, X-B]\nupstream_headers_claims: [a, 'b.c']", identityOf(func(i *Identity) any { return i.Upstream }), "[{x-a [a]} {x-b [b.c]}]", ""},
	{"upstream_headers_names: X-A\nupstream_headers_claims: a", identityOf(func(i *Identity) any { return i.Upstream }), "[{x-a [a]}]", ""},
	{"downstream_headers_names: [X-A]\ndownstream_headers_claims: [a]", identityOf(func(i *Identity) any { return i.Downstream }), "[{x-a [a]}]", ""},
	{"upstream_headers: [{header: X-A, path: [a, 'b.c']}, {header: X-B, path: b}]", identityOf(func(i *Identity) any { return i.Upstream }), "[{x-a [a b.c]} {x-b [b]}]", ""},
	{"downstream_headers: [{header: X-A, path: [a]}]", identityOf(func(i *Identity) any { return i.Downstream }), "[{x-a [a]}]", ""},
	{"upstream_headers: [{header: X-A, path: [a]}]\nupstream_headers_names: [X-B]\nupstream_headers_claims: [b]", identityOf(func(i *Identity) any { return i.Upstream }), "[{x-a [a]} {x-b [b]}]", ""},
	{"authenticated_groups_claim: [realm_access, roles]", identityOf(func(i *Identity) any { return i.GroupsClaim }), "[realm_access roles]", ""},
	{"leeway: 0", identityOf(func(i *Identity) any { return i.Tokens }), "[{authorization access_token true false}]", ""},
	{"upstream_access_token_header: null", identityOf(func(i *Identity) any { return len(i.Tokens) }), "0", ""},
	{"upstream_access_token_header: Authorization", identityOf(tokenHeadersAny), "{authorization access_token false false}", ""},
	{"upstream_access_token_header: X-T:Bearer", identityOf(tokenHeadersAny), "{x-t access_token true false}", ""},
	{"upstream_introspection_header: X-T", identityOf(tokenHeadersAny), "{x-t introspection false false}", ""},
	{"downstream_introspection_header: X-T", identityOf(tokenHeadersAny), "{x-t introspection false true}", ""},
	{"downstream_refresh_token_header: X-T", identityOf(tokenHeadersAny), "{x-t refresh_token false true}", ""},
	{"upstream_id_token_header: X-T", identityOf(tokenHeadersAny), "{x-t id_token false false}", ""},
	{"upstream_user_info_header: X-T", identityOf(tokenHeadersAny), "{x-t user_info false false}", ""},
	{"upstream_session_id_header: X-T", identityOf(tokenHeadersAny), "{x-t session_id false false}", ""},
	{"downstream_access_token_header: X-T", identityOf(tokenHeadersAny), "{x-t access_token false true}", ""},
	{"downstream_id_token_header: X-T:bearer", identityOf(tokenHeadersAny), "{x-t id_token true true}", ""},
	{"downstream_user_info_header: X-T", identityOf(tokenHeadersAny), "{x-t user_info false true}", ""},
	{"downstream_session_id_header: X-T", identityOf(tokenHeadersAny), "{x-t session_id false true}", ""},
	{"upstream_id_token_header: null", identityOf(tokenHeadersAny), "", ""},
	{"upstream_claims: [{claim: [groups]}]", identityOf(matches), "x-authenticated-groups [groups] access_token true true", ""},
	{"upstream_claims: [{claim: [realm, groups], type: id_token}]", identityOf(matches), "x-authenticated-groups [realm groups] id_token true true", ""},
	{"upstream_claims: [{claim: a, match: 'x+', header: X-A, type: user_info, value_from: claims}]", identityOf(matches), "x-a [a] user_info true false", ""},
	{"credential_claim: [a, b]", identityOf(func(i *Identity) any { return i.CredentialClaim }), "[a b]", ""},
	{"leeway: 1", identityOf(func(i *Identity) any {
		return fmt.Sprint(i.CredentialClaim, i.ConsumerBy, i.ConsumerOptional, i.TrustEmail)
	}), "[sub] [username custom_id] false false", ""},
	{"consumer_claim: [a, b]", identityOf(func(i *Identity) any { return i.ConsumerClaims }), "[[a b]]", ""},
	{"consumer_claim: email", identityOf(func(i *Identity) any { return i.ConsumerClaims }), "[[email]]", ""},
	{"consumer_claims: [[a, b], c]", identityOf(func(i *Identity) any { return i.ConsumerClaims }), "[[a b] [c]]", ""},
	{"consumer_claim: a\nconsumer_by: [id]", identityOf(func(i *Identity) any { return i.ConsumerBy }), "[id]", ""},
	{"consumer_claim: a\nconsumer_optional: true", identityOf(func(i *Identity) any { return i.ConsumerOptional }), "true", ""},
	{"by_username_ignore_case: true", identityOf(func(i *Identity) any { return i.UsernameAnyCase }), "true", ""},
	{"trust_email: true", identityOf(func(i *Identity) any { return i.TrustEmail }), "true",
		"warning: is true: an address that nobody has verified is taken for the person"},
}

func tokenHeadersAny(i *Identity) any { return tokenHeaders(i) }

// matches writes the first claim that is matched, and whether it takes xx and other.
func matches(i *Identity) any {
	m := i.Matches[0]
	return fmt.Sprint(m.Header, " ", m.Claim, " ", m.Token, " ", m.Match.Match("xx"), " ", m.Match.Match("other xx"))
}

func TestIdentityFields(t *testing.T) { checkAccepted(t, acceptedIdentities) }

func TestRefusedIdentities(t *testing.T) {
	checkRefusedFields(t, []refusedField{
		{"upstream_headers_names: [X-A]", "@upstream_headers_names has 1 values and upstream_headers_claims 0: expected as many"},
		{"downstream_headers_claims: [a, b]", "@downstream_headers_names has 0 values and downstream_headers_claims 2: expected as many"},
		{"upstream_headers_names: ['X A']", "[0]: is no header name"},
		{"upstream_headers_names: ['']", "[0]: is no header name"},
		{"upstream_headers_names: [Host]", "[0]: is Host, which has a meaning of its own"},
		{"upstream_headers_names: [authorization]", "[0]: is authorization, which has a meaning of its own"},
		{"upstream_headers_names: [Cookie]", "[0]: is Cookie, which has a meaning of its own"},
		{"upstream_headers_names: [X-Request-ID]", "[0]: is X-Request-ID, which has a meaning of its own"},
		{"upstream_headers_names: [X-Consumer-Username]", "[0]: is X-Consumer-Username, which tells upstreams of consumers"},
		{"upstream_headers_names: [x-credential-identifier]", "[0]: is x-credential-identifier, which tells upstreams of consumers"},
		{"upstream_headers_names: [X-Anonymous-Consumer]", "[0]: is X-Anonymous-Consumer, which tells upstreams of consumers"},
		{"upstream_headers_names: [X-Forwarded-For]", "[0]: is X-Forwarded-For, which the proxy sets"},
		{"upstream_headers_names: [X-Envoy-Original-Path]", "[0]: is X-Envoy-Original-Path, which the proxy sets"},
		{"downstream_headers_names: [Set-Cookie]", "[0]: is Set-Cookie, which has a meaning of its own"},
		{"downstream_headers_names: [Location]", "[0]: is Location, which has a meaning of its own"},
		{"upstream_headers_claims: ['']", "[0]: is empty"},
		{"upstream_headers: [{header: X-A}]", "[0]: has no header or no path: expected both"},
		{"upstream_headers: [{path: [a]}]", "[0]: has no header or no path: expected both"},
		{"upstream_headers: [{header: X-A, path: []}]", "[0]: has no header or no path: expected both"},
		{"upstream_headers: [{header: X-A, path: [a], claim: b}]", "[0].claim: unknown field"},
		{"upstream_headers: [X-A]", `[0]: is "X-A": expected a mapping`},
		{"downstream_headers: [{header: Location, path: [a]}]", "[0].header: is Location, which has a meaning of its own"},
		{"upstream_headers: [{header: X-A, path: [a]}, {header: x-a, path: [b]}]", "@the header x-a is set twice"},
		{"downstream_headers_names: [X-A, x-a]\ndownstream_headers_claims: [a, b]", "@the header x-a is set twice"},
		{"upstream_access_token_header: 'X-A:basic'", "is X-A:basic: expected a header, or a header and :bearer"},
		{"upstream_id_token_header: Cookie", "is Cookie, which has a meaning of its own"},
		{"downstream_id_token_header: X-Consumer-ID", "is X-Consumer-ID, which tells upstreams of consumers"},
		{"upstream_session_id_header: ''", "is no header name"},
		{"upstream_claims: [{header: X-A}]", "[0]: has no claim"},
		{"upstream_claims: [{claim: [a]}]", "[0]: has no header: only groups have one of their own, X-Authenticated-Groups"},
		{"upstream_claims: [{claim: [a], header: X-A, match: '('}]", `[0]: match is "(": expected a regular expression in the syntax of RE2: error parsing regexp: missing closing ): ` + "`(`"},
		{"upstream_claims: [{claim: [a], header: X-A, type: refresh_token}]", `[0].type: is "refresh_token": expected access_token, id_token or user_info`},
		{"upstream_claims: [{claim: [a], header: X-A, value_from: match}]", "[0].value_from: is not supported: values come from the claim"},
		{"upstream_claims: [{claim: [a], header: Host}]", "[0].header: is Host, which has a meaning of its own"},
		{"credential_claim: ['']", "[0]: is empty"},
		{"consumer_claim: [a]\nconsumer_claims: [[b]]", "@has consumer_claim and consumer_claims: expected one of them"},
		{"consumer_claim: [a]\nconsumer_by: []", "@consumer_by is empty: expected id, username or custom_id"},
		{"consumer_by: [email]", `[0]: is "email": expected id, username or custom_id`},
		{"consumer_optional: 1", "is 1: expected true or false"},
		{"trust_email: 'yes'", `is "yes": expected true or false`},
	})
}

// null is none where Kong's default is a header.
func TestNullHeader(t *testing.T) {
	f := read(t, loginFile("upstream_access_token_header: null", "upstream_headers_names: null", "upstream_headers_claims: null"))
	if i := f.Plugins[0].OIDC.Identity; len(i.Tokens)+len(i.Upstream) > 0 {
		t.Errorf("%+v", i)
	}
}
