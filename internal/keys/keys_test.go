package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

func algs(names ...string) []jose.Alg {
	var out []jose.Alg
	for _, n := range names {
		out = append(out, jose.ParseAlg(n))
	}
	return out
}

var rsaAlgs = algs("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func privatePEM(t *testing.T, name, kind string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(tokens.Private(name))
	if err != nil {
		t.Fatal(err)
	}
	return block(kind, der)
}

func TestParsePEM(t *testing.T) {
	pkcs1 := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(tokens.Private("rsa2048").Public().(*rsa.PublicKey)))
	const private = "this is a private key: it belongs to whoever signs; put the public key here"
	tests := []struct {
		name, pem string
		algs      []jose.Alg
		want      string
	}{
		{"RSA 2048", tokens.PublicPEM("rsa2048"), rsaAlgs, ""},
		{"RSA 4096", tokens.PublicPEM("rsa4096"), rsaAlgs, ""},
		{"RSA 8192", tokens.PublicPEM("rsa8192"), rsaAlgs, ""},
		{"PKCS #1", pkcs1, rsaAlgs, ""},
		{"with text around", "Some text\n" + pkcs1 + "more text", rsaAlgs, ""},
		{"P-256", tokens.PublicPEM("ec256"), algs("ES256"), ""},
		{"P-384", tokens.PublicPEM("ec384"), algs("ES384"), ""},
		{"P-521", tokens.PublicPEM("ec521"), algs("ES512"), ""},
		{"Ed25519", tokens.PublicPEM("ed25519"), algs("EdDSA"), ""},
		{"RSA 1024", tokens.PublicPEM("rsa1024"), nil, "RSA key of 1024 bits: expected 2048 to 8192"},
		{"RSA 16384", tokens.HugeRSA(), nil, "RSA key of 16384 bits: expected 2048 to 8192"},
		{"Ed448", tokens.File("ed448.pub.pem"), nil, ErrEd448.Error()},
		{"secp256k1", tokens.File("ec256k.pub.pem"), nil, "x509: unsupported elliptic curve"},
		{"a private key", privatePEM(t, "rsa2048", "PRIVATE KEY"), nil, private},
		{"a private key of EC", privatePEM(t, "ec256", "EC PRIVATE KEY"), nil, private},
		{"a private key of RSA", privatePEM(t, "rsa2048", "RSA PRIVATE KEY"), nil, private},
		{"a certificate", block("CERTIFICATE", []byte{1}), nil, ErrPEM.Error()},
		{"nothing", "", nil, ErrPEM.Error()},
		{"no PEM", "ssh-rsa AAAA", nil, ErrPEM.Error()},
		{"broken DER", block("PUBLIC KEY", []byte{0x30, 0x82}), nil, errBroken.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pub, err := ParsePEM(tt.pem)
			if got := fmt.Sprint(err); err != nil && got != tt.want || err == nil && tt.want != "" {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if err == nil && !slices.Equal(Algs(pub), tt.algs) {
				t.Errorf("algorithms %v, want %v", Algs(pub), tt.algs)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	for name, tt := range map[string]struct {
		pub  crypto.PublicKey
		good bool
	}{
		"exponent 65537":            {&rsa.PublicKey{N: n, E: 65537}, true},
		"exponent 3":                {&rsa.PublicKey{N: n, E: 3}, true},
		"exponent 1":                {&rsa.PublicKey{N: n, E: 1}, false},
		"exponent 0":                {&rsa.PublicKey{N: n, E: 0}, false},
		"an even exponent":          {&rsa.PublicKey{N: n, E: 65536}, false},
		"an exponent of 33 bits":    {&rsa.PublicKey{N: n, E: 1<<32 + 1}, false},
		"an exponent of 32 bits":    {&rsa.PublicKey{N: n, E: 1<<32 - 1}, true},
		"2047 bits":                 {&rsa.PublicKey{N: new(big.Int).Rsh(n, 1), E: 3}, false},
		"8192 bits":                 {&rsa.PublicKey{N: new(big.Int).Lsh(n, 6144), E: 3}, true},
		"8193 bits":                 {&rsa.PublicKey{N: new(big.Int).Lsh(n, 6145), E: 3}, false},
		"a point off the curve":     {&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, false}, //lint:ignore SA1019 a key that no constructor would make
		"the point at infinity":     {&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(0), Y: big.NewInt(0)}, false}, //lint:ignore SA1019 a key that no constructor would make
		"P-224":                     {&ecdsa.PublicKey{Curve: elliptic.P224(), X: big.NewInt(1), Y: big.NewInt(1)}, false}, //lint:ignore SA1019 a key that no constructor would make
		"Ed25519 of another size":   {ed25519.PublicKey(make([]byte, 31)), false},
		"a private key":             {tokens.Private("ec256"), false},
		"a secret":                  {[]byte("secret"), false},
		"nothing":                   {nil, false},
		"a pointer to Ed25519":      {&ed25519.PublicKey{}, false},
		"an Ed25519 key like it is": {tokens.Private("ed25519").Public(), true},
	} {
		if err := Check(tt.pub); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every algorithm verifies what its own key has signed, and nothing else.
func TestVerify(t *testing.T) {
	of := map[string][2]string{
		"HS256": {"one secret", "another"}, "HS384": {"one secret", "another"}, "HS512": {"one secret", "another"},
		"RS256": {"rsa2048", "rsa2048b"}, "RS384": {"rsa2048", "rsa2048b"}, "RS512": {"rsa4096", "rsa2048"},
		"PS256": {"rsa2048", "rsa2048b"}, "PS384": {"rsa4096", "rsa2048"}, "PS512": {"rsa2048", "rsa2048b"},
		"ES256": {"ec256", "ec256b"}, "ES384": {"ec384", "ec256"}, "ES512": {"ec521", "ec384"}, "EdDSA": {"ed25519", "ec256"},
	}
	verifier := func(alg, name string) any {
		if strings.HasPrefix(alg, "HS") {
			return []byte(name)
		}
		return tokens.Private(name).Public()
	}
	const input = "eyJhbGciOiJ4In0.e30"
	for _, alg := range jose.Algs() {
		t.Run(alg, func(t *testing.T) {
			names, ok := of[alg]
			if !ok {
				t.Fatal("no keys for it")
			}
			a := jose.ParseAlg(alg)
			sig := string(tokens.SignBytes(alg, tokens.Key(alg, names[0]), input))
			key := verifier(alg, names[0])
			if !Verify(a, key, input, sig) {
				t.Fatal("its own signature is refused")
			}
			flipped := []byte(sig)
			flipped[len(flipped)-1] ^= 1
			for what, holds := range map[string]bool{
				"another key":          Verify(a, verifier(alg, names[1]), input, sig),
				"another input":        Verify(a, key, input+"x", sig),
				"a changed signature":  Verify(a, key, input, string(flipped)),
				"a shorter signature":  Verify(a, key, input, sig[:len(sig)-1]),
				"a longer signature":   Verify(a, key, input, sig+"\x00"),
				"no signature":         Verify(a, key, input, ""),
				"a signature of zeros": Verify(a, key, input, string(make([]byte, len(sig)))),
				"no key":               Verify(a, nil, input, sig),
				"no algorithm":         Verify(jose.Unsupported, key, input, sig),
			} {
				if holds {
					t.Errorf("%s verifies", what)
				}
			}
			for _, other := range jose.Algs() {
				if other != alg && Verify(jose.ParseAlg(other), key, input, sig) {
					t.Errorf("%s verifies it too", other)
				}
			}
		})
	}
	// The oldest attack: a public key for a secret (RFC 8725 §2.1).
	public := []byte(tokens.PublicPEM("rsa2048"))
	mac := string(tokens.SignBytes("HS256", public, input))
	if Verify(jose.HS256, tokens.Private("rsa2048").Public(), input, mac) || Verify(jose.RS256, public, input, mac) {
		t.Error("a MAC under the public key verifies")
	}
}

func TestParseSet(t *testing.T) {
	jwk := func(name string, more map[string]any) map[string]any { return tokens.JWK(name, "k", more) }
	without := func(m map[string]any, name string) map[string]any { delete(m, name); return m }
	tests := []struct {
		name string
		key  map[string]any
		algs []jose.Alg // of the one key; nil: left out
		bad  string     // why it may not be used
	}{
		{"RSA", jwk("rsa2048", nil), rsaAlgs, ""},
		{"RSA for one algorithm", jwk("rsa2048", map[string]any{"alg": "PS384"}), algs("PS384"), ""},
		{"without use", without(jwk("rsa2048", nil), "use"), rsaAlgs, ""},
		{"key_ops with verify", jwk("rsa2048", map[string]any{"key_ops": []string{"verify"}}), rsaAlgs, ""},
		{"EC", jwk("ec384", nil), algs("ES384"), ""},
		{"Ed25519", jwk("ed25519", nil), algs("EdDSA"), ""},
		{"with a member that nobody knows", jwk("ec256", map[string]any{"x5t": "abc", "x5c": []string{"AA"}, "x5u": 7, "exp": 1}), algs("ES256"), ""},
		{"for encryption", jwk("rsa2048", map[string]any{"use": "enc"}), nil, ""},
		{"key_ops without verify", jwk("rsa2048", map[string]any{"key_ops": []string{"encrypt"}}), nil, ""},
		{"an algorithm of JWE", jwk("rsa2048", map[string]any{"alg": "RSA-OAEP-256"}), nil, ""},
		{"an algorithm of JWE for EC", jwk("ec256", map[string]any{"alg": "ECDH-ES+A128KW"}), nil, ""},
		{"a type that nobody knows", map[string]any{"kty": "AKP", "alg": "ML-DSA-44"}, nil, ""},
		{"X25519", map[string]any{"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "k"}, nil, "it cannot be read"},
		{"Ed448", map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AAAA", "kid": "k"}, algs("EdDSA"), ErrEd448.Error()},
		{"RSA 1024", jwk("rsa1024", nil), rsaAlgs, "RSA key of 1024 bits: expected 2048 to 8192"},
		{"an algorithm of another type", jwk("rsa2048", map[string]any{"alg": "ES256"}), nil, "its alg does not fit its type"},
		{"HS256 for a public key", jwk("rsa2048", map[string]any{"alg": "HS256"}), nil, "its alg does not fit its type"},
		{"an algorithm of another curve", jwk("ec256", map[string]any{"alg": "ES384"}), nil, "its alg does not fit its type"},
		{"without a modulus", without(jwk("rsa2048", nil), "n"), nil, "it cannot be read"},
		{"a point off the curve", jwk("ec256", map[string]any{"x": "AAAA"}), nil, "it cannot be read"},
		{"secp256k1", jwk("ec256", map[string]any{"crv": "secp256k1"}), nil, "it cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, err := json.Marshal(map[string]any{"keys": []any{tt.key}})
			if err != nil {
				t.Fatal(err)
			}
			keys, err := ParseSet(src)
			if err != nil {
				t.Fatal(err)
			}
			if tt.algs == nil && tt.bad == "" {
				if len(keys) != 0 {
					t.Errorf("%+v is not left out", keys)
				}
				return
			}
			if len(keys) != 1 || keys[0].ID != "k" || keys[0].Unusable != tt.bad || !slices.Equal(keys[0].Alg, tt.algs) {
				t.Fatalf("got %+v", keys)
			}
			if (keys[0].Public == nil) != (tt.bad != "") || (keys[0].SPKI() == nil) != (tt.bad != "") {
				t.Errorf("a key that may not be used is there, or the other way round: %+v", keys[0])
			}
			out := keys[0].Bundle()
			if native := tt.bad == "" && tt.key["kty"] != "OKP"; (out.DER != "") != native || out.ID != "k" || out.Unusable != tt.bad {
				t.Errorf("in the bundle it is %+v", out)
			}
			alone, err := json.Marshal(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			if one, err := ParseSet(alone); err != nil || len(one) != 1 || one[0].Unusable != tt.bad {
				t.Errorf("on its own: %+v, %v", one, err)
			}
		})
	}
}

func TestParseSetRefuses(t *testing.T) {
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"X"},`, MaxKeys+1), ",") + `]}`
	for src, want := range map[string]string{
		``:                      "jsonx: not JSON",
		`{}`:                    `not a JWK set: no member "keys"`,
		`[]`:                    "not a JWK set",
		`{"keys":{}}`:           "not a JWK set",
		`{"keys":null}`:         `not a JWK set: no member "keys"`,
		`{"keys":[],"keys":[]}`: "jsonx: an object has a member twice",
		`{"keys":["x"]}`:        "keys[0]: not a JWK",
		`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`: "keys[0]: a symmetric key in a public key set",
		`{"kty":"oct","k":"c2VjcmV0"}`:            "keys[0]: a symmetric key in a public key set",
		`{"keys":[{"kty":"EC","d":"x"}]}`:         "keys[0]: a private key in a public key set",
		`{"keys":[{"kty":"RSA","d":""}]}`:         "keys[0]: a private key in a public key set",
		`{"keys":[{"kty":7}]}`:                    "keys[0]: not a JWK",
		many:                                      "101 keys: expected at most 100",
		`{"keys":[[[[[[[[[]]]]]]]]]}`:             "jsonx: nested too deep",
	} {
		keys, err := ParseSet([]byte(src))
		if err == nil || err.Error() != want || keys != nil {
			t.Errorf("%.60s: %v, %v, want %s", src, keys, err, want)
		}
	}
	most := strings.Replace(many, `{"kty":"X"},`, "", 1)
	if _, err := ParseSet([]byte(most)); err != nil {
		t.Errorf("%d keys: %v", MaxKeys, err)
	}
	if keys, err := ParseSet([]byte(`{"keys":[]}`)); err != nil || len(keys) != 0 {
		t.Errorf("an empty set: %v, %v", keys, err)
	}
}

// FuzzParsePEM and FuzzParseSet: no input crashes, and no key comes out that may
// not be used.
func FuzzParsePEM(f *testing.F) {
	for _, name := range []string{"rsa2048", "ec256", "ec521", "ed25519", "rsa1024"} {
		f.Add(tokens.PublicPEM(name))
	}
	f.Add(tokens.File("ed448.pub.pem"))
	f.Add(tokens.File("ec256k.pub.pem"))
	f.Fuzz(func(t *testing.T, src string) {
		pub, err := ParsePEM(src)
		if err == nil && (Check(pub) != nil || len(Algs(pub)) == 0) {
			t.Errorf("%T came out", pub)
		}
		if errors.Is(err, ErrPEM) && pub != nil {
			t.Error("a key beside an error")
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, name := range []string{"rsa2048", "ec256", "ec521", "ed25519", "rsa1024"} {
		src, err := json.Marshal(map[string]any{"keys": []any{tokens.JWK(name, name, nil)}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":"oct","k":"AA"}]}`)
	f.Fuzz(func(t *testing.T, src string) {
		keys, err := ParseSet([]byte(src))
		if err != nil && keys != nil {
			t.Error("keys beside an error")
		}
		for _, k := range keys {
			if (k.Public == nil) != (k.Unusable != "") {
				t.Errorf("%+v", k)
			}
			if k.Public != nil && (Check(k.Public) != nil || len(k.Alg) == 0 || k.SPKI() == nil) {
				t.Errorf("%+v may not be used", k)
			}
			for _, a := range k.Alg {
				if a.Family() == jose.HMAC || a == jose.Unsupported {
					t.Errorf("a public key for %s", a)
				}
			}
			k.Bundle()
		}
	})
}
