package jose

// Alg is a signature algorithm of RFC 7518 §3.1 or RFC 8037. The zero Alg is
// none of them: an unknown name, "none" included, never becomes a valid value.
type Alg uint8

// The algorithms.
const (
	Unsupported Alg = iota
	HS256
	HS384
	HS512
	RS256
	RS384
	RS512
	PS256
	PS384
	PS512
	ES256
	ES384
	ES512
	EdDSA
	algCount
)

// Family is the kind of key that an algorithm takes.
type Family uint8

// The families.
const (
	NoFamily Family = iota
	HMAC
	RSA    // PKCS #1 v1.5
	RSAPSS // PSS
	ECDSA
	OKP // Ed25519
)

type algEntry struct {
	name   string
	family Family
	hash   string // as verify_signature names it
	size   int    // bytes of an ECDSA or EdDSA signature
}

var algs = [algCount]algEntry{
	HS256: {"HS256", HMAC, "sha256", 32},
	HS384: {"HS384", HMAC, "sha384", 48},
	HS512: {"HS512", HMAC, "sha512", 64},
	RS256: {"RS256", RSA, "sha256", 0},
	RS384: {"RS384", RSA, "sha384", 0},
	RS512: {"RS512", RSA, "sha512", 0},
	PS256: {"PS256", RSAPSS, "sha256", 0},
	PS384: {"PS384", RSAPSS, "sha384", 0},
	PS512: {"PS512", RSAPSS, "sha512", 0},
	ES256: {"ES256", ECDSA, "sha256", 64},
	ES384: {"ES384", ECDSA, "sha384", 96},
	ES512: {"ES512", ECDSA, "sha512", 132},
	EdDSA: {"EdDSA", OKP, "", 64},
}

// ParseAlg returns the algorithm with exactly that name, else Unsupported.
func ParseAlg(name string) Alg {
	for a := Unsupported + 1; a < algCount; a++ {
		if algs[a].name == name {
			return a
		}
	}
	return Unsupported
}

// Algs lists every algorithm by name.
func Algs() []string {
	names := make([]string, 0, algCount-1)
	for a := Unsupported + 1; a < algCount; a++ {
		names = append(names, algs[a].name)
	}
	return names
}

func (a Alg) entry() *algEntry {
	if a >= algCount {
		a = Unsupported
	}
	return &algs[a]
}

// String returns the name of RFC 7518, "" for Unsupported.
func (a Alg) String() string { return a.entry().name }

// Family returns the kind of key.
func (a Alg) Family() Family { return a.entry().family }

// Hash returns the hash as Envoy's verify_signature names it; "" for EdDSA.
func (a Alg) Hash() string { return a.entry().hash }

// Native reports whether a proxy's verify_signature can check it: PKCS #1 v1.5
// and ECDSA only, because it takes no PSS parameters and always a hash.
func (a Alg) Native() bool { return a.Family() == RSA || a.Family() == ECDSA }
