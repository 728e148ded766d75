package endpoint

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// ClockSkew is how far an issuer's clock may be ahead where no leeway is set.
const ClockSkew = 60

// Rules are what tokens of an issuer are judged by.
type Rules struct {
	Config *declarative.OIDCConfig
	Client *declarative.Client
	// Presented is set for tokens that callers bring: their signatures are always
	// verified, and what they name is not taken for the issuer's word.
	Presented bool
}

// Expectation is what an ID token has to be.
type Expectation struct {
	Clients []string // it is for one of them
	Nonce   string   // "" for a token of no login
	Access  string   // the access token beside it, for at_hash
	MaxAge  int64    // -1 for none
	Now     int64
	Subject string // of an earlier ID token, "" for the first
}

// Judge judges an ID token, asking the issuer for its keys once when it names one that
// is not known.
func (r Rules) Judge(ctx context.Context, p *provider.Provider, raw string, e Expectation) (*jose.Token, reason.Code) {
	tok, code := r.IDToken(raw, p.Current(), e)
	if code != reason.KeyUnknown {
		return tok, code
	}
	parsed, out := jose.Parse(raw)
	if out != reason.Unspecified || parsed.KeyID == "" {
		return nil, code
	}
	lookup := p.LookupOwn
	if r.Presented {
		lookup = p.Lookup // anybody can make up a kid
	}
	switch set, found := lookup(ctx, parsed.KeyID); found {
	case provider.Found:
		return r.IDToken(raw, set, e)
	case provider.Unknown:
		return nil, reason.KeyUnknown
	case provider.Throttled:
		return nil, reason.KeysThrottled
	}
	return nil, reason.IssuerUnavailable
}

// IDToken judges an ID token by OIDC Core §3.1.3.7, and returns it.
func (r Rules) IDToken(raw string, set *provider.Set, e Expectation) (*jose.Token, reason.Code) {
	tok, code := jose.Parse(raw)
	if code != reason.Unspecified {
		return nil, code
	}
	if tok.Type != "" && tok.Type != "jwt" { // a logout token, an access token
		return nil, reason.TokenType
	}
	c := claims.Read(tok.Claims.Root())
	if c.Purpose(true) != reason.Unspecified {
		return nil, reason.TokenType
	}
	leeway := max(r.Config.Leeway, 0)
	for _, check := range []func() reason.Code{
		func() reason.Code { return c.IssuedBy(r.Issuers(set)) },                                      // (2)
		func() reason.Code { return meantFor(&c, e.Clients) },                                         // (3)
		func() reason.Code { return authorizedParty(&c, e.Clients) },                                  // (4), (5)
		func() reason.Code { return r.signature(tok, set) },                                           // (6), (7), (8)
		func() reason.Code { return claims.Times{Leeway: leeway, RequireExp: true}.Check(&c, e.Now) }, // (9)
		func() reason.Code { return IssuedAt(c.Root, e.Now, leeway) },                                 // (10)
		func() reason.Code { return nonce(c.Root, e.Nonce) },                                          // (11)
		func() reason.Code { return authTime(c.Root, e, leeway) },                                     // (13)
		func() reason.Code { return accessTokenHash(tok, e.Access) },                                  // §3.1.3.8
		func() reason.Code { return subject(&c, e.Subject) },                                          // §12.2
		func() reason.Code { return r.Domain(c.Root) },
	} {
		if code := check(); code != reason.Unspecified {
			return nil, code
		}
	}
	return tok, reason.Unspecified
}

// Issuers are the accepted values of iss.
func (r Rules) Issuers(set *provider.Set) []string {
	return append(slices.Clone(set.Issuers), r.Config.IssuersAllowed...)
}

// meantFor judges aud. Who is no client is nobody whom the issuer could mean.
func meantFor(c *claims.Set, clients []string) reason.Code {
	if len(clients) == 0 {
		return reason.AudienceMismatch
	}
	return c.MeantFor(clients)
}

// authorizedParty judges azp. An ID token for several audiences has to say whom it
// was issued to; one for us alone need not (S0-09), and where it does it is us.
func authorizedParty(c *claims.Set, clients []string) reason.Code {
	azp := c.Root.Get("azp")
	if !azp.Exists() || azp.Kind() == jsonx.Null {
		if c.Audience.Kind() == jsonx.Array && c.Audience.Len() > 1 {
			return reason.AuthorizedPartyMismatch
		}
		return reason.Unspecified
	}
	if s, ok := azp.Text(); !ok || !slices.Contains(clients, s) {
		return reason.AuthorizedPartyMismatch
	}
	return reason.Unspecified
}

