package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// jwt is the jwt plugin. The order of the checks is Kong's, because it decides
// which of several faults a client is told of: token, key claim, credential,
// algorithm, signature, exp and nbf, maximum lifetime, consumer
// (kong/plugins/jwt/handler.lua, do_authentication).
func (r *run) jwt(p *bundle.Plugin) (reason.Code, *Question) {
	c := p.JWT
	if code := r.token(&c.Common); code != reason.Unspecified {
		return code, nil
	}
	tok, set := r.try.known.token, &r.try.known.claims
	if tok.OtherPurpose() {
		return reason.TokenType, nil
	}
	if code := set.Purpose(c.AcceptIDTokens); code != reason.Unspecified {
		return code, nil
	}
	key, code := keyClaim(tok, c.KeyClaim)
	if code != reason.Unspecified {
		return code, nil
	}
	cred, code, question := r.credential(p, key)
	if cred == nil {
		return code, question
	}
	if !allows(cred.Alg, tok.Alg) || len(c.Algorithms) > 0 && !allows(c.Algorithms, tok.Alg) {
		return reason.AlgorithmMismatch, nil
	}
	keys := keySet{name: key, credential: true, id: cred.Version, keys: cred.Keys, remote: cred.Remote}
	if code, question := r.prove(p, &keys); code != reason.Allowed {
		return code, question
	}
	if code := r.judgeClaims(c, cred, set); code != reason.Unspecified {
		return code, nil
	}
	if cred.Consumer == nil {
		return reason.ConsumerUnknown, nil
	}
	r.try.consumer, r.try.identifier = cred.Consumer, cred.Key
	return reason.Allowed, nil
}

func allows(list []jose.Alg, alg jose.Alg) bool {
	for _, a := range list {
		if a == alg {
			return true
		}
	}
	return false
}

// keyClaim returns the claim that names the credential: of the payload, else of
// the header.
func keyClaim(tok *jose.Token, name string) (string, reason.Code) {
	v := tok.Claims.Root().Get(name)
	if !present(v) {
		v = tok.Header.Doc.Root().Get(name)
	}
	if !present(v) {
		return "", reason.KeyClaimMissing
	}
	key, ok := v.Text()
	if !ok || key == "" {
		return "", reason.KeyClaimInvalid
	}
	return key, reason.Unspecified
}

// present reports whether a claim is there and not null, which Lua reads as absent.
func present(v jsonx.Value) bool { return v.Exists() && v.Kind() != jsonx.Null }

// credential returns the credential with the given key: remembered, from the
// answer to this request's own question, or not yet.
func (r *run) credential(p *bundle.Plugin, key string) (*bundle.Credential, reason.Code, *Question) {
	e := r.engine
	if r.now-e.contact > e.config.CredentialGrace {
		return nil, reason.SidecarUnreachable, nil
	}
	if c := r.try.credential; c != nil && c.Key == key {
		return c, reason.Unspecified, nil
	}
	if hit := e.credentials.get(credentialKey(p, key), r.now); hit != nil {
		r.try.credential = hit.value
		return hit.value, reason.Unspecified, nil
	}
	if e.unknown.get(key, r.now) != nil {
		return nil, reason.CredentialUnknown, nil
	}
	if r.try.asked&(1<<wire.Lookup) != 0 {
		if r.try.failed == reason.Unspecified {
			return nil, reason.SidecarAnswer, nil // neither found nor not found
		}
		return nil, r.try.failed, nil
	}
	tok := r.try.known.token
	q := &Question{Question: wire.Question{
		Kind: wire.Lookup, Instance: p.ID, Generation: r.bundle.Generation, Key: key,
		KeyID: tok.KeyID, Alg: tok.Alg,
	}}
	if !tok.Alg.Native() {
		q.Input, q.Signature = tok.SigningInput, tok.Signature()
	}
	q.Identity = identify(q)
	return nil, reason.Unspecified, q
}

// credentialKey is what a credential is remembered under: its key, and how the
// plugin reads its secret.
func credentialKey(p *bundle.Plugin, key string) string {
	if p != nil && p.JWT != nil && p.JWT.Base64 {
		return base64Mark + key
	}
	return key
}

// base64Mark cannot begin a key: check refuses control characters.
const base64Mark = "\x00"

