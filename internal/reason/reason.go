package reason

// Code is one outcome. It is an error, comparable and free of allocation.
type Code uint8

// The outcomes. New ones are added within their group; the words, not the
// numbers, are what leaves the process.
const (
	// Unspecified is the zero value and denies with 503.
	Unspecified Code = iota

	// Passes.

	// Allowed: every plugin of the route's chain accepted the request.
	Allowed
	// AllowedAnonymous: no credential was accepted and the chain names an anonymous consumer.
	AllowedAnonymous
	// Unprotected: the route is known and has no authentication plugin.
	Unprotected
	// Preflight: an OPTIONS request on a chain with run_on_preflight: false.
	Preflight

	// Steps of a login, which are answers of ours and neither a pass nor a refusal.

	// LoginStarted: the browser is sent to the identity provider.
	LoginStarted
	// LoginCompleted: the browser has a session and is sent back to where it came from.
	LoginCompleted
	// LoginReturned: a callback that was answered before, by somebody who is logged in.
	LoginReturned
	// LoggedOut: the session has ended on request.
	LoggedOut

	// The caller's credential: where it is.

	// CredentialMissing: no credential was sent.
	CredentialMissing
	// CredentialMultiple: more than one was sent, even if they are equal.
	CredentialMultiple
	// CredentialMalformed: no API key, or no user name and password, can be written so (RFC 7617 §2).
	CredentialMalformed

	// The caller's credential: its form (RFC 7515, RFC 7519, RFC 8725).

	// TokenTooLarge: longer than the bound on tokens.
	TokenTooLarge
	// TokenMalformed: not three dot-separated parts.
	TokenMalformed
	// TokenEncrypted: five parts, a JWE.
	TokenEncrypted
	// TokenEncoding: a part is not canonical base64url.
	TokenEncoding
	// SignatureEncoding: the third part is not canonical base64url, or is empty.
	SignatureEncoding
	// TokenJSON: header or payload is not JSON, or not an object.
	TokenJSON
	// TokenDuplicateKey: an object has a member twice.
	TokenDuplicateKey
	// TokenTooDeep: nested deeper, or with more values, than the bound.
	TokenTooDeep
	// TokenHeader: a header parameter has the wrong type.
	TokenHeader
	// AlgorithmUnsupported: alg is absent, none, or not on our list.
	AlgorithmUnsupported
	// AlgorithmMismatch: alg is not one that the key and the configuration allow.
	AlgorithmMismatch
	// HeaderCritical: the header has crit (RFC 7515 §4.1.11).
	HeaderCritical
	// HeaderUnencoded: the header has b64 (RFC 7797).
	HeaderUnencoded
	// HeaderKey: the token brings or points at its own key (jku, x5u, jwk).
	HeaderKey
	// TokenType: typ says the token was made for another purpose (RFC 8725 §3.11).
	TokenType
	// TokenIsID: an ID token where an access token is expected.
	TokenIsID

	// The caller's credential: whose it is and whether it holds.

	// KeyClaimMissing: the claim that names the credential is absent.
	KeyClaimMissing
	// KeyClaimInvalid: the claim that names the credential is empty or no string.
	KeyClaimInvalid
	// CredentialUnknown: no credential has that key.
	CredentialUnknown
	// CredentialExpired: the API key is past its time.
	CredentialExpired
	// PasswordWrong: the user name is known, and the password is another one.
	PasswordWrong
	// CredentialUnusable: the credential has no usable key material.
	CredentialUnusable
	// KeyUnknown: the issuer has no key with that kid.
	KeyUnknown
	// SignatureMalformed: the signature has the wrong length or a zero component.
	SignatureMalformed
	// SignatureInvalid: the signature does not verify.
	SignatureInvalid
	// TokenInactive: the issuer says that the token is not active (RFC 7662 §2.2).
	TokenInactive
	// CredentialRefused: the issuer does not take the caller's password, secret or refresh token.
	CredentialRefused
	// Unjudgeable: the issuer has no way to judge such a credential.
	Unjudgeable
	// ConsumerUnknown: the credential's consumer is gone.
	ConsumerUnknown

	// The caller's credential: what it says (RFC 7519 §4.1).

	// ClaimMissing: a claim that has to be there is not.
	ClaimMissing
	// ClaimInvalid: a claim has the wrong type or an impossible value.
	ClaimInvalid
	// TokenExpired: exp is in the past.
	TokenExpired
	// TokenNotYetValid: nbf is in the future.
	TokenNotYetValid
	// LifetimeTooLong: exp is further away than maximum_expiration.
	LifetimeTooLong
	// IssuerUnknown: iss is not an accepted issuer.
	IssuerUnknown
	// AudienceMismatch: aud names none of the accepted audiences.
	AudienceMismatch
	// ScopeMissing: the token is good but lacks a required scope.
	ScopeMissing
	// ClaimMissingRequired: the token is good but a claim lacks a required value.
	ClaimMissingRequired
	// ClaimForbidden: the token is good but has a claim that it must not have.
	ClaimForbidden
	// GroupRefused: the caller's groups are not among those that may pass.
	GroupRefused
	// ApplicationUnknown: the caller is known, and no application belongs to it.
	ApplicationUnknown
	// ConsumerRefused: the caller is a consumer, where only applications may pass.
	ConsumerRefused
	// ContractMissing: the application has no contract with the service that is in force.
	ContractMissing
	// ConsumerMissing: the token is good but no consumer belongs to it.
	ConsumerMissing
	// EmailUnverified: the consumer is found by an e-mail address that the issuer does not vouch for.
	EmailUnverified

	// The caller's session.

	// SessionInvalid: the cookies hold no session of this instance.
	SessionInvalid
	// SessionExpired: it was idle, or lasted, too long, or its tokens have ended.
	SessionExpired
	// SessionRevoked: it has been logged out, here or by the identity provider.
	SessionRevoked
	// RefreshRefused: the identity provider gives no new tokens for it.
	RefreshRefused
	// SubjectMismatch: new tokens, or userinfo, are about somebody else.
	SubjectMismatch

	// A login (RFC 6749 §4.1, OIDC Core §3.1, RFC 9207).

	// LoginStateUnknown: a callback without its flow's cookie, twice: the browser keeps no cookies.
	LoginStateUnknown
	// LoginStateInvalid: state and the flow's cookie do not belong together.
	LoginStateInvalid
	// LoginExpired: the login took too long, twice.
	LoginExpired
	// LoginRefused: the identity provider answered with an error.
	LoginRefused
	// LoginIssuerMismatch: the callback's iss is another issuer's, or is missing (RFC 9207 §2.4).
	LoginIssuerMismatch
	// LoginCodeRefused: the identity provider does not take the code.
	LoginCodeRefused
	// LoginRedirectRefused: the request came by a host that the route does not have.
	LoginRedirectRefused
	// IDTokenMissing: the token endpoint gave no ID token.
	IDTokenMissing
	// NonceMismatch: the ID token is not of this flow (OIDC Core §3.1.3.7 step 11).
	NonceMismatch
	// AuthorizedPartyMismatch: the ID token's azp is another client (steps 4 and 5).
	AuthorizedPartyMismatch
	// AccessTokenHashMismatch: at_hash is not the access token's (§3.1.3.8).
	AccessTokenHashMismatch
	// AuthTimeTooOld: the user signed in longer ago than max_age allows (step 13).
	AuthTimeTooOld
	// DomainMismatch: hd is none of the domains that are allowed.
	DomainMismatch
	// LogoutTokenInvalid: what an issuer sent is no logout token (OIDC Back-Channel Logout §2.6).
	LogoutTokenInvalid
	// LogoutTokenReplayed: its jti has been here before.
	LogoutTokenReplayed

	// The request.

	// RouteNotFound: the proxy chose no route.
	RouteNotFound
	// HTTPSRequired: the route takes HTTPS only and the request came without it.
	HTTPSRequired
	// ProtocolMismatch: the route is for gRPC and the request is not.
	ProtocolMismatch
	// RequestMalformed: the request cannot be judged as it stands.
	RequestMalformed

	// Our own trouble. Always 503.

	// RouteUnnamed: the proxy chose a route without a name.
	RouteUnnamed
	// RouteStale: the proxy's route is not in the bundle.
	RouteStale
	// ChainBroken: the route's plugins could not be compiled.
	ChainBroken
	// BundleMissing: no bundle has arrived yet.
	BundleMissing
	// SidecarUnreachable: no answer, or no contact for longer than is allowed.
	SidecarUnreachable
	// SidecarAnswer: an answer that cannot be read or does not fit the question.
	SidecarAnswer
	// SidecarVersion: filter and sidecar have no protocol version in common.
	SidecarVersion
	// SidecarRefused: the sidecar does not know the plugin instance or generation.
	SidecarRefused
	// KeysThrottled: an unknown kid, and the issuer's key set may not be asked again yet.
	KeysThrottled
	// IssuerUnavailable: the issuer's keys are not known, or are too old.
	IssuerUnavailable
	// RegistryUnavailable: who it is would have to be looked up in the registry, which
	// does not answer.
	RegistryUnavailable
	// Overloaded: a bound on outstanding questions is reached.
	Overloaded
	// HostFailure: the proxy refused a call that it has to grant.
	HostFailure
	// SessionTooLarge: the session does not fit into cookies.
	SessionTooLarge
	// LoginMisconfigured: the identity provider refuses our client, or lacks what a login
	// or an inquiry needs.
	LoginMisconfigured
	// Internal: a fault of ours was caught.
	Internal

	count // keep last
)

