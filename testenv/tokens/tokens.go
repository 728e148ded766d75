// Package tokens makes JWTs for tests: right ones, and ones that are wrong in a
// way of the test's choosing. Its keys are published and guard nothing.
package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

//go:embed testdata
var files embed.FS

// Private returns a private key by its file name without .pem.
func Private(name string) crypto.Signer {
	key, err := x509.ParsePKCS8PrivateKey(der(name))
	if err != nil {
		panic(fmt.Sprintf("tokens: %s: %v", name, err))
	}
	return key.(crypto.Signer)
}

func der(name string) []byte {
	data, err := files.ReadFile("testdata/" + name + ".pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(data)
	return block.Bytes
}

// PublicPEM returns a public key as a SubjectPublicKeyInfo in PEM.
func PublicPEM(name string) string {
	spki, err := x509.MarshalPKIXPublicKey(Private(name).Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
}

// HugeRSA returns a public key of 16384 bits in PEM. Nobody has the private one.
var HugeRSA = sync.OnceValue(func() string {
	n := new(big.Int).Lsh(big.NewInt(3), 16382)
	n.Add(n, big.NewInt(12345))
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
})

// JWK returns a public key as a JWK with the given members added.
func JWK(name, kid string, more map[string]any) map[string]any {
	return PublicJWK(Private(name).Public(), kid, more)
}

// PublicJWK is JWK for a key that is at hand.
func PublicJWK(pub crypto.PublicKey, kid string, more map[string]any) map[string]any {
	out := map[string]any{"kid": kid, "use": "sig"}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		out["kty"], out["n"], out["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y (SEC 1 §2.3.3)
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		out["kty"], out["crv"] = "EC", k.Curve.Params().Name
		out["x"], out["y"] = b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		out["kty"], out["crv"], out["x"] = "OKP", "Ed25519", b64(k)
	default:
		panic(fmt.Sprintf("tokens: no JWK for %T", pub))
	}
	maps.Copy(out, more)
	return out
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Key returns what an algorithm signs with: the private key of that name, or the
// secret itself for HMAC.
func Key(alg, name string) any {
	if strings.HasPrefix(alg, "HS") {
		return []byte(name)
	}
	return Private(name)
}

// Sign returns a token with the given header members and claims. alg in header
// decides how it is signed, with Key(alg, key).
func Sign(key string, header, claims map[string]any) string {
	alg, _ := header["alg"].(string)
	input := Input(header, claims)
	return input + "." + b64(SignBytes(alg, Key(alg, key), input))
}

// Input returns the signing input of a token.
func Input(header, claims map[string]any) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return b64(h) + "." + b64(c)
}

// SignBytes signs an input.
func SignBytes(alg string, key any, input string) []byte {
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		panic("tokens: no algorithm " + alg)
	}
	sig, err := method.Sign(input, key)
	if err != nil {
		panic(fmt.Sprintf("tokens: %s: %v", alg, err))
	}
	return sig
}

// In returns the time so many seconds from now, as a NumericDate.
func In(seconds int) int64 { return time.Now().Unix() + int64(seconds) }

// HS256 returns a token as the article makes it: kid in the payload, exp ahead.
func HS256(secret, kid string, exp int64) string {
	return Sign(secret, map[string]any{"alg": "HS256", "typ": "JWT"},
		map[string]any{"kid": kid, "exp": exp, "name": "Jane", "email": "jane@example.com"})
}

// Random returns random text.
func Random() string { return rand.Text() }

// File returns a file of the test keys, for those that Go cannot parse.
func File(name string) string {
	data, err := files.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// Tamper returns a token with one bit of its signature changed.
func Tamper(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[i:])
	if err != nil {
		panic(err)
	}
	sig[len(sig)/2] ^= 1
	return token[:i] + b64(sig)
}
