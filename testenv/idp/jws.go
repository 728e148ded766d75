package idp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// jws is a JWT in parts, not yet verified.
type jws struct {
	header    struct{ Alg, Kid, Typ string }
	claims    map[string]any
	input     string
	signature []byte
}

func parseJWS(token string) (*jws, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three parts")
	}
	t := &jws{input: parts[0] + "." + parts[1]}
	if err := decodePart(parts[0], &t.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := decodePart(parts[1], &t.claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	var err error
	t.signature, err = base64.RawURLEncoding.Strict().DecodeString(parts[2])
	return t, err
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// subject returns sub of a JWT that nobody has verified.
func subject(token string) string {
	t, err := parseJWS(token)
	if err != nil {
		return ""
	}
	return t.text("sub")
}

func (t *jws) text(claim string) string {
	s, _ := t.claims[claim].(string)
	return s
}

// seconds returns a NumericDate.
func (t *jws) seconds(claim string) (int64, bool) {
	n, ok := t.claims[claim].(json.Number)
	if !ok {
		return 0, false
	}
	v, err := n.Float64()
	return int64(v), err == nil
}

// audience returns aud, which may be one or a list (RFC 7519 §4.1.3).
func (t *jws) audience() []string {
	switch aud := t.claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var all []string
		for _, v := range aud {
			s, _ := v.(string)
			all = append(all, s)
		}
		return all
	}
	return nil
}

// hashes are those of the last three digits of an algorithm's name.
var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// hashOf returns the hash of an algorithm: the one of at_hash too, for which
// EdDSA with Ed25519 has SHA-512.
func hashOf(alg string) crypto.Hash {
	if alg == "EdDSA" || alg == "Ed25519" {
		return crypto.SHA512
	}
	return hashes[alg[max(0, len(alg)-3):]]
}

func digest(h crypto.Hash, text string) []byte {
	d := h.New()
	d.Write([]byte(text))
	return d.Sum(nil)
}

// verify checks a signature with a public key that is of the algorithm's kind.
func (t *jws) verify(key crypto.PublicKey) bool {
	alg := t.header.Alg
	h := hashOf(alg)
	if h == 0 {
		return false
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		sum := digest(h, t.input)
		switch alg[:2] {
		case "RS":
			return rsa.VerifyPKCS1v15(k, h, sum, t.signature) == nil
		case "PS":
			return rsa.VerifyPSS(k, h, sum, t.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case *ecdsa.PublicKey:
		curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
		half := (k.Params().BitSize + 7) / 8
		if curve != k.Params().Name || len(t.signature) != 2*half {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:half]), new(big.Int).SetBytes(t.signature[half:])
		return ecdsa.Verify(k, digest(h, t.input), r, s)
	case ed25519.PublicKey:
		return (alg == "EdDSA" || alg == "Ed25519") && ed25519.Verify(k, []byte(t.input), t.signature)
	}
	return false
}

// jwk is a public key of RFC 7517.
type jwk struct {
	Kty, Kid, Use, Alg, Crv, N, E, X, Y string
}

func (k jwk) public() (crypto.PublicKey, error) {
	var parts [4][]byte
	for i, text := range []string{k.N, k.E, k.X, k.Y} {
		part, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	n, e, x, y := parts[0], parts[1], parts[2], parts[3]
	switch k.Kty {
	case "RSA":
		exponent := new(big.Int).SetBytes(e)
		if !exponent.IsInt64() || exponent.Int64() > 1<<31-1 || len(n) == 0 {
			return nil, errors.New("no RSA key")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if curve == nil {
			return nil, errors.New("no curve " + k.Crv)
		}
		return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	case "OKP":
		if k.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("no Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errors.New("no key of kty " + k.Kty)
}
