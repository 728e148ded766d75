package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

const (
	secretA = "secret A of more than 32 bytes, as it should be"
	secretB = "secret B of more than 32 bytes, as it should be"
)

func ring(t testing.TB, secrets ...string) *Ring {
	t.Helper()
	var list []redact.Secret
	for _, s := range secrets {
		list = append(list, redact.New(s))
	}
	r, err := NewRing(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// refused fails unless a text is refused, without bytes and without a reason.
func refused(t testing.TB, r *Ring, purpose string, aad []string, text, what string) {
	t.Helper()
	if plain, err := r.Open(purpose, aad, text); err != ErrOpen || plain != nil {
		t.Errorf("%s: opened %q, error %v, want ErrOpen", what, plain, err)
	}
}

func TestSealedTextOpens(t *testing.T) {
	r := ring(t, secretA)
	for _, test := range []struct {
		name    string
		purpose string
		aad     []string
		plain   string
	}{
		{"usual", "session", []string{"instance", "issuer"}, `{"sub":"alice"}`},
		{"nothing at all", "", nil, ""},
		{"bytes", "session", []string{"\x00\xff"}, "\x00\xff\n"},
		{"long", "session", nil, strings.Repeat("x", MaxPlain)},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := r.Seal(test.purpose, test.aad, []byte(test.plain))
			if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("text %q is not base64url", text)
			}
			if plain, err := r.Open(test.purpose, test.aad, text); err != nil || string(plain) != test.plain {
				t.Errorf("opened %q, %v", plain, err)
			}
			if again := r.Seal(test.purpose, test.aad, []byte(test.plain)); again == text {
				t.Error("the same text twice: the nonce is not random")
			}
		})
	}
}

