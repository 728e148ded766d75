package seal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// sealedTexts are all the texts that exist in a fuzz run: nothing else opens.
func sealedTexts(r *Ring) map[string]string {
	texts := map[string]string{}
	for i, plain := range []string{"", "a", "twenty bytes of text", strings.Repeat("long ", 40)} {
		texts[r.seal("session", []string{"instance", "issuer"}, []byte(plain), [nonceSize]byte{byte(i)})] = plain
	}
	return texts
}

// FuzzOpen: what opens is a text that was sealed, with its purpose and aad.
func FuzzOpen(f *testing.F) {
	r := ring(f, secretA, secretB)
	texts := sealedTexts(r)
	for text := range texts {
		f.Add("session", "instance", "issuer", text)
		f.Add("flow", "instance", "issuer", text)
		f.Add("session", "instanceissuer", "", text)
		f.Add("session", "instance", "issuer", text[:len(text)-1])
		f.Add("session", "instance", "issuer", text+"\n")
		f.Add("session", "instance", "issuer", "A"+text)
	}
	f.Fuzz(func(t *testing.T, purpose, a, b, text string) {
		plain, err := r.Open(purpose, []string{a, b}, text)
		want, sealed := texts[text]
		sealed = sealed && purpose == "session" && a == "instance" && b == "issuer"
		switch {
		case sealed && (err != nil || string(plain) != want):
			t.Fatalf("a sealed text: %q, %v", plain, err)
		case !sealed && (err != ErrOpen || plain != nil):
			t.Fatalf("opened %q, %v", plain, err)
		}
	})
}

// FuzzSeal: what is sealed opens, and not with the same aad cut differently.
func FuzzSeal(f *testing.F) {
	r := ring(f, secretA)
	f.Add("session", "instance", "issuer", []byte("plain"))
	f.Add("", "", "", []byte(nil))
	f.Add("key", "a\x00", "\x00b", []byte("\x00"))
	f.Fuzz(func(t *testing.T, purpose, a, b string, plain []byte) {
		if len(plain) > MaxPlain {
			return
		}
		text := r.Seal(purpose, []string{a, b}, plain)
		if got, err := r.Open(purpose, []string{a, b}, text); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %q, %v", got, err)
		}
		for _, aad := range [][]string{{a + b}, {a + b, ""}, {"", a + b}, {b, a}, {a, b, ""}, {a}} {
			if _, err := r.Open(purpose, aad, text); err == nil && !slices.Equal(aad, []string{a, b}) {
				t.Fatalf("opened with %q, sealed with %q", aad, []string{a, b})
			}
		}
		if _, err := r.Open(purpose+a, []string{b}, text); err == nil {
			t.Fatal("opened with aad in the purpose")
		}
	})
}

// FuzzJoin gives Join the cookies of a header. What it returns and Open accepts
// is a value that was sealed.
func FuzzJoin(f *testing.F) {
	r := ring(f, secretA)
	texts := sealedTexts(r)
	for text := range texts {
		for _, limit := range []int{30, 60, 0} {
			cookies, err := Split("n", text, limit, 0)
			if err != nil {
				continue
			}
			f.Add(header(cookies))
			f.Add(header(cookies[1:]))
			f.Add(header(append(cookies, cookies[0])))
			f.Add(header(append(cookies, Cookie{"n_8", "A"})))
		}
	}
	f.Add("n=2.a; n_2=b; n_3=c; n_3=c")
	f.Add("n_8=; n=1.")
	f.Fuzz(func(t *testing.T, line string) {
		var cookies []Cookie
		own := ""
		for c := range strings.SplitSeq(line, "; ") {
			name, value, _ := strings.Cut(c, "=")
			cookies = append(cookies, Cookie{name, value})
			if slices.Contains(Names("n"), name) {
				own += value
			}
		}
		value, err := Join("n", cookies)
		if err != nil {
			if value != "" || err != ErrAbsent && err != ErrChunks {
				t.Fatalf("joined %q and %v", value, err)
			}
			return
		}
		if len(value) != len(own)-len("1.") || len(value) > MaxText {
			t.Fatalf("joined %d bytes of %d", len(value), len(own))
		}
		plain, err := r.Open("session", []string{"instance", "issuer"}, value)
		if want, sealed := texts[value]; sealed != (err == nil) || string(plain) != want {
			t.Fatalf("opened %q, %v", plain, err)
		}
	})
}

func header(cookies []Cookie) string {
	var parts []string
	for _, c := range cookies {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return strings.Join(parts, "; ")
}

// FuzzSplit: every cookie keeps the bound, and together they are the value.
func FuzzSplit(f *testing.F) {
	f.Add("n", "value", 7, 0)
	f.Add("__Host-session", strings.Repeat("x", 20000), 4000, 60)
	f.Add("n", "", 0, 3996)
	f.Fuzz(func(t *testing.T, name, value string, limit, attributes int) {
		if attributes < 0 || attributes > 1<<20 || limit > 1<<20 {
			return
		}
		cookies, err := Split(name, value, limit, attributes)
		if err != nil {
			if err != ErrTooLarge || cookies != nil {
				t.Fatalf("%d cookies and %v", len(cookies), err)
			}
			return
		}
		if limit == 0 {
			limit = MaxCookie
		}
		if len(cookies) == 0 || len(cookies) > MaxChunks {
			t.Fatalf("%d cookies", len(cookies))
		}
		for _, c := range cookies {
			if n := len(c.Name) + 1 + len(c.Value) + attributes; n > limit {
				t.Fatalf("a cookie of %d bytes, the limit is %d", n, limit)
			}
		}
		if got, err := Join(name, cookies); err != nil || got != value {
			t.Fatalf("joined %q, %v", got, err)
		}
	})
}

// FuzzUnpack: the bound holds whatever comes, and what comes out packs again.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(Pack([]byte("short")), 5)
	f.Add(Pack([]byte(strings.Repeat("long ", 100))), 500)
	f.Add(Pack(make([]byte, 1<<20)), 1<<10)
	f.Add([]byte{deflated, 3, 0}, 0)
	f.Fuzz(func(t *testing.T, packed []byte, limit int) {
		limit = min(limit, 1<<20)
		plain, err := Unpack(packed, limit)
		if err != nil {
			if err != ErrPacked || plain != nil {
				t.Fatalf("%d bytes and %v", len(plain), err)
			}
			return
		}
		if len(plain) > limit {
			t.Fatalf("%d bytes, the bound is %d", len(plain), limit)
		}
		if again, err := Unpack(Pack(plain), len(plain)); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("packed again: %d bytes of %d, %v", len(again), len(plain), err)
		}
	})
}
