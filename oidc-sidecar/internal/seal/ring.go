package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

const (
	// MaxText is the length in bytes up to which Open looks at a text. It is more
	// than fits into MaxChunks cookies.
	MaxText = 64 << 10
	// MaxPlain is how many bytes such a text holds. More can be sealed, but what
	// comes of it is refused by Split and Open.
	MaxPlain = MaxText/4*3 - overhead
)

const (
	version   = 1
	idSize    = 4
	nonceSize = chacha20poly1305.NonceSizeX
	head      = 1 + idSize // what comes before the nonce
	overhead  = head + nonceSize + chacha20poly1305.Overhead
)

// ErrOpen is why any text is refused: there is no telling a forged one from one
// of a removed secret.
var ErrOpen = errors.New("seal: not a text that was sealed here for this")

// strict accepts one text for each sequence of bytes, but for line breaks.
var strict = base64.RawURLEncoding.Strict()

// Ring is a list of secrets: the first seals, all of them open. It comes from
// NewRing, does not change and is safe for concurrent use.
type Ring struct{ keys []key }

type key struct {
	id  [idSize]byte
	prk []byte // HKDF's pseudorandom key, which the keys of all purposes come from
}

// NewRing makes a ring of at least one secret. None may be empty; whether one is
// long enough is the caller's business. A secret that comes twice counts once.
func NewRing(secrets []redact.Secret) (*Ring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("seal: a ring needs a secret")
	}
	r := &Ring{}
	for i, s := range secrets {
		if s.Empty() {
			return nil, fmt.Errorf("seal: secret %d is empty", i+1)
		}
		prk, err := hkdf.Extract(sha256.New, []byte(s.Reveal()), nil)
		if err != nil {
			return nil, fmt.Errorf("seal: secret %d: %w", i+1, err)
		}
		k := key{prk: prk}
		copy(k.id[:], k.expand("id", idSize))
		if !slices.ContainsFunc(r.keys, func(o key) bool { return bytes.Equal(o.prk, prk) }) {
			r.keys = append(r.keys, k)
		}
	}
	return r, nil
}

// expand derives n bytes. No purpose makes "key " and itself into "id".
func (k key) expand(info string, n int) []byte {
	out, err := hkdf.Expand(sha256.New, k.prk, "sallyport seal 1 "+info, n)
	if err != nil {
		panic(err) // n is a constant within bounds
	}
	return out
}

func (k key) aead(purpose string) cipher.AEAD {
	a, err := chacha20poly1305.NewX(k.expand("key "+purpose, chacha20poly1305.KeySize))
	if err != nil {
		panic(err) // the length is right
	}
	return a
}

// Seal encrypts plain into a text of letters, digits, "-" and "_" that Open
// accepts for the same purpose and aad. Two calls never return the same text.
func (r *Ring) Seal(purpose string, aad []string, plain []byte) string {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails: it ends the program
	return r.seal(purpose, aad, plain, nonce)
}

func (r *Ring) seal(purpose string, aad []string, plain []byte, nonce [nonceSize]byte) string {
	k := r.keys[0]
	out := make([]byte, 0, overhead+len(plain))
	out = append(out, version)
	out = append(out, k.id[:]...)
	ad := associated(out, purpose, aad)
	out = append(out, nonce[:]...)
	out = k.aead(purpose).Seal(out, nonce[:], plain, ad)
	return strict.EncodeToString(out)
}

// Open returns what was sealed under any secret of the ring. The error is
// ErrOpen, with no bytes.
func (r *Ring) Open(purpose string, aad []string, text string) ([]byte, error) {
	// The decoder of encoding/base64 skips line breaks.
	if len(text) > MaxText || strings.ContainsAny(text, "\r\n") {
		return nil, ErrOpen
	}
	data, err := strict.DecodeString(text)
	if err != nil || len(data) < overhead || data[0] != version {
		return nil, ErrOpen
	}
	ad := associated(data[:head], purpose, aad)
	nonce, sealed := data[head:head+nonceSize], data[head+nonceSize:]
	for _, k := range r.keys {
		// Ids of two secrets may be equal.
		if !bytes.Equal(k.id[:], data[1:head]) {
			continue
		}
		if plain, err := k.aead(purpose).Open(nil, nonce, sealed, ad); err == nil {
			return plain, nil
		}
	}
	return nil, ErrOpen
}

// associated returns the associated data: an encoding in which no two different
// calls are alike.
func associated(head []byte, purpose string, aad []string) []byte {
	n := len(head) + 16 + len(purpose)
	for _, s := range aad {
		n += 8 + len(s)
	}
	out := append(make([]byte, 0, n), head...)
	out = appendText(out, purpose)
	out = binary.BigEndian.AppendUint64(out, uint64(len(aad)))
	for _, s := range aad {
		out = appendText(out, s)
	}
	return out
}

func appendText(out []byte, s string) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(len(s)))
	return append(out, s...)
}

// Format implements fmt.Formatter: no verb prints a key.
func (r Ring) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "[ring of %d]", len(r.keys)) }