// Count is the number of codes; codes are 0 … Count-1.
const Count = int(count)

type entry struct {
	word   string
	status uint16 // 0 for a pass
	oauth  string // RFC 6750 §3.1 error, "" for none
	text   string // what a client may see
}

// Sentences, shared where the difference is nobody's business but ours.
const (
	textInvalid     = "The token is not acceptable"
	textLogin       = "The identity provider's answer is not acceptable"
	textConsume     = "You cannot consume this service"
	textUnavailable = "The service cannot check credentials at the moment"
)

const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

var table = [Count]entry{
	Unspecified: {"unspecified", 503, "", textUnavailable},

	Allowed:          {"allowed", 0, "", ""},
	AllowedAnonymous: {"allowed_anonymous", 0, "", ""},
	Unprotected:      {"unprotected", 0, "", ""},
	Preflight:        {"preflight", 0, "", ""},

	LoginStarted:   {"login_started", 302, "", ""},
	LoginCompleted: {"login_completed", 303, "", ""},
	LoginReturned:  {"login_returned", 303, "", ""},
	LoggedOut:      {"logged_out", 302, "", ""},

	CredentialMissing:   {"credential_missing", 401, "", "Unauthorized"},
	CredentialMultiple:  {"credential_multiple", 400, invalidRequest, "More than one credential was sent"},
	CredentialMalformed: {"credential_malformed", 401, "", "Unauthorized"},

	TokenTooLarge:        {"token_too_large", 401, invalidToken, textInvalid},
	TokenMalformed:       {"token_malformed", 401, invalidToken, textInvalid},
	TokenEncrypted:       {"token_encrypted", 401, invalidToken, textInvalid},
	TokenEncoding:        {"token_encoding", 401, invalidToken, textInvalid},
	SignatureEncoding:    {"signature_encoding", 401, invalidToken, textInvalid},
	TokenJSON:            {"token_json", 401, invalidToken, textInvalid},
	TokenDuplicateKey:    {"token_duplicate_key", 401, invalidToken, textInvalid},
	TokenTooDeep:         {"token_too_deep", 401, invalidToken, textInvalid},
	TokenHeader:          {"token_header", 401, invalidToken, textInvalid},
	AlgorithmUnsupported: {"algorithm_unsupported", 401, invalidToken, textInvalid},
	AlgorithmMismatch:    {"algorithm_mismatch", 401, invalidToken, textInvalid},
	HeaderCritical:       {"header_critical", 401, invalidToken, textInvalid},
	HeaderUnencoded:      {"header_unencoded", 401, invalidToken, textInvalid},
	HeaderKey:            {"header_key", 401, invalidToken, textInvalid},
	TokenType:            {"token_type", 401, invalidToken, textInvalid},
	TokenIsID:            {"token_is_id", 401, invalidToken, textInvalid},

	KeyClaimMissing:    {"key_claim_missing", 401, invalidToken, textInvalid},
	KeyClaimInvalid:    {"key_claim_invalid", 401, invalidToken, textInvalid},
	CredentialUnknown:  {"credential_unknown", 401, invalidToken, textInvalid},
	CredentialExpired:  {"credential_expired", 401, "", "Unauthorized"},
	PasswordWrong:      {"password_wrong", 401, "", "Unauthorized"},
	CredentialUnusable: {"credential_unusable", 401, invalidToken, textInvalid},
	KeyUnknown:         {"key_unknown", 401, invalidToken, textInvalid},
	SignatureMalformed: {"signature_malformed", 401, invalidToken, textInvalid},
	SignatureInvalid:   {"signature_invalid", 401, invalidToken, textInvalid},
	TokenInactive:      {"token_inactive", 401, invalidToken, "The token is not active"},
	CredentialRefused:  {"credential_refused", 401, "", "Unauthorized"},
	Unjudgeable:        {"unjudgeable", 401, invalidToken, textInvalid},
	ConsumerUnknown:    {"consumer_unknown", 401, "", textInvalid},

	ClaimMissing:         {"claim_missing", 401, invalidToken, textInvalid},
	ClaimInvalid:         {"claim_invalid", 401, invalidToken, textInvalid},
	TokenExpired:         {"token_expired", 401, invalidToken, "The token has expired"},
	TokenNotYetValid:     {"token_not_yet_valid", 401, invalidToken, "The token is not valid yet"},
	LifetimeTooLong:      {"lifetime_too_long", 401, invalidToken, textInvalid},
	IssuerUnknown:        {"issuer_unknown", 401, invalidToken, textInvalid},
	AudienceMismatch:     {"audience_mismatch", 401, invalidToken, textInvalid},
	ScopeMissing:         {"scope_missing", 403, insufficientScope, "Forbidden"},
	ClaimMissingRequired: {"claim_missing_required", 403, insufficientScope, "Forbidden"},
	ClaimForbidden:       {"claim_forbidden", 403, insufficientScope, "Forbidden"},
	GroupRefused:         {"group_refused", 403, "", textConsume},

	ApplicationUnknown: {"application_unknown", 403, "", textConsume},
	ConsumerRefused:    {"consumer_refused", 403, "", textConsume},
	ContractMissing:    {"contract_missing", 403, "", textConsume},

	ConsumerMissing: {"consumer_missing", 403, insufficientScope, "Forbidden"},
	EmailUnverified: {"email_unverified", 403, insufficientScope, "Forbidden"},

	SessionInvalid:  {"session_invalid", 401, "", "Unauthorized"},
	SessionExpired:  {"session_expired", 401, "", "The session has ended"},
	SessionRevoked:  {"session_revoked", 401, "", "The session has ended"},
	RefreshRefused:  {"refresh_refused", 401, "", "The session has ended"},
	SubjectMismatch: {"subject_mismatch", 401, "", textLogin},

	LoginStateUnknown:       {"login_state_unknown", 401, "", "The browser did not send back the cookie of this login"},
	LoginStateInvalid:       {"login_state_invalid", 401, "", "This login was not begun in this browser"},
	LoginExpired:            {"login_expired", 401, "", "The login took too long"},
	LoginRefused:            {"login_refused", 401, "", "The identity provider did not complete the login"},
	LoginIssuerMismatch:     {"login_issuer_mismatch", 401, "", textLogin},
	LoginCodeRefused:        {"login_code_refused", 401, "", "The identity provider did not accept the login's code"},
	LoginRedirectRefused:    {"login_redirect_refused", 400, "", "There is no login by this host name"},
	IDTokenMissing:          {"id_token_missing", 401, "", textLogin},
	NonceMismatch:           {"nonce_mismatch", 401, "", textLogin},
	AuthorizedPartyMismatch: {"authorized_party_mismatch", 401, "", textLogin},
	AccessTokenHashMismatch: {"access_token_hash_mismatch", 401, "", textLogin},
	AuthTimeTooOld:          {"auth_time_too_old", 401, "", "The sign-in is too long ago"},
	DomainMismatch:          {"domain_mismatch", 403, insufficientScope, "Forbidden"},
	LogoutTokenInvalid:      {"logout_token_invalid", 400, "", "The logout token is not acceptable"},
	LogoutTokenReplayed:     {"logout_token_replayed", 400, "", "The logout token was used before"},

	RouteNotFound:    {"route_not_found", 404, "", "no Route matched with those values"},
	HTTPSRequired:    {"https_required", 426, "", "Please use HTTPS protocol"},
	ProtocolMismatch: {"protocol_mismatch", 415, "", "Non-gRPC request matched gRPC route"},
	RequestMalformed: {"request_malformed", 400, "", "The request cannot be read"},

	RouteUnnamed:        {"route_unnamed", 503, "", textUnavailable},
	RouteStale:          {"route_stale", 503, "", textUnavailable},
	ChainBroken:         {"chain_broken", 503, "", textUnavailable},
	BundleMissing:       {"bundle_missing", 503, "", textUnavailable},
	SidecarUnreachable:  {"sidecar_unreachable", 503, "", textUnavailable},
	SidecarAnswer:       {"sidecar_answer", 503, "", textUnavailable},
	SidecarVersion:      {"sidecar_version", 503, "", textUnavailable},
	SidecarRefused:      {"sidecar_refused", 503, "", textUnavailable},
	KeysThrottled:       {"keys_throttled", 503, "", textUnavailable},
	IssuerUnavailable:   {"issuer_unavailable", 503, "", textUnavailable},
	RegistryUnavailable: {"registry_unavailable", 503, "", textUnavailable},
	Overloaded:          {"overloaded", 503, "", textUnavailable},
	HostFailure:         {"host_failure", 503, "", textUnavailable},
	SessionTooLarge:     {"session_too_large", 503, "", "The session is too large for the browser's cookies"},
	LoginMisconfigured:  {"login_misconfigured", 503, "", "Signing in to this service is not set up correctly"},
	Internal:            {"internal", 503, "", textUnavailable},
}

