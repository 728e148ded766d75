package endpoint

import (
	"crypto/sha256"
	"encoding/base64"
)

// SubjectKey names everything that an issuer has issued for a subject.
func SubjectKey(issuer, sub string) string { return KeyOf("u", issuer, sub) }

// ProviderKey names an identity provider's own session, as a client of it knows it.
func ProviderKey(issuer, client, sid string) string { return KeyOf("p", issuer, client, sid) }

// KeyOf makes a name of its parts. It travels to filters and into the journal, so it is
// a hash; kind keeps names of different things apart.
func KeyOf(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return kind + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15])
}
