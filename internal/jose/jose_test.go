package jose

import (
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// compact puts a token together; the signature is not a real one.
func compact(header, payload string) string {
	return b64(header) + "." + b64(payload) + "." + b64("signature")
}

const goodHeader = `{"alg":"RS256","kid":"k1","typ":"JWT"}`

// TestSame changes each bit of texts of each length around the steps.
func TestSame(t *testing.T) {
	a := strings.Repeat("0123456789abcdefghijklmnopqrstuv", 3)
	for n := range len(a) + 1 {
		b := []byte(a[:n])
		if !Same(a[:n], string(b)) || Same(a[:n], string(b)+"x") || n > 0 && Same(a[:n], string(b[:n-1])) {
			t.Fatalf("%d bytes", n)
		}
		for bit := range 8 * n {
			b[bit/8] ^= 1 << (bit % 8)
			if Same(a[:n], string(b)) {
				t.Fatalf("%d bytes: a change of bit %d is not seen", n, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
	// Two changes that would undo each other if the steps were joined wrongly.
	for i := range 64 {
		for j := range i {
			b := []byte(a[:64])
			b[i], b[j] = b[i]^1, b[j]^1
			if Same(a[:64], string(b)) {
				t.Fatalf("changes at %d and %d are not seen", i, j)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := compact(goodHeader, `{"iss":"i"}`)
	deep := strings.Repeat(`{"a":`, 13) + "1" + strings.Repeat("}", 13)
	tests := []struct {
		name, token string
		want        reason.Code
	}{
		{"good", good, 0},
		{"empty", "", reason.TokenMalformed},
		{"no dots", "abc", reason.TokenMalformed},
		{"one dot", "a.b", reason.TokenMalformed},
		{"three dots", "a.b.c.d", reason.TokenMalformed},
		{"JWE", "a.b.c.d.e", reason.TokenEncrypted},
		{"six parts", "a.b.c.d.e.f", reason.TokenMalformed},
		{"64 KiB", compact(goodHeader, `{"a":"`+strings.Repeat("x", 64<<10)+`"}`), reason.TokenTooLarge},
		{"padding", b64(goodHeader) + "." + base64.URLEncoding.EncodeToString([]byte(`{"a":1}`)) + ".c2ln", reason.TokenEncoding},
		{"standard alphabet", b64(goodHeader) + "." + base64.RawStdEncoding.EncodeToString([]byte(`{"a":"???>>>"}`)) + ".c2ln", reason.TokenEncoding},
		{"line break", strings.Replace(good, ".", "\n.", 1), reason.TokenEncoding},
		{"carriage return in the signature", good + "\r", reason.SignatureEncoding},
		{"space", " " + good, reason.TokenEncoding},
		{"trailing space", good + " ", reason.SignatureEncoding},
		{"spare bits set", b64(goodHeader) + "." + b64(`{"a":1}`) + ".Zh", reason.SignatureEncoding},
		{"spare bits set in the payload", b64(goodHeader) + ".e31.Zg", reason.TokenEncoding},
		{"impossible length", b64(goodHeader) + ".A.Zg", reason.TokenEncoding},
		{"empty signature", b64(goodHeader) + "." + b64(`{}`) + ".", reason.SignatureEncoding},
		{"empty payload", b64(goodHeader) + "..Zg", reason.TokenJSON},
		{"empty header", "." + b64(`{}`) + ".Zg", reason.TokenJSON},
		{"header is no object", compact(`["RS256"]`, `{}`), reason.TokenJSON},
		{"payload is no object", compact(goodHeader, `"x"`), reason.TokenJSON},
		{"payload is null", compact(goodHeader, `null`), reason.TokenJSON},
		{"payload is not JSON", compact(goodHeader, `{`), reason.TokenJSON},
		{"bytes behind the payload", compact(goodHeader, `{}x`), reason.TokenJSON},
		{"duplicate claim", compact(goodHeader, `{"exp":1,"exp":2}`), reason.TokenDuplicateKey},
		{"duplicate header", compact(`{"alg":"RS256","alg":"HS256"}`, `{}`), reason.TokenDuplicateKey},
		{"deep payload", compact(goodHeader, deep), reason.TokenTooDeep},
		{"long header", compact(`{"alg":"RS256","x":"`+strings.Repeat("x", 4<<10)+`"}`, `{}`), reason.TokenTooDeep},
		{"no alg", compact(`{"typ":"JWT"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg none", compact(`{"alg":"none"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg None", compact(`{"alg":"None"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg NONE", compact(`{"alg":"NONE"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg nOnE", compact(`{"alg":"nOnE"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg empty", compact(`{"alg":""}`, `{}`), reason.AlgorithmUnsupported},
		{"alg null", compact(`{"alg":null}`, `{}`), reason.AlgorithmUnsupported},
		{"alg a list", compact(`{"alg":["RS256"]}`, `{}`), reason.AlgorithmUnsupported},
		{"alg in lower case", compact(`{"alg":"rs256"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg with a space", compact(`{"alg":"RS256 "}`, `{}`), reason.AlgorithmUnsupported},
		{"Alg", compact(`{"Alg":"RS256"}`, `{}`), reason.AlgorithmUnsupported},
		{"alg of a JWE", compact(`{"alg":"RSA-OAEP"}`, `{}`), reason.AlgorithmUnsupported},
		{"ES256K", compact(`{"alg":"ES256K"}`, `{}`), reason.AlgorithmUnsupported},
		{"crit", compact(`{"alg":"RS256","crit":["exp"],"exp":1}`, `{}`), reason.HeaderCritical},
		{"empty crit", compact(`{"alg":"RS256","crit":[]}`, `{}`), reason.HeaderCritical},
		{"b64 false", compact(`{"alg":"RS256","b64":false}`, `{}`), reason.HeaderUnencoded},
		{"b64 true", compact(`{"alg":"RS256","b64":true}`, `{}`), reason.HeaderUnencoded},
		{"jku", compact(`{"alg":"RS256","jku":"https://evil.example/jwks"}`, `{}`), reason.HeaderKey},
		{"x5u", compact(`{"alg":"RS256","x5u":"https://evil.example/cert"}`, `{}`), reason.HeaderKey},
		{"jwk", compact(`{"alg":"RS256","jwk":{"kty":"oct","k":"AA"}}`, `{}`), reason.HeaderKey},
		{"x5t and x5c are only hints", compact(`{"alg":"RS256","x5t":"abc","x5c":["abc"]}`, `{}`), 0},
		{"zip", compact(`{"alg":"RS256","zip":"DEF"}`, `{}`), reason.TokenHeader},
		{"kid a number", compact(`{"alg":"RS256","kid":7}`, `{}`), reason.TokenHeader},
		{"typ a number", compact(`{"alg":"RS256","typ":7}`, `{}`), reason.TokenHeader},
		{"kid a path", compact(`{"alg":"RS256","kid":"../../etc/passwd"}`, `{}`), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, code := Parse(tt.token)
			if code != tt.want {
				t.Fatalf("got %v, want %v", code, tt.want)
			}
			if code != 0 && got != nil {
				t.Error("a refused token came back")
			}
		})
	}
}

func TestParseReads(t *testing.T) {
	raw := compact(`{"alg":"ES384","kid":"k\u00e9y","typ":"application/AT+JWT"}`, `{"sub":"s","exp":12}`)
	tok, code := Parse(raw)
	if code != 0 {
		t.Fatal(code)
	}
	if tok.Alg != ES384 || tok.KeyID != "kéy" || tok.Type != "at+jwt" || tok.Signature() != "signature" {
		t.Errorf("read %+v", tok)
	}
	if tok.Raw != raw || tok.SigningInput+"."+b64("signature") != raw {
		t.Error("the signing input is not what stands in the token")
	}
	if sub, _ := tok.Claims.Root().Get("sub").Text(); sub != "s" {
		t.Errorf("sub = %q", sub)
	}
}

func TestOtherPurpose(t *testing.T) {
	for typ, want := range map[string]bool{
		"": false, "JWT": false, "jwt": false, "at+jwt": false, "application/at+jwt": false, "JOSE": false,
		"logout+jwt": true, "dpop+jwt": true, "application/LOGOUT+JWT": true,
		"token-introspection+jwt": true, "secevent+jwt": true, "x.at+jwt": true,
	} {
		tok, code := Parse(compact(`{"alg":"RS256","typ":"`+typ+`"}`, `{}`))
		if code != 0 || tok.OtherPurpose() != want {
			t.Errorf("typ %q: code %v, other purpose %v", typ, code, tok.OtherPurpose())
		}
	}
}

func TestAlgs(t *testing.T) {
	if names := Algs(); len(names) != 13 {
		t.Fatalf("%d algorithms: %v", len(names), names)
	}
	for _, name := range Algs() {
		a := ParseAlg(name)
		if a.String() != name || a.Family() == NoFamily {
			t.Errorf("%s reads as %v of family %d", name, a, a.Family())
		}
		if want := name[:2] == "RS" || name[:2] == "ES"; a.Native() != want {
			t.Errorf("%s native = %v", name, a.Native())
		}
		if want := "sha" + name[2:]; name != "EdDSA" && a.Hash() != want {
			t.Errorf("%s hash = %q", name, a.Hash())
		}
	}
	var zero Alg
	if zero.Native() || zero.Family() != NoFamily || zero.String() != "" || Alg(200).String() != "" {
		t.Error("an unsupported algorithm has properties")
	}
}

func TestECDSASignature(t *testing.T) {
	pad := func(n *big.Int, size int) string { return string(n.FillBytes(make([]byte, size))) }
	one, high := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 255)
	for _, alg := range []Alg{ES256, ES384, ES512} {
		half := algs[alg].size / 2
		top := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*half)), one)
		for _, pair := range [][2]*big.Int{{one, one}, {high, one}, {one, high}, {top, top}, {big.NewInt(127), big.NewInt(128)}} {
			sig := pad(pair[0], half) + pad(pair[1], half)
			if code := CheckSignature(alg, sig); code != 0 {
				t.Fatalf("%v: %v", alg, code)
			}
			want, err := asn1.Marshal(struct{ R, S *big.Int }{pair[0], pair[1]})
			if err != nil {
				t.Fatal(err)
			}
			if got := AppendECDSA(nil, sig); string(got) != string(want) {
				t.Errorf("%v r=%x s=%x\ngot  %x\nwant %x", alg, pair[0], pair[1], got, want)
			}
		}
		zeros, ones := strings.Repeat("\x00", half), strings.Repeat("\x01", half)
		for name, sig := range map[string]string{
			"r zero": zeros + ones, "s zero": ones + zeros, "both zero": zeros + zeros,
			"short": ones + ones[1:], "long": ones + ones + "\x01", "empty": "",
			"DER": string(AppendECDSA(nil, ones+ones)),
		} {
			if code := CheckSignature(alg, sig); code != reason.SignatureMalformed {
				t.Errorf("%v %s: %v", alg, name, code)
			}
		}
	}
	if CheckSignature(EdDSA, "short") != reason.SignatureMalformed || CheckSignature(HS256, strings.Repeat("x", 32)) != 0 {
		t.Error("the length of EdDSA and HMAC signatures is not checked")
	}
	if CheckSignature(RS256, "any length") != 0 {
		t.Error("an RSA signature's length depends on the key, not on the algorithm")
	}
}

// TestParserRemembers: what a parser has seen before changes nothing.
func TestParserRemembers(t *testing.T) {
	var p Parser
	good := compact(`{"alg":"RS256","kid":"a","typ":"at+jwt"}`, `{"n":1}`)
	other := compact(`{"alg":"ES256","kid":"b"}`, `{"n":2}`)
	for _, raw := range []string{good, good, other, compact(`{"alg":"none"}`, `{}`), other, good, "x" + good, good} {
		got, code := p.Parse(raw)
		want, wantCode := Parse(raw)
		if code != wantCode {
			t.Fatalf("%s: %v, without memory %v", raw, code, wantCode)
		}
		if code == 0 && (got.Alg != want.Alg || got.KeyID != want.KeyID || got.Type != want.Type ||
			got.Header.Doc.Source() != want.Header.Doc.Source() || got.Claims.Source() != want.Claims.Source()) {
			t.Fatalf("%s: %+v, without memory %+v", raw, got, want)
		}
	}
}

// TestParserForgets: a parser remembers few headers, and reads the others anew.
func TestParserForgets(t *testing.T) {
	var p Parser
	for range 2 {
		for i := range 3 * len(p.headers) {
			kid := strings.Repeat("k", i+1) // each header begins like the one before
			tok, code := p.Parse(compact(`{"alg":"RS256","kid":"`+kid+`"}`, `{}`))
			if code != 0 || tok.KeyID != kid {
				t.Fatalf("kid %q: %v, %+v", kid, code, tok)
			}
		}
	}
	if _, code := p.Parse(compact(`{"alg":"RS256"}`, `{}`) + ".x"); code != reason.TokenMalformed {
		t.Errorf("a fourth part behind a known header: %v", code)
	}
}

// TestParserReuses: a token is good until the next one, for ever when it is kept or
// cloned.
func TestParserReuses(t *testing.T) {
	raw := compact(goodHeader, `{"sub":"somebody","aud":["a","b"]}`)
	check := func(what string, tok *Token, claims jsonx.Value) {
		t.Helper()
		sub, _ := claims.Get("sub").Text()
		if tok.Raw != raw || tok.KeyID != "k1" || tok.Alg != RS256 || sub != "somebody" || claims.Get("aud").Len() != 2 ||
			tok.SigningInput+"."+b64(tok.Signature()) != raw {
			t.Errorf("%s changed: %+v", what, tok)
		}
	}
	var p Parser
	first, code := p.Parse(raw)
	if code != 0 {
		t.Fatal(code)
	}
	root := first.Claims.Root()
	p.Keep()
	second, code := p.Parse(raw)
	if code != 0 {
		t.Fatal(code)
	}
	clone := second.Clone()
	for _, other := range []string{"a.b.c", compact(goodHeader, `{"x":"`+strings.Repeat("x", 2000)+`"}`), compact(goodHeader, `{`),
		compact(`{"alg":"ES256","kid":"other"}`, `{"n":[1,2,3,4,5,6,7,8,9]}`)} {
		if tok, code := p.Parse(other); code != 0 && tok != nil {
			t.Error("a refused token came back")
		}
	}
	check("the token that was kept", first, root)
	check("the clone", clone, clone.Claims.Root())
	if &clone.Claims == &second.Claims || second.KeyID != "other" || second.Claims.Root().Get("n").Len() != 9 {
		t.Errorf("the parser does not use its memory again: %+v", second)
	}
}

// TestTokenOwnsItsMemory: the text that was parsed may be written over.
func TestTokenOwnsItsMemory(t *testing.T) {
	raw := compact(`{"alg":"RS256","kid":"key","typ":"JWT"}`, `{"sub":"somebody"}`)
	memory := []byte(raw)
	tok, code := Parse(text(memory))
	if code != 0 {
		t.Fatal(code)
	}
	clear(memory)
	sub, _ := tok.Claims.Root().Get("sub").Text()
	if tok.Raw != raw || tok.KeyID != "key" || sub != "somebody" || tok.SigningInput+"."+b64(tok.Signature()) != raw {
		t.Errorf("the token changed with the text it was parsed from: %+v", tok)
	}
}

// BenchmarkParse is what a token costs that nobody has seen before, but for its
// signature.
func BenchmarkParse(b *testing.B) {
	raw := b64(goodHeader) + "." + b64(`{"exp":1795587420,"iat":1795580220,"iss":"https://issuer.example/realms/r","scope":"openid profile","sub":"user"}`) +
		"." + b64(strings.Repeat("s", 256))
	var p Parser
	b.ReportAllocs()
	for b.Loop() {
		if _, code := p.Parse(raw); code != 0 {
			b.Fatal(code)
		}
	}
}