func (c Code) entry() *entry {
	if c >= count {
		c = Unspecified
	}
	return &table[c]
}

// Error returns the word: lower case, underscores, stable.
func (c Code) Error() string { return c.entry().word }

// String returns the same word.
func (c Code) String() string { return c.entry().word }

// Status returns the HTTP status that the outcome calls for where no plugin's
// own rules say otherwise; 0 for a pass.
func (c Code) Status() int { return int(c.entry().status) }

// Passes reports whether the request goes on to the upstream.
func (c Code) Passes() bool { return c.entry().status == 0 }

// Ours reports whether we, and not the caller, are at fault. Such an outcome is
// never turned into anonymous access.
func (c Code) Ours() bool { return c.entry().status == 503 }

// Step reports whether the outcome is a step of a login: an answer of ours that is
// neither a pass nor a refusal.
func (c Code) Step() bool { return c >= LoginStarted && c <= LoggedOut }

// OAuth returns the error code of RFC 6750 §3.1, or "" when the answer carries none.
func (c Code) OAuth() string { return c.entry().oauth }

// Text returns the sentence that a client may see.
func (c Code) Text() string { return c.entry().text }

// Parse returns the code with the given word; ok is false for an unknown one.
func Parse(word string) (code Code, ok bool) {
	for c := range table {
		if table[c].word == word {
			return Code(c), true
		}
	}
	return Unspecified, false
}
