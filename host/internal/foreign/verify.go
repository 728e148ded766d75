// Package foreign holds the foreign functions of Envoy's that guests here may
// call (source/extensions/common/wasm/foreign.cc).
package foreign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // Envoy knows it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

var hashes = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// VerifySignature is Envoy's verify_signature: PKCS #1 v1.5 with an RSA key, a
// DER signature with an EC key. The status is OK when the question could be
// read, whatever the answer; the result says it.
func VerifySignature(argument []byte) (result []byte, status abi.Status) {
	v, ok := abi.DecodeVerifySignature(string(argument))
	if !ok || (v.PublicKey == "") == (v.PublicKeyPEM == "") {
		return nil, abi.BadArgument
	}
	text := verify(v)
	return abi.AppendVerifyResult(nil, text == "", text), abi.OK
}

// verify returns why a signature does not hold, "" when it does.
func verify(v abi.VerifySignature) string {
	hash, ok := hashes[strings.ToLower(v.Hash)]
	if !ok {
		return v.Hash + " is not supported."
	}
	pub := parseKey(v)
	if pub == nil {
		return "Failed to initialize digest verify."
	}
	h := hash.New()
	h.Write([]byte(v.Text))
	digest := h.Sum(nil)
	switch k := pub.(type) {
	case *rsa.PublicKey:
		ok = k.N.BitLen() <= maxRSABits && rsa.VerifyPKCS1v15(k, hash, digest, []byte(v.Signature)) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, digest, []byte(v.Signature))
	default:
		return "Failed to initialize digest verify."
	}
	if !ok {
		return "Failed to verify digest. Error code: 0"
	}
	return ""
}

// keyCache remembers parsed keys: parsing costs as much as verifying. It is
// emptied when it is full.
var keyCache = struct {
	sync.RWMutex
	keys map[string]crypto.PublicKey
}{keys: map[string]crypto.PublicKey{}}

// Bounds on keys: how many are remembered, how long one that is may be in bytes, and how
// long BoringSSL verifies with (rsa.h, OPENSSL_RSA_MAX_MODULUS_BITS).
const (
	maxCachedKeys = 1 << 10
	maxCachedKey  = 16 << 10
	maxRSABits    = 16 << 10
)

func parseKey(v abi.VerifySignature) crypto.PublicKey {
	id := v.PublicKey + v.PublicKeyPEM
	keyCache.RLock()
	pub, ok := keyCache.keys[id]
	keyCache.RUnlock()
	if ok {
		return pub
	}
	der := []byte(v.PublicKey)
	if v.PublicKeyPEM != "" {
		block, _ := pem.Decode([]byte(v.PublicKeyPEM))
		if block == nil {
			return nil
		}
		der = block.Bytes
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	if len(id) > maxCachedKey {
		return pub
	}
	keyCache.Lock()
	defer keyCache.Unlock()
	if len(keyCache.keys) >= maxCachedKeys {
		clear(keyCache.keys)
	}
	keyCache.keys[strings.Clone(id)] = pub
	return pub
}
