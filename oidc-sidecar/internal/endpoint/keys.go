package endpoint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/jose"
)

// ClientKeys are the keys that the client signs its assertions with. They are made
// once and kept in the state directory.
type ClientKeys struct {
	rsa   *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
	rsaID string
	ecID  string
}

// clientKeysFile holds both keys as PEM (RFC 5958).
const clientKeysFile = "client-keys.pem"

// OpenClientKeys reads the keys of a directory, or makes them.
func OpenClientKeys(dir string) (*ClientKeys, error) {
	path := filepath.Join(dir, clientKeysFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if data, err = makeClientKeys(); err != nil {
			return nil, err
		}
		tmp := path + ".new"
		if err := os.WriteFile(tmp, data, 0o600); err != nil {
			return nil, err
		}
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, err
	}
	k := &ClientKeys{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: a key cannot be read: remove the file and new ones are made", path)
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			k.rsa, k.rsaID = key, keyID(&key.PublicKey)
		case *ecdsa.PrivateKey:
			k.ec, k.ecID = key, keyID(&key.PublicKey)
		}
	}
	if k.rsa == nil || k.ec == nil {
		return nil, fmt.Errorf("%s: a key is missing: remove the file and new ones are made", path)
	}
	return k, nil
}

func makeClientKeys() ([]byte, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, key := range []any{rsaKey, ecKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return out, nil
}

// keyID names a key by what it is.
func keyID(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// assertion signs a client assertion for an audience (RFC 7523 §3), good for one
// minute and one use.
func (k *ClientKeys) assertion(alg jose.Alg, client, audience string, now time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(alg.String()), jwt.MapClaims{
		"iss": client, "sub": client, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	var key crypto.Signer = k.rsa
	t.Header["kid"] = k.rsaID
	if alg.Family() == jose.ECDSA {
		key, t.Header["kid"] = k.ec, k.ecID
	}
	return t.SignedString(key)
}

// JWKS is the public half, as the identity provider reads it (RFC 7517 §5).
func (k *ClientKeys) JWKS() []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	point, err := k.ec.PublicKey.Bytes() // 4, x, y (SEC 1 §2.3.3)
	if err != nil || len(point) != 65 {
		point = make([]byte, 65)
	}
	out, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "use": "sig", "kid": k.rsaID, "n": b64(k.rsa.N.Bytes()), "e": b64(big.NewInt(int64(k.rsa.E)).Bytes())},
		{"kty": "EC", "use": "sig", "kid": k.ecID, "crv": "P-256", "alg": "ES256", "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
	if err != nil {
		return []byte(`{"keys":[]}`)
	}
	return out
}
