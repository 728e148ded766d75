package registry

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sallyport-auth/sallyport/internal/passhash"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// sealer holds the keys that come of the installation secret (HKDF, RFC 5869), each for
// one purpose.
type sealer struct {
	check  string // tells whether the secret is the one that the database was made with
	keys   []byte // of the hashes of API keys
	tokens []byte // of the hashes of admin tokens
	sealed cipher.AEAD
}

func newSealer(secret redact.Secret) (sealer, error) {
	prk, err := hkdf.Extract(sha256.New, []byte(secret.Reveal()), nil)
	if err != nil {
		return sealer{}, err
	}
	var s sealer
	expand := func(purpose string) []byte {
		out, e := hkdf.Expand(sha256.New, prk, "sallyport registry 1 "+purpose, 32)
		err = errors.Join(err, e)
		return out
	}
	s.check = hex.EncodeToString(expand("check"))
	s.keys = expand("hash of API keys")
	s.tokens = expand("hash of admin tokens")
	key := expand("seal")
	if err != nil {
		return sealer{}, err
	}
	s.sealed, err = chacha20poly1305.NewX(key)
	return s, err
}

// Format implements fmt.Formatter: no verb prints a key.
func (s sealer) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[sealer]") }

// keyed returns the keyed hash by which something random is found again. A copy of the
// database alone does not let anybody try keys.
func keyed(key []byte, value string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil))
}

// errSealed is why something sealed does not open; it says nothing of it.
var errSealed = errors.New("registry: something sealed does not open: the row was changed outside of this program")

// seal seals a text for one column of one row: moved to another it does not open.
func (s sealer) seal(column, id, plain string) string {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	_, _ = rand.Read(nonce) // never fails: it ends the program
	return base64.RawURLEncoding.EncodeToString(s.sealed.Seal(nonce, nonce, []byte(plain), associated(column, id)))
}

// open returns what was sealed for a column of a row.
func (s sealer) open(column, id, text string) (string, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(data) < chacha20poly1305.NonceSizeX {
		return "", errSealed
	}
	nonce, sealed := data[:chacha20poly1305.NonceSizeX], data[chacha20poly1305.NonceSizeX:]
	plain, err := s.sealed.Open(nil, nonce, sealed, associated(column, id))
	if err != nil {
		return "", errSealed
	}
	return string(plain), nil
}

// associated returns additional data: no two lists of parts are alike.
func associated(parts ...string) (out []byte) {
	for _, p := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

// What a password is hashed with: 19 MiB and two passes (OWASP, Password Storage Cheat
// Sheet).
const (
	memory = 19 << 10 // KiB
	passes = 2
)

// argon2id hashes a password with a salt of its own.
func argon2id(password string) string {
	h := passhash.Hash{Kind: passhash.Argon2id, Memory: memory, Passes: passes, Threads: 1, Salt: make([]byte, 16)}
	_, _ = rand.Read(h.Salt) // never fails: it ends the program
	h.Sum = argon2.IDKey([]byte(password), h.Salt, h.Passes, h.Memory, h.Threads, 32)
	return h.String()
}