// The text is written down: a later version that reads it differently would end
// every session, and one that writes it differently needs another version byte.
func TestFormatNeverChanges(t *testing.T) {
	const want = "AUF1YikBAgMEBQYHCAkKCwwNDg8QERITFBUWFxjBqRjp2trvwjCAC5Hn4ZHs2Ubz-g0"
	var nonce [nonceSize]byte
	for i := range nonce {
		nonce[i] = byte(i + 1)
	}
	r := ring(t, secretA, secretB)
	if got := r.seal("session", []string{"a", "b"}, []byte("plain"), nonce); got != want {
		t.Errorf("sealed %q, want %q", got, want)
	}
	if plain, err := r.Open("session", []string{"a", "b"}, want); err != nil || string(plain) != "plain" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func TestEveryChangedBitIsRefused(t *testing.T) {
	r := ring(t, secretA, secretB)
	text := r.Seal("session", []string{"a"}, []byte("twenty bytes of text"))
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(data) {
		changed := bytes.Clone(data)
		changed[i/8] ^= 1 << (i % 8)
		refused(t, r, "session", []string{"a"}, base64.RawURLEncoding.EncodeToString(changed), fmt.Sprintf("bit %d of byte %d", i%8, i/8))
	}
	// The same of the text itself, which catches bits that base64 would drop.
	for i := range 8 * len(text) {
		changed := []byte(text)
		changed[i/8] ^= 1 << (i % 8)
		refused(t, r, "session", []string{"a"}, string(changed), fmt.Sprintf("bit %d of character %d", i%8, i/8))
	}
}

func TestOtherTextsAreRefused(t *testing.T) {
	r := ring(t, secretA)
	for _, plain := range []string{"", "1", "12", "123"} {
		text := r.Seal("p", nil, []byte(plain))
		for n := range len(text) {
			refused(t, r, "p", nil, text[:n], fmt.Sprintf("the first %d characters", n))
			refused(t, r, "p", nil, text[n+1:], fmt.Sprintf("without the first %d characters", n+1))
			for _, odd := range []string{"\n", "\r", " ", "=", "A", "AA", "AAAA", "\x00", "+", "/", "."} {
				refused(t, r, "p", nil, text[:n]+odd+text[n:], fmt.Sprintf("%q at %d", odd, n))
			}
		}
		for _, odd := range []string{"\n", "=", "==", "A", "AA", "AAA", "AAAA"} {
			refused(t, r, "p", nil, text+odd, fmt.Sprintf("%q at the end", odd))
		}
		refused(t, r, "p", nil, text+text, "twice")
	}
	// Trailing bits that base64 decoders like to ignore: one character stands for
	// the last two bits of the text and four bits of nothing.
	text := r.Seal("p", nil, []byte("1"))
	if len(text)%4 != 2 {
		t.Fatal("the text has no trailing bits to change")
	}
	last := strings.IndexByte(alphabet, text[len(text)-1])
	for i := range alphabet {
		if i != last {
			refused(t, r, "p", nil, text[:len(text)-1]+alphabet[i:i+1], "another last character")
		}
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestOpenIsBounded(t *testing.T) {
	r := ring(t, secretA)
	text := r.Seal("p", nil, make([]byte, MaxPlain))
	if len(text) != MaxText {
		t.Fatalf("a text of %d bytes, want %d", len(text), MaxText)
	}
	if _, err := r.Open("p", nil, text); err != nil {
		t.Errorf("a text of MaxText bytes: %v", err)
	}
	refused(t, r, "p", nil, r.Seal("p", nil, make([]byte, MaxPlain+1)), "one byte more")
}

func TestPurposeAndAADBind(t *testing.T) {
	r := ring(t, secretA)
	purpose, aad := "session", []string{"instance", "issuer", ""}
	text := r.Seal(purpose, aad, []byte("plain"))
	for _, test := range []struct {
		name    string
		purpose string
		aad     []string
	}{
		{"another purpose", "flow", aad},
		{"no purpose", "", aad},
		{"a purpose that goes on", "session ", aad},
		{"another instance", purpose, []string{"instance2", "issuer", ""}},
		{"another order", purpose, []string{"issuer", "instance", ""}},
		{"one less", purpose, aad[:2]},
		{"one more", purpose, append(aad[:3:3], "")},
		{"cut apart differently", purpose, []string{"instanc", "eissuer", ""}},
		{"joined", purpose, []string{"instanceissuer", ""}},
		{"the purpose as aad", "", append([]string{purpose}, aad...)},
		{"aad in the purpose", "sessioninstance", aad[1:]},
		{"a length in a text", purpose, []string{"instance\x00\x00\x00\x00\x00\x00\x00\x06issuer", ""}},
		{"none", purpose, nil},
	} {
		refused(t, r, test.purpose, test.aad, text, test.name)
	}
}

func TestRotation(t *testing.T) {
	before, during, after := ring(t, secretA), ring(t, secretB, secretA), ring(t, secretB)
	old := before.Seal("p", nil, []byte("old"))
	if plain, err := during.Open("p", nil, old); err != nil || string(plain) != "old" {
		t.Errorf("a text of the old secret: %q, %v", plain, err)
	}
	refused(t, after, "p", nil, old, "a text of a removed secret")
	renewed := during.Seal("p", nil, []byte("new"))
	if plain, err := after.Open("p", nil, renewed); err != nil || string(plain) != "new" {
		t.Errorf("a text of the first secret: %q, %v", plain, err)
	}
	refused(t, before, "p", nil, renewed, "a text of a secret that is not there yet")
}

// Ids are short: two secrets of a ring may have the same.
func TestKeysWithOneID(t *testing.T) {
	r := ring(t, secretA, secretB)
	second := &Ring{keys: r.keys[1:]}
	r.keys[0].id, r.keys[1].id = [idSize]byte{7}, [idSize]byte{7}
	text := second.Seal("p", nil, []byte("plain"))
	if plain, err := r.Open("p", nil, text); err != nil || string(plain) != "plain" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func TestNewRing(t *testing.T) {
	for _, test := range []struct {
		name    string
		secrets []string
		err     string // "" for none
		keys    int
	}{
		{"none", nil, "seal: a ring needs a secret", 0},
		{"an empty one", []string{secretA, ""}, "seal: secret 2 is empty", 0},
		{"one byte", []string{"x"}, "", 1},
		{"two", []string{secretA, secretB}, "", 2},
		{"the same twice", []string{secretA, secretB, secretA}, "", 2},
		{"a zero byte makes another one", []string{"x", "x\x00"}, "", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list []redact.Secret
			for _, s := range test.secrets {
				list = append(list, redact.New(s))
			}
			r, err := NewRing(list)
			if test.err != "" {
				if r != nil || err == nil || err.Error() != test.err {
					t.Fatalf("%v, error %v, want %q", r, err, test.err)
				}
				return
			}
			if err != nil || len(r.keys) != test.keys {
				t.Fatalf("error %v, want %d keys", err, test.keys)
			}
		})
	}
	refused(t, &Ring{}, "", nil, ring(t, secretA).Seal("", nil, nil), "a zero ring")
}

func TestKeysAreNotPrinted(t *testing.T) {
	r := ring(t, secretA)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "r", r, "v", *r)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "r", r, "v", *r)
	printed := fmt.Sprintf("%v %+v %#v %s %d %x %v %d", r, r, r, r, r, r, *r, *r) + fmt.Sprint(struct{ R *Ring }{r}) + log.String()
	prk := r.keys[0].prk
	for _, leak := range []string{secretA, fmt.Sprintf("%x", prk[:4]), fmt.Sprintf("%d %d", prk[0], prk[1]), string(prk[:4])} {
		if strings.Contains(printed, leak) {
			t.Errorf("printed: %s", printed)
		}
	}
}

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	r := ring(t, secretA, secretB)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				purpose, plain := fmt.Sprint("p", i%3), Pack(bytes.Repeat([]byte{byte(g)}, 10*i))
				packed, err := r.Open(purpose, []string{"a"}, r.Seal(purpose, []string{"a"}, plain))
				got, unpackErr := Unpack(packed, 1000)
				if err := errors.Join(err, unpackErr); err != nil || len(got) != 10*i || bytes.Count(got, []byte{byte(g)}) != len(got) {
					t.Errorf("opened %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}
