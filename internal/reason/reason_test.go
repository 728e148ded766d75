package reason

import "testing"

func TestTableIsComplete(t *testing.T) {
	words := map[string]Code{}
	for c := Code(0); c < count; c++ {
		e := table[c]
		if e.word == "" {
			t.Errorf("code %d has no entry", c)
			continue
		}
		if other, dup := words[e.word]; dup {
			t.Errorf("%q names both %d and %d", e.word, other, c)
		}
		words[e.word] = c
		if got, ok := Parse(e.word); !ok || got != c {
			t.Errorf("Parse(%q) = %d, %v; want %d", e.word, got, ok, c)
		}
		if !c.Passes() && e.text == "" {
			t.Errorf("%s denies without a sentence", e.word)
		}
		switch e.status {
		case 0, 400, 401, 403, 404, 415, 426, 503:
		default:
			t.Errorf("%s has status %d; our trouble is 503 and nothing is 500", e.word, e.status)
		}
		if c.Ours() && e.oauth != "" {
			t.Errorf("%s blames the token for our trouble", e.word)
		}
	}
}

func TestOnlyFourCodesPass(t *testing.T) {
	want := map[Code]bool{Allowed: true, AllowedAnonymous: true, Unprotected: true, Preflight: true}
	for c := 0; c < 256; c++ {
		if got := Code(c).Passes(); got != want[Code(c)] {
			t.Errorf("Code(%d) %q passes = %v, want %v", c, Code(c), got, want[Code(c)])
		}
	}
}

func TestZeroDenies(t *testing.T) {
	var c Code
	if c.Passes() || !c.Ours() || c.Status() != 503 {
		t.Fatalf("zero code: passes %v, ours %v, status %d", c.Passes(), c.Ours(), c.Status())
	}
	if _, ok := Parse("no such word"); ok {
		t.Fatal("an unknown word parsed")
	}
}
