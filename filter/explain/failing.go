package explain

import (
	"slices"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// failing returns the name of the check that the plugin refuses for.
func (v *verdict) failing() string {
	if v.plugin.KeyAuth != nil || v.plugin.BasicAuth != nil {
		return v.failingSecret()
	}
	if x := v.last(wire.Inquire); x != nil && (x.answer.Code == v.cause || x.failure == v.cause) {
		return checkInquiry
	}
	switch code := v.cause; code {
	case reason.CredentialMissing, reason.CredentialMultiple, reason.CredentialMalformed:
		return checkCredential
	case reason.SessionInvalid, reason.SessionExpired, reason.SessionRevoked, reason.RefreshRefused, reason.SubjectMismatch:
		return checkCredential // the session is none, and there is no bearer token
	case reason.TokenInactive, reason.CredentialRefused, reason.Unjudgeable:
		return checkInquiry
	case reason.ClaimForbidden:
		return checkForbidden
	case reason.TokenType, reason.TokenIsID:
		return checkPurpose
	case reason.KeyClaimMissing, reason.KeyClaimInvalid:
		return checkKeyClaim
	case reason.CredentialUnknown:
		return checkKnown
	case reason.AlgorithmMismatch:
		if v.algorithmFails() {
			return checkAlgorithm
		}
		return checkSignature // the key with its kid is for another one
	case reason.IssuerUnknown:
		return checkIssuer
	case reason.TokenExpired, reason.TokenNotYetValid, reason.LifetimeTooLong:
		return checkTimes
	case reason.AudienceMismatch:
		return checkAudience
	case reason.ClaimMissing, reason.ClaimInvalid:
		return v.failingClaim(code)
	case reason.ScopeMissing, reason.ClaimMissingRequired:
		return checkRights
	case reason.ConsumerUnknown, reason.ConsumerMissing, reason.EmailUnverified:
		return checkConsumer
	case v.form:
		return checkForm
	}
	if len(v.asked) == 0 {
		if v.cause == reason.IssuerUnavailable {
			return checkKeys
		}
		return checkSignature
	}
	switch v.asked[len(v.asked)-1].question.Kind {
	case wire.Lookup:
		if v.credential() == nil {
			return checkKnown
		}
	case wire.Consumer:
		return checkConsumer
	case wire.Inquire:
		return checkInquiry
	case wire.Open:
		return checkSession
	}
	return checkSignature
}

// algorithmFails reports whether the token's alg is refused before any key is looked at.
func (v *verdict) algorithmFails() bool {
	if v.token == nil {
		return false
	}
	alg := v.token.Alg
	if c := v.plugin.OIDC; c != nil {
		return alg.Family() == jose.HMAC || len(c.Algorithms) > 0 && !slices.Contains(c.Algorithms, alg)
	}
	cred, c := v.credential(), v.plugin.JWT
	return cred == nil || !slices.Contains(cred.Alg, alg) || len(c.Algorithms) > 0 && !slices.Contains(c.Algorithms, alg)
}

// failingClaim returns the check of a claim that is missing or cannot be read, which
// several may be.
func (v *verdict) failingClaim(code reason.Code) string {
	set := &v.claims
	if c := v.plugin.OIDC; c != nil {
		times := claims.Times{Leeway: c.Leeway, RequireExp: true}
		switch code {
		case set.IssuedBy(nil):
			return checkIssuer
		case times.Check(set, v.driver.request.Now):
			return checkTimes
		}
		return checkAudience
	}
	c := v.plugin.JWT
	_, exp := set.ExpiresAt()
	_, nbf := set.ValidFrom()
	switch {
	case c.VerifyExp && !exp, c.VerifyNbf && !nbf:
		return checkTimes
	case set.IssuedBy(nil) == code && (len(c.Issuers) > 0 || v.credential() != nil && len(v.credential().Issuers) > 0):
		return checkIssuer
	}
	return checkAudience
}
