package explain

import (
	"crypto/x509"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// verification is a signature that was checked without the sidecar.
type verification struct {
	der     string // the key
	verdict wire.Verdict
}

// native verifies as a proxy's verify_signature does, and notes what.
type native struct{ calls *[]verification }

// Verify implements policy.Verifier.
func (n *native) Verify(alg jose.Alg, der, input, signature string) wire.Verdict {
	verdict := wire.Unjudged
	if pub, err := x509.ParsePKIXPublicKey([]byte(der)); err == nil {
		verdict = wire.Invalid
		if keys.Verify(alg, pub, input, signature) {
			verdict = wire.Valid
		}
	}
	*n.calls = append(*n.calls, verification{der, verdict})
	return verdict
}
