package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// MaxKeys bounds a key set.
const MaxKeys = 100

// ParseSet reads a JWK Set (RFC 7517 §5), or one JWK on its own. Keys that are
// not for signatures are left out, as are kinds that we do not know ("the set
// SHOULD be processed by ignoring" them, §5); keys that are but may not be used
// come back with Unusable set, so that a token signed with one is told so.
// Symmetric keys are refused: a key set is public.
func ParseSet(src []byte) ([]Key, error) {
	if _, err := jsonx.Parse(string(src), jsonx.Limits{Bytes: 1 << 20, Depth: 8, Nodes: 1 << 14}); err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
		Kty  string            `json:"kty"`
	}
	if err := json.Unmarshal(src, &set); err != nil {
		return nil, errors.New("not a JWK set")
	}
	if set.Keys == nil {
		if set.Kty == "" {
			return nil, errors.New(`not a JWK set: no member "keys"`)
		}
		set.Keys = []json.RawMessage{src}
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys: expected at most %d", len(set.Keys), MaxKeys)
	}
	keys := make([]Key, 0, len(set.Keys))
	for i, raw := range set.Keys {
		key, use, err := parseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if use {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// material are the members of a JWK that a public key is made of. Certificates and
// their thumbprints beside it (x5c, x5t) do not matter, not even broken ones.
type material struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// parseKey reads one JWK; use is false for one that is not ours to use.
func parseKey(raw []byte) (key Key, use bool, err error) {
	var head struct {
		Use    string   `json:"use"`
		Kid    string   `json:"kid"`
		Alg    string   `json:"alg"`
		D      any      `json:"d"`
		KeyOps []string `json:"key_ops"`
		material
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Key{}, false, errors.New("not a JWK")
	}
	switch {
	case head.Kty == "oct":
		return Key{}, false, errors.New("a symmetric key in a public key set")
	case head.D != nil:
		return Key{}, false, errors.New("a private key in a public key set")
	case head.Use != "" && head.Use != "sig":
		return Key{}, false, nil
	case len(head.KeyOps) > 0 && !contains(head.KeyOps, "verify"):
		return Key{}, false, nil
	case head.Kty != "RSA" && head.Kty != "EC" && head.Kty != "OKP":
		return Key{}, false, nil
	}
	key.ID = head.Kid
	if head.Crv == "Ed448" {
		key.Unusable = ErrEd448.Error()
		key.Alg = []jose.Alg{jose.EdDSA}
		return key, true, nil
	}
	var jwk gojose.JSONWebKey
	bare, err := json.Marshal(head.material)
	if err == nil {
		err = jwk.UnmarshalJSON(bare)
	}
	if err != nil {
		key.Unusable = "it cannot be read"
		return key, true, nil
	}
	switch jwk.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default: // X25519 and others that are not for signatures
		return Key{}, false, nil
	}
	if err := Check(jwk.Key); err != nil {
		key.Alg = Algs(jwk.Key)
		key.Unusable = err.Error()
		return key, true, nil
	}
	key.Public = jwk.Key
	for _, a := range Algs(jwk.Key) {
		if head.Alg == "" || head.Alg == a.String() {
			key.Alg = append(key.Alg, a)
		}
	}
	if len(key.Alg) == 0 {
		if isEncryption(head.Alg) {
			return Key{}, false, nil
		}
		key.Public, key.Unusable = nil, "its alg does not fit its type"
	}
	return key, true, nil
}

// isEncryption reports whether alg is one of JWE (RFC 7518 §4.1), which IdPs
// publish in the same set.
func isEncryption(alg string) bool {
	switch alg {
	case "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512",
		"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW":
		return true
	}
	return false
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
