package foreign

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Sign is Envoy's sign: PKCS #1 v1.5 with an RSA key, a DER signature with an EC key.
// Its argument is a message like verify_signature's, with a PKCS #8 key in field 2 (DER)
// or 4 (PEM) and the text in 3:
//
//	message SignResult { bool result = 1; bytes signature = 2; string error = 3; }
func Sign(argument []byte) (result []byte, status abi.Status) {
	var hash, der, text, pemKey string
	if !abi.Fields(string(argument), func(field, _ uint64, s string) {
		switch field {
		case 1:
			hash = s
		case 2:
			der = s
		case 3:
			text = s
		case 4:
			pemKey = s
		}
	}) || (der == "") == (pemKey == "") {
		return nil, abi.BadArgument
	}
	signature, why := sign(hash, der, pemKey, text)
	if why != "" {
		return abi.AppendField(nil, 3, why), abi.OK
	}
	return abi.AppendField([]byte{1 << 3, 1}, 2, signature), abi.OK
}

// maxPrivateKey bounds a PKCS #8 key, in bytes: RSA with 8192 bits, with which a signature
// takes a tenth of a second, has room.
const maxPrivateKey = 5 << 10

// sign returns a signature, or why there is none.
func sign(name, der, pemKey, text string) (signature, why string) {
	hash, ok := hashes[strings.ToLower(name)]
	if !ok {
		return "", name + " is not supported."
	}
	if pemKey != "" {
		if block, _ := pem.Decode([]byte(pemKey)); block != nil {
			der = string(block.Bytes)
		}
	}
	if len(der) > maxPrivateKey {
		return "", "Invalid key type: private key required for signing operation."
	}
	key, err := x509.ParsePKCS8PrivateKey([]byte(der))
	if err != nil {
		return "", "Invalid key type: private key required for signing operation."
	}
	h := hash.New()
	h.Write([]byte(text))
	var out []byte
	switch k := key.(type) {
	case *rsa.PrivateKey:
		out, err = rsa.SignPKCS1v15(nil, k, hash, h.Sum(nil))
	case *ecdsa.PrivateKey:
		out, err = k.Sign(rand.Reader, h.Sum(nil), hash)
	default:
		return "", "Failed to initialize digest sign."
	}
	if err != nil {
		return "", "Failed to create digest signature."
	}
	return string(out), ""
}

// SetFilterState is Envoy's set_envoy_filter_state: NOT_FOUND for a name that no native
// filter has an object for, which here is every one.
func SetFilterState(argument []byte) abi.Status {
	if !abi.Fields(string(argument), func(uint64, uint64, string) {}) {
		return abi.BadArgument
	}
	return abi.NotFound
}
