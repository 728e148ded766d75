package jose

import "github.com/sallyport-auth/sallyport/internal/reason"

// CheckSignature refuses a signature whose form alone shows that it cannot
// hold: the wrong length for the algorithm, or r or s zero (RFC 7518 §3.4).
// The code is reason.Unspecified when the form is right.
func CheckSignature(alg Alg, sig string) reason.Code {
	size := alg.entry().size
	if size != 0 && len(sig) != size {
		return reason.SignatureMalformed
	}
	if alg.Family() == ECDSA && (zero(sig[:size/2]) || zero(sig[size/2:])) {
		return reason.SignatureMalformed
	}
	return 0
}

func zero(s string) bool {
	for i := range len(s) {
		if s[i] != 0 {
			return false
		}
	}
	return true
}

// AppendECDSA appends a JWS signature r||s as the DER SEQUENCE of two INTEGERs
// that verify_signature expects (RFC 3279 §2.2.3). The signature must have
// passed CheckSignature.
func AppendECDSA(dst []byte, sig string) []byte {
	r, s := trim(sig[:len(sig)/2]), trim(sig[len(sig)/2:])
	body := intSize(r) + intSize(s)
	dst = append(dst, 0x30)
	if body >= 0x80 { // two times 66 bytes: one length byte is always enough
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(body))
	return appendInt(appendInt(dst, r), s)
}

// trim drops leading zero bytes.
func trim(s string) string {
	for len(s) > 1 && s[0] == 0 {
		s = s[1:]
	}
	return s
}

// intSize returns the length of a DER INTEGER with tag and length.
func intSize(s string) int {
	if s[0] >= 0x80 {
		return len(s) + 3
	}
	return len(s) + 2
}

// appendInt appends an unsigned DER INTEGER; a high first bit takes a zero before it.
func appendInt(dst []byte, s string) []byte {
	n := intSize(s) - 2
	dst = append(dst, 0x02, byte(n))
	if n > len(s) {
		dst = append(dst, 0)
	}
	return append(dst, s...)
}
