// Package keys turns PEM and JWK (RFC 7517) into public keys that may be used,
// and checks signatures with them. It is where cryptography happens on our side
// of the boundary: the declarative file's checks and the sidecar use it, the
// filter never does.
//
// A key is pinned to its algorithms by its type, its curve and its own alg, so
// that the token's alg never chooses (RFC 8725 §3.1).
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
)

// Bounds on RSA moduli, in bits. Below the lower one a key can be factored with
// effort (NIST SP 800-131A); above the upper one a verification is a lever for
// denial of service.
const (
	MinRSA = 2048
	MaxRSA = 8192
)

// Errors that a caller may want to tell apart.
var (
	ErrEd448 = errors.New("Ed448 keys are not supported: neither Envoy nor Go's standard library can verify them; use Ed25519")
	ErrPEM   = errors.New("not a public key in PEM: expected -----BEGIN PUBLIC KEY----- or -----BEGIN RSA PUBLIC KEY-----")

	errBroken = errors.New("what stands between the lines of the PEM is no public key: expected it whole, as openssl pkey -pubout writes it")
)

// ParsePEM reads one public key: a SubjectPublicKeyInfo, or PKCS #1 for RSA.
// The key is Checked.
func ParsePEM(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, ErrPEM
	}
	var pub crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		pub, err = parsePKIX(block.Bytes)
	case "RSA PUBLIC KEY":
		pub, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return nil, errors.New("this is a private key: it belongs to whoever signs; put the public key here")
	default:
		return nil, ErrPEM
	}
	var structure asn1.StructuralError
	var syntax asn1.SyntaxError
	if errors.As(err, &structure) || errors.As(err, &syntax) {
		return nil, errBroken
	}
	if err != nil {
		return nil, err
	}
	return pub, Check(pub)
}

func parsePKIX(der []byte) (crypto.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		var spki struct {
			Algorithm struct{ Algorithm asn1.ObjectIdentifier }
			Key       asn1.BitString
		}
		if _, e := asn1.Unmarshal(der, &spki); e == nil && spki.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 3, 101, 113}) {
			return nil, ErrEd448
		}
	}
	return pub, err
}

// Check refuses keys that must not be used: RSA outside MinRSA … MaxRSA or with
// an exponent that is even, one or beyond 32 bits; curves other than P-256,
// P-384 and P-521; anything that is no signature key.
func Check(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < MinRSA || n > MaxRSA {
			return fmt.Errorf("RSA key of %d bits: expected %d to %d", n, MinRSA, MaxRSA)
		}
		if k.E < 3 || k.E%2 == 0 || int64(k.E) > 1<<32 {
			return fmt.Errorf("RSA key with public exponent %d: expected an odd number from 3", k.E)
		}
	case *ecdsa.PublicKey:
		if len(Algs(pub)) == 0 {
			return fmt.Errorf("curve %s: expected P-256, P-384 or P-521", k.Curve.Params().Name)
		}
		if _, err := k.ECDH(); err != nil {
			return errors.New("the point is not on its curve")
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return errors.New("Ed25519 key of the wrong length")
		}
	default:
		return fmt.Errorf("%T is not a key for signatures: expected RSA, EC or Ed25519", pub)
	}
	return nil
}

// Algs returns the algorithms that a key's type and curve allow.
func Algs(pub crypto.PublicKey) []jose.Alg {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return []jose.Alg{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []jose.Alg{jose.ES256}
		case elliptic.P384():
			return []jose.Alg{jose.ES384}
		case elliptic.P521():
			return []jose.Alg{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.Alg{jose.EdDSA}
	}
	return nil
}

// Key is a public key with what it may be used for.
type Key struct {
	ID       string // kid, "" for none
	Public   crypto.PublicKey
	Alg      []jose.Alg
	Unusable string // why it may not be used; Public is then nil
}

// SPKI returns the key as a DER SubjectPublicKeyInfo, nil for an unusable one.
func (k Key) SPKI() []byte {
	if k.Public == nil {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return nil
	}
	return der
}

// Bundle returns the key as a filter gets it. Only what verify_signature can
// use is given as DER.
func (k Key) Bundle() bundle.Key {
	out := bundle.Key{ID: k.ID, Alg: k.Alg, Unusable: k.Unusable}
	switch k.Public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		out.DER = string(k.SPKI())
	}
	return out
}

// Verify reports whether signature holds for input. key is a public key for
// asymmetric algorithms and the []byte secret for HMAC, which is compared in
// constant time.
func Verify(alg jose.Alg, key any, input, signature string) bool {
	if _, isSecret := key.([]byte); isSecret != (alg.Family() == jose.HMAC) {
		return false
	}
	method := jwt.GetSigningMethod(alg.String())
	return method != nil && method.Verify(input, []byte(signature), key) == nil
}