// signature judges a token's signature. Symmetric algorithms are refused: whoever knows
// the client's secret could make it (RFC 8725 §3.2).
func (r Rules) signature(tok *jose.Token, set *provider.Set) reason.Code {
	if tok.Alg.Family() == jose.HMAC {
		return reason.AlgorithmMismatch
	}
	if r.Presented {
		if list := r.Config.Algorithms; len(list) > 0 && !slices.Contains(list, tok.Alg) {
			return reason.AlgorithmMismatch
		}
		return Verify(tok, set)
	}
	if r.Client.SkipSignature {
		return reason.Unspecified // it came from the token endpoint itself (§3.1.3.7 (6))
	}
	return Verify(tok, set)
}

// Verify checks a token's signature with an issuer's keys.
func Verify(tok *jose.Token, set *provider.Set) reason.Code {
	if tok.Alg == jose.Unsupported {
		return reason.AlgorithmUnsupported
	}
	if code := jose.CheckSignature(tok.Alg, tok.Signature()); code != reason.Unspecified {
		return code
	}
	code := reason.KeyUnknown
	tried := 0
	for _, k := range set.Keys {
		if tok.KeyID != "" && k.ID != "" && k.ID != tok.KeyID || k.Public == nil {
			continue
		}
		if !slices.Contains(k.Alg, tok.Alg) {
			if code == reason.KeyUnknown {
				code = reason.AlgorithmMismatch
			}
			continue
		}
		if tried++; tried > 8 {
			break
		}
		if keys.Verify(tok.Alg, k.Public, tok.SigningInput, tok.Signature()) {
			return reason.Unspecified
		}
		code = reason.SignatureInvalid
	}
	return code
}

// IssuedAt refuses tokens from the future.
func IssuedAt(root jsonx.Value, now, leeway int64) reason.Code {
	v := root.Get("iat")
	if !v.Exists() {
		return reason.ClaimMissing // REQUIRED in §2
	}
	iat, ok := claims.Date(v)
	switch {
	case !ok:
		return reason.ClaimInvalid
	case claims.NotYet(iat, now, max(leeway, ClockSkew)):
		return reason.TokenNotYetValid
	}
	return reason.Unspecified
}

func nonce(root jsonx.Value, want string) reason.Code {
	v := root.Get("nonce")
	got, ok := v.Text()
	switch {
	case want == "" && !v.Exists():
		return reason.Unspecified
	case want == "": // a refreshed one may repeat it (§12.2)
		return reason.Unspecified
	case !ok || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1:
		return reason.NonceMismatch
	}
	return reason.Unspecified
}

func authTime(root jsonx.Value, e Expectation, leeway int64) reason.Code {
	if e.MaxAge < 0 || e.Nonce == "" {
		return reason.Unspecified
	}
	at, ok := claims.Date(root.Get("auth_time"))
	if !ok { // REQUIRED when max_age was asked for (§2)
		return reason.AuthTimeTooOld
	}
	if at+e.MaxAge+max(leeway, ClockSkew) < e.Now {
		return reason.AuthTimeTooOld
	}
	return reason.Unspecified
}

// accessTokenHash judges at_hash where it is there: the left half of the hash of the
// access token, by the hash of the token's own algorithm.
func accessTokenHash(tok *jose.Token, access string) reason.Code {
	v := tok.Claims.Root().Get("at_hash")
	if !v.Exists() || access == "" {
		return reason.Unspecified
	}
	var sum []byte
	switch tok.Alg.Hash() {
	case "sha384":
		h := sha512.Sum384([]byte(access))
		sum = h[:]
	case "sha512":
		h := sha512.Sum512([]byte(access))
		sum = h[:]
	case "sha256":
		h := sha256.Sum256([]byte(access))
		sum = h[:]
	default: // EdDSA: Ed25519 goes with SHA-512
		h := sha512.Sum512([]byte(access))
		sum = h[:]
	}
	got, ok := v.Text()
	want := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return reason.AccessTokenHashMismatch
	}
	return reason.Unspecified
}

func subject(c *claims.Set, want string) reason.Code {
	sub, ok := c.Subject.Text()
	switch {
	case !ok || sub == "":
		return reason.ClaimMissing
	case want != "" && sub != want:
		return reason.SubjectMismatch
	}
	return reason.Unspecified
}

// Domain judges hd, Google's claim for the domain of an organisation.
func (r Rules) Domain(root jsonx.Value) reason.Code {
	domains := r.Client.Domains
	if len(domains) == 0 {
		return reason.Unspecified
	}
	if hd, ok := root.Get("hd").Text(); !ok || !slices.Contains(domains, hd) {
		return reason.DomainMismatch
	}
	return reason.Unspecified
}
