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
		if !c.Passes() && !c.Step() && e.text == "" {
			t.Errorf("%s denies without a sentence", e.word)
		}
		switch e.status {
		case 0, 400, 401, 403, 404, 415, 426, 503:
		case 302, 303:
			if !c.Step() {
				t.Errorf("%s redirects, and is no step of a login", e.word)
			}
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

// What a client is told goes by RFC 6750 §3: an error of the token with 401, a
// lack of rights with 403, and no error where there was no token, or where the
// trouble is ours.
func TestOAuth(t *testing.T) {
	silent := map[Code]bool{CredentialMissing: true, ConsumerUnknown: true, GroupRefused: true, ApplicationUnknown: true, ConsumerRefused: true, ContractMissing: true, CredentialRefused: true,
		CredentialMalformed: true, CredentialExpired: true, PasswordWrong: true}
	for c := Code(0); c < count; c++ {
		want := ""
		switch {
		case silent[c], c >= SessionInvalid && c <= LogoutTokenReplayed && c != DomainMismatch: // no bearer token is at fault
		case c == CredentialMultiple: // "repeats the same parameter, uses more than one method"
			want = "invalid_request"
		case c.Status() == 401:
			want = "invalid_token"
		case c.Status() == 403:
			want = "insufficient_scope"
		}
		if c.OAuth() != want {
			t.Errorf("%s: status %d with %q, want %q", c, c.Status(), c.OAuth(), want)
		}
	}
	if CredentialMissing.Status() != 401 || CredentialMultiple.Status() != 400 {
		t.Error("a missing or doubled credential has another status")
	}
}

// A code that does not exist is the zero code, and denies.
func TestUnknownCode(t *testing.T) {
	for c := int(count); c < 256; c++ {
		code := Code(c)
		if code.Passes() || !code.Ours() || code.Error() != Unspecified.Error() || code.Text() != Unspecified.Text() {
			t.Fatalf("Code(%d) is %s", c, code)
		}
	}
	if Count != int(count) || SidecarAnswer.String() != "sidecar_answer" {
		t.Error("the number of codes or a word is wrong")
	}
}
