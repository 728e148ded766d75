package foreign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// signed makes up an RSA key of so many bits, a multiple of eight, with a signature that
// holds: the key is s³ less what s³ has to be, for a text and any s.
func signed(t *testing.T, bits int, text string) (der, signature string) {
	t.Helper()
	size := bits / 8
	digest := sha256.Sum256([]byte(text))
	// EMSA-PKCS1-v1_5 (RFC 8017, section 9.2) with SHA-256.
	info := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest[:]...)
	padded := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(info))...)
	wanted := new(big.Int).SetBytes(append(append(padded, 0), info...))

	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(bits/3+1))
	most := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	cube := func(s *big.Int) *big.Int { return new(big.Int).Exp(s, big.NewInt(3), nil) }
	for new(big.Int).Sub(high, low).Cmp(big.NewInt(1)) > 0 { // the root of the largest number
		middle := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if cube(middle).Cmp(most) < 0 {
			low = middle
		} else {
			high = middle
		}
	}
	n := new(big.Int).Sub(cube(low), wanted)
	if n.Bit(0) == 0 {
		low.Sub(low, big.NewInt(1))
		n.Sub(cube(low), wanted)
	}
	key, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 3})
	if err != nil {
		t.Fatal(err)
	}
	return string(key), string(low.FillBytes(make([]byte, size)))
}

// A key that is longer than BoringSSL takes is not verified with: one of a million bits
// would take minutes.
func TestLongKeys(t *testing.T) {
	for bits, want := range map[int]string{
		2048:           "",
		maxRSABits:     "",
		maxRSABits + 8: "Failed to verify digest. Error code: 0",
	} {
		key, signature := signed(t, bits, "text")
		v := abi.VerifySignature{Hash: "sha256", PublicKey: key, Signature: signature, Text: "text"}
		if got := verify(v); got != want {
			t.Errorf("%d bits: %q, want %q", bits, got, want)
		}
	}
}

// What is remembered of keys has a bound of its own: a PEM may have anything behind it.
func TestLongKeysAreNotRemembered(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for more, want := range map[int]bool{0: true, maxCachedKey: false} {
		v := abi.VerifySignature{Hash: "sha256", PublicKeyPEM: text + strings.Repeat("x", more), Signature: string(signature), Text: "text"}
		if got := verify(v); got != "" {
			t.Errorf("with %d bytes behind it: %s", more, got)
		}
		keyCache.RLock()
		_, remembered := keyCache.keys[v.PublicKeyPEM]
		keyCache.RUnlock()
		if remembered != want {
			t.Errorf("with %d bytes behind it, remembered: %v", more, remembered)
		}
	}
}

// A key that is longer than one of 8192 bits is not signed with. A parser overlooks what
// stands behind a key, so that it can be made as long as one likes.
func TestLongPrivateKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]bool{len(der): true, maxPrivateKey: true, maxPrivateKey + 1: false} {
		long := string(der) + strings.Repeat("\x00", size-len(der))
		armored := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(long)}))
		for _, keys := range [][2]string{{long, ""}, {"", armored}} {
			if _, why := sign("sha256", keys[0], keys[1], "text"); (why == "") != want {
				t.Errorf("%d bytes: %q", size, why)
			}
		}
	}
}
