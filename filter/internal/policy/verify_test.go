package policy

import (
	"slices"
	"strconv"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestCandidates: which keys a signature is tried with, in which order, and what is
// said where there are none.
func TestCandidates(t *testing.T) {
	elliptic := bundle.Key{ID: "k", DER: "ec", Alg: []jose.Alg{jose.ES256}}
	short := bundle.Key{ID: "k", DER: "short", Alg: []jose.Alg{jose.RS256}, Unusable: "too short"}
	nameless := func(der string) bundle.Key { return bundle.Key{DER: der, Alg: []jose.Alg{jose.RS256}} }
	many := func(id string) (list []bundle.Key) {
		for i := range 6 {
			list = append(list, bundle.Key{ID: id, DER: strconv.Itoa(i), Alg: []jose.Alg{jose.RS256}})
		}
		return list
	}
	for name, tt := range map[string]struct {
		kid  string
		keys []bundle.Key
		want []string
		code reason.Code
	}{
		"by its kid":                       {"k", []bundle.Key{rsaKey("x"), rsaKey("k"), nameless("n")}, []string{"der of k"}, 0},
		"two with one kid":                 {"k", []bundle.Key{elliptic, rsaKey("k")}, []string{"der of k"}, 0},
		"an unknown kid":                   {"k", []bundle.Key{rsaKey("x")}, nil, reason.KeyUnknown},
		"an unknown kid, keys without":     {"k", []bundle.Key{rsaKey("x"), nameless("n")}, []string{"n"}, 0},
		"of another algorithm":             {"k", []bundle.Key{elliptic, nameless("n")}, nil, reason.AlgorithmMismatch},
		"unusable":                         {"k", []bundle.Key{short, nameless("n")}, nil, reason.CredentialUnusable},
		"unusable, and another algorithm":  {"k", []bundle.Key{short, elliptic}, nil, reason.CredentialUnusable},
		"without a kid":                    {"", []bundle.Key{rsaKey("a"), nameless("n"), elliptic, rsaKey("b")}, []string{"der of a", "n", "der of b"}, 0},
		"without a kid, no more than four": {"", many("x"), []string{"0", "1", "2", "3"}, 0},
		"keys without, no more than four":  {"k", many(""), []string{"0", "1", "2", "3"}, 0},
		"without a kid, another algorithm": {"", []bundle.Key{elliptic}, nil, reason.AlgorithmMismatch},
		"no keys":                          {"", nil, nil, reason.KeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			found, code := candidates(tt.keys, &jose.Token{Header: jose.Header{KeyID: tt.kid, Alg: jose.RS256}})
			var got []string
			for _, k := range found {
				got = append(got, k.DER)
			}
			if !slices.Equal(got, tt.want) || code != tt.code {
				t.Errorf("%q %v, want %q %v", got, code, tt.want, tt.code)
			}
		})
	}
}

// TestKeysOfACredential: only a credential whose keys come from elsewhere is worth a
// question for an unknown kid, and one question for each kid.
func TestKeysOfACredential(t *testing.T) {
	token := jws(issuedHeader, `{"iss":"a"}`, "signature")
	credential := func(remote bool, keys ...bundle.Key) wire.Answer {
		return wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: "c", Key: "a", Version: strconv.Itoa(len(keys)), Alg: []jose.Alg{jose.RS256},
			Remote: remote, Keys: keys, Consumer: guest}}
	}
	for name, tt := range map[string]struct {
		found, keys wire.Answer
		want        reason.Code
	}{
		"known":                {credential(false, rsaKey("k")), wire.Answer{}, reason.Allowed},
		"unknown":              {credential(false, rsaKey("x")), wire.Answer{}, reason.KeyUnknown},
		"fetched":              {credential(true, rsaKey("x")), credential(true, rsaKey("x"), rsaKey("k")), reason.Allowed},
		"not to be had":        {credential(true, rsaKey("x")), wire.Answer{Feed: "f", Code: reason.KeyUnknown}, reason.KeyUnknown},
		"for another alg":      {credential(true, bundle.Key{ID: "k", Alg: []jose.Alg{jose.ES256}}), wire.Answer{}, reason.AlgorithmMismatch},
		"the issuer is silent": {credential(true), wire.Answer{Feed: "f", Code: reason.IssuerUnavailable}, reason.IssuerUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
			s := ask(e, start, "r", withToken(token))
			s = e.Resume(s.Pending, s.Question, tt.found, reason.Unspecified, start)
			if asked := s.Kind == Ask; asked != (tt.keys.Feed != "") {
				t.Fatalf("asked for keys: %v", asked)
			} else if asked {
				other := *s
				again := ask(e, start, "r", withToken(jws(`{"alg":"RS256","kid":"k2"}`, `{"iss":"a"}`, "signature")))
				if other.Question.Kind != wire.Keys || other.Question.Credential != "a" || again.Kind != Ask || again.Question.Identity == other.Question.Identity {
					t.Errorf("one question for two kids: %q", other.Question.Identity)
				}
				s = e.Resume(other.Pending, other.Question, tt.keys, reason.Unspecified, start)
			}
			if s.Reason != tt.want {
				t.Errorf("%v, want %v", s.Reason, tt.want)
			}
		})
	}
}

// TestTokensAge: a signature is good for five minutes, and not past exp.
func TestTokensAge(t *testing.T) {
	for exp, until := range map[string]int64{ // seconds that it is remembered, 0 for not at all
		"1800001000": 300, "1800000301": 300, "1800000300": 300, "1800000100": 100, "1800000001": 1, "1800000000": 0, "1": 0,
	} {
		t.Run(exp, func(t *testing.T) {
			v := &verdicts{say: wire.Valid}
			e := engineWith(t, v, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
			token := withToken(jws(issuedHeader, `{"iss":"a","exp":`+exp+`}`, "signature"))
			s := ask(e, start, "r", token)
			answer := wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: "c", Key: "a", Version: "1", Alg: []jose.Alg{jose.RS256}, Keys: []bundle.Key{rsaKey("k")}, Consumer: guest}}
			e.Resume(s.Pending, s.Question, answer, reason.Unspecified, start)
			if stored := len(e.tokens.entries) > 0; stored != (until > 0) {
				t.Fatalf("stored: %v", stored)
			}
			for at := max(0, until-1); at <= until && until > 0; at++ {
				if at == credentialLifetime {
					e.credentials.put("a", answer.Credential, start+1000, 0)
				}
				e.Contact(start + at)
				before := v.calls
				if s := ask(e, start+at, "r", token); s.Reason != reason.Allowed || (v.calls > before) != (at == until) {
					t.Errorf("after %d s: %v, verified again: %v", at, s.Reason, v.calls > before)
				}
			}
		})
	}
}
