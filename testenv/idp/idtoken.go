package idp

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// draft is an ID token that is not signed yet.
type draft struct {
	header, claims map[string]any
	alg            string
	key            any
	first          string // a member that goes before the claims: the duplicate
	finish         func(token string) string
}

// mintID issues an ID token (OIDC Core §2), with the faults that are set. The
// lock is held.
func (s *Server) mintID(c Client, g *grant, access string, refreshed bool) string {
	u := s.users[g.user]
	k := s.signer("")
	now := s.options.Now()
	d := &draft{
		header: map[string]any{"alg": k.alg, "typ": "JWT", "kid": k.kid},
		claims: map[string]any{
			"iss": s.tokenIssuer(), "sub": u.Subject, "aud": c.ID, "iat": now.Unix(), "exp": now.Add(s.options.IDLifetime).Unix(),
			"auth_time": g.authTime.Unix(), "at_hash": atHash(k.alg, access),
		},
		alg: k.alg, key: k.key,
	}
	if g.nonce != "" && (!refreshed || s.options.RefreshNonce) {
		d.claims["nonce"] = g.nonce
	}
	if g.sid != "" {
		d.claims["sid"] = g.sid
	}
	if s.options.IDTokenAzp {
		d.claims["azp"] = c.ID
	}
	s.shapeID(d.claims, u)
	merge(d.claims, u.Claims)
	for _, spoil := range spoils {
		if s.faulty(spoil.fault, refreshed) {
			spoil.how(s, d, c)
		}
	}
	return d.sign()
}

// atHash is the left half of a hash of the access token (OIDC Core §3.1.3.6).
func atHash(alg, access string) string {
	sum := digest(hashOf(alg), access)
	return encode(sum[:len(sum)/2])
}

func (d *draft) sign() string {
	claims, err := json.Marshal(d.claims)
	if err != nil {
		panic(err)
	}
	if d.first != "" {
		claims = []byte("{" + d.first + "," + string(claims[1:]))
	}
	token := encodeJSON(d.header) + "." + encode(claims)
	if d.alg == "none" {
		token += "."
	} else {
		token += "." + encode(tokens.SignBytes(d.alg, d.key, token))
	}
	if d.finish != nil {
		token = d.finish(token)
	}
	return token
}

const hour = int64(time.Hour / time.Second)

// spoils are the faults of ID tokens and how they come about.
var spoils = []struct {
	fault Fault
	how   func(*Server, *draft, Client)
}{
	{NonceWrong, claim("nonce", "nobody's-nonce")},
	{NonceMissing, claim("nonce", nil)},
	{NonceArray, func(_ *Server, d *draft, _ Client) { d.claims["nonce"] = []any{d.claims["nonce"], d.claims["nonce"]} }},
	{IDWrongIss, claim("iss", "https://evil.example")},
	{IDWrongAud, claim("aud", "stranger")},
	{IDAudNoAzp, func(_ *Server, d *draft, c Client) {
		merge(d.claims, map[string]any{"aud": []string{c.ID, "stranger"}, "azp": nil})
	}},
	{IDAudWrongAzp, func(_ *Server, d *draft, c Client) {
		merge(d.claims, map[string]any{"aud": []string{c.ID, "stranger"}, "azp": "stranger"})
	}},
	{IDWrongAzp, claim("azp", "stranger")},
	{IDWrongAtHash, func(s *Server, d *draft, _ Client) { d.claims["at_hash"] = atHash(d.alg, "another access token") }},
	{IDNoSub, claim("sub", nil)},
	{IDOtherSubject, claim("sub", "somebody-else")},
	{IDDuplicate, func(_ *Server, d *draft, _ Client) { d.first = `"sub":"somebody-else"` }},
	{IDExpired, func(s *Server, d *draft, _ Client) {
		now := s.options.Now().Unix()
		merge(d.claims, map[string]any{"iat": now - 2*hour, "exp": now - hour})
	}},
	{IDFutureIat, func(s *Server, d *draft, _ Client) {
		now := s.options.Now().Unix()
		merge(d.claims, map[string]any{"iat": now + hour, "exp": now + 2*hour})
	}},
	{IDFutureNbf, func(s *Server, d *draft, _ Client) {
		now := s.options.Now().Unix()
		merge(d.claims, map[string]any{"nbf": now + hour, "exp": now + 2*hour})
	}},
	{IDAlgNone, func(_ *Server, d *draft, _ Client) {
		d.alg = "none"
		d.header = map[string]any{"alg": "none", "typ": "JWT"}
	}},
	{IDHS256, func(_ *Server, d *draft, c Client) {
		d.alg, d.key, d.header["alg"] = "HS256", []byte(c.Secret), "HS256"
	}},
	{IDHS256Key, func(s *Server, d *draft, _ Client) {
		spki, err := x509.MarshalPKIXPublicKey(s.signer("").key.Public())
		if err != nil {
			panic(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
		d.alg, d.key, d.header["alg"] = "HS256", text, "HS256"
	}},
	{IDTampered, func(_ *Server, d *draft, _ Client) { d.finish = tokens.Tamper }},
	{IDOtherKey, func(_ *Server, d *draft, _ Client) { d.resign("") }},
	{IDUnknownKid, func(_ *Server, d *draft, _ Client) { d.resign("unknown-" + tokens.Random()) }},
	{IDKidLate, func(s *Server, d *draft, _ Client) {
		s.late++
		kid := fmt.Sprintf("late-%d", s.late)
		d.resign(kid)
		s.keys = append(s.keys, tokens.JWK("rsa4096", kid, map[string]any{"alg": "RS256"}))
	}},
	{IDNotJWT, func(_ *Server, d *draft, _ Client) { d.finish = func(string) string { return "not.a.jwt" } }},
}

// claim is the fault that one claim has another value; nil is none.
func claim(name string, v any) func(*Server, *draft, Client) {
	return func(_ *Server, d *draft, _ Client) { merge(d.claims, map[string]any{name: v}) }
}

// resign has another RSA key sign, under a kid, or under the one that is there.
func (d *draft) resign(kid string) {
	d.alg, d.key, d.header["alg"] = "RS256", tokens.Private("rsa4096"), "RS256"
	if kid != "" {
		d.header["kid"] = kid
	}
}