// claimErrors is the body of a refusal for claims: Kong names each with its fault.
type claimErrors struct{ exp, nbf string }

// judgeClaims checks what the plugin and the credential ask of the claims.
func (r *run) judgeClaims(c *bundle.JWT, cred *bundle.Credential, set *claims.Set) reason.Code {
	leeway := c.Leeway
	if cred.Leeway != 0 {
		leeway = cred.Leeway
	}
	code := reason.Unspecified
	fail := func(where *string, text string, why reason.Code) {
		*where = text
		if code == reason.Unspecified {
			code = why
		}
	}
	exp := set.Expires
	seconds, ok := set.ExpiresAt()
	if c.VerifyExp {
		switch {
		case exp.Kind() != jsonx.Number:
			fail(&r.try.claims.exp, "must be a number", reason.ClaimInvalid)
		case !ok:
			fail(&r.try.claims.exp, "must be an integer", reason.ClaimInvalid)
		case claims.Expired(seconds, r.now, leeway):
			fail(&r.try.claims.exp, "token expired", reason.TokenExpired)
		}
	}
	if c.VerifyNbf {
		nbf := set.NotBefore
		start, ok := set.ValidFrom()
		switch {
		case nbf.Kind() != jsonx.Number:
			fail(&r.try.claims.nbf, "must be a number", reason.ClaimInvalid)
		case !ok:
			fail(&r.try.claims.nbf, "must be an integer", reason.ClaimInvalid)
		case claims.NotYet(start, r.now, leeway):
			fail(&r.try.claims.nbf, "token not valid yet", reason.TokenNotYetValid)
		}
	}
	if code != reason.Unspecified {
		return code
	}
	if c.MaximumExpiration > 0 && (!ok || seconds-r.now > c.MaximumExpiration+leeway) {
		r.try.claims.exp = "exceeds maximum allowed expiration"
		return reason.LifetimeTooLong
	}
	for _, issuers := range [...][]string{c.Issuers, cred.Issuers} {
		if len(issuers) > 0 {
			if code := set.IssuedBy(issuers); code != reason.Unspecified {
				return code
			}
		}
	}
	for _, audiences := range [...][]string{c.Audiences, cred.Audiences} {
		if code := set.MeantFor(audiences); code != reason.Unspecified {
			return code
		}
	}
	return reason.Unspecified
}

// kongMessage returns the message of Kong's jwt plugin for an outcome.
func kongMessage(code reason.Code, keyClaim, key string) string {
	switch code {
	case reason.CredentialMissing:
		return "Unauthorized"
	case reason.CredentialMultiple:
		return "Multiple tokens provided"
	case reason.AlgorithmUnsupported:
		return "Bad token; invalid alg"
	case reason.SignatureEncoding:
		return "Bad token; invalid signature"
	case reason.TokenTooLarge, reason.TokenMalformed, reason.TokenEncrypted, reason.TokenEncoding,
		reason.TokenJSON, reason.TokenDuplicateKey, reason.TokenTooDeep:
		return "Bad token; invalid JSON"
	case reason.HeaderCritical, reason.HeaderUnencoded, reason.HeaderKey, reason.TokenHeader:
		return "Bad token; invalid header" // Kong has no such checks
	case reason.TokenType, reason.TokenIsID:
		return "Bad token; not an access token"
	case reason.KeyClaimMissing:
		return "No mandatory '" + keyClaim + "' in claims"
	case reason.KeyClaimInvalid:
		return "Invalid '" + keyClaim + "' in claims"
	case reason.CredentialUnknown:
		return "No credentials found for given '" + keyClaim + "'"
	case reason.AlgorithmMismatch:
		return "Invalid algorithm"
	case reason.CredentialUnusable:
		return "Invalid key/secret"
	case reason.SignatureMalformed, reason.SignatureInvalid:
		return "Invalid signature"
	case reason.KeyUnknown:
		return "No key found for given 'kid'"
	case reason.ConsumerUnknown:
		return "Could not find consumer for '" + keyClaim + "=" + strings.ToValidUTF8(key, "?") + "'"
	case reason.IssuerUnknown:
		return "Invalid issuer"
	case reason.AudienceMismatch:
		return "Invalid audience"
	}
	return code.Text()
}
