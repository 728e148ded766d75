package passhash

import (
	"errors"
	"strings"
	"testing"
)

const (
	argon  = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA"
	bcrypt = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
)

func TestParse(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(argon, old, new, 1) }
	for _, tt := range []struct {
		s    string
		want error
		weak bool
	}{
		{argon, nil, false},
		{with("t=2", "t=1"), nil, true},
		{with("m=19456,t=2", "m=47104,t=1"), nil, false},
		{with("m=19456,t=2", "m=7168,t=5"), nil, false},
		{with("m=19456,t=2", "m=7167,t=5"), nil, true},
		{with("m=19456,t=2", "m=262144,t=2"), nil, false},
		{with("m=19456,t=2", "m=262144,t=3"), ErrCost, false},
		{with("m=19456,t=2", "m=262145,t=1"), ErrCost, false},
		{with("m=19456,t=2", "m=8,t=4294967295"), ErrCost, false},
		{with("p=1", "p=17"), ErrCost, false},
		{with("p=1", "p=0"), ErrForm, false},
		{with("m=19456", "m=019456"), ErrForm, false},
		{with("m=19456", "m=+19456"), ErrForm, false},
		{with("m=19456", "m=4294967296"), ErrForm, false},
		{with("m=19456", "m=7"), ErrForm, false},
		{with("v=19", "v=16"), ErrForm, false},
		{with("m=19456,t=2,p=1", "t=2,m=19456,p=1"), ErrForm, false},
		{with("m=19456,t=2,p=1", "m=19456,t=2,p=1,keyid=x"), ErrForm, false},
		{with("c2FsdHNhbHQ$", "c2FsdA$"), ErrForm, false},
		{argon + "==", ErrForm, false},
		{argon + "$", ErrForm, false},
		{argon + strings.Repeat("A", 600), ErrForm, false},
		{with("$argon2id", "$argon2i"), ErrUnknown, false},
		{bcrypt, nil, false},
		{strings.Replace(bcrypt, "$2b$", "$2a$", 1), nil, false},
		{strings.Replace(bcrypt, "$2b$", "$2y$", 1), nil, false},
		{strings.Replace(bcrypt, "$2b$", "$2x$", 1), ErrUnknown, false},
		{strings.Replace(bcrypt, "$10$", "$09$", 1), nil, true},
		{strings.Replace(bcrypt, "$10$", "$14$", 1), nil, false},
		{strings.Replace(bcrypt, "$10$", "$15$", 1), ErrCost, false},
		{strings.Replace(bcrypt, "$10$", "$03$", 1), ErrForm, false},
		{strings.Replace(bcrypt, "$10$", "$+9$", 1), ErrForm, false},
		{bcrypt[:59], ErrForm, false},
		{bcrypt[:59] + "-", ErrForm, false},
		{"", ErrUnknown, false},
		{"password", ErrUnknown, false},
		{"$1$salt$hash", ErrUnknown, false},
	} {
		h, err := Parse(tt.s)
		if !errors.Is(err, tt.want) || err == nil && h.Weak() != tt.weak {
			t.Errorf("%s: %v, weak %v; want %v, %v", tt.s, err, h.Weak(), tt.want, tt.weak)
		}
		if err == nil && h.Kind == Argon2id && h.String() != tt.s {
			t.Errorf("%s is written as %s", tt.s, h.String())
		}
		if looks := Looks(tt.s); looks != strings.HasPrefix(tt.s, "$") {
			t.Errorf("%s looks like a hash: %v", tt.s, looks)
		}
	}
}

// FuzzParse: what is read is within the bounds, and argon2id has one spelling.
func FuzzParse(f *testing.F) {
	f.Add(argon)
	f.Add(bcrypt)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := Parse(s)
		if err != nil {
			return
		}
		switch {
		case h.Kind == Bcrypt && (h.Cost < 4 || h.Cost > maxCost):
			t.Errorf("%q: cost %d", s, h.Cost)
		case h.Kind == Argon2id && (h.String() != s || uint64(h.Memory)*uint64(h.Passes) > maxWork || h.Threads == 0 || h.Passes == 0 || len(h.Sum) < 16):
			t.Errorf("%q: %+v", s, h)
		}
	})
}
