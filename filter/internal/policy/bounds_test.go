package policy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// What is as long as may be passes on, what is a byte longer does not.
func TestBoundsOfCredentials(t *testing.T) {
	long := strings.Repeat("a", maxPresented)
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {inquiring("o", bundle.Introspection, bundle.RefreshToken)}})
	for _, tt := range []struct {
		header abi.Pair
		want   reason.Code
	}{
		{withToken(long), reason.Allowed}, {withToken(long + "a"), reason.TokenTooLarge},
		{abi.Pair{Key: "refresh-token", Value: long}, reason.Allowed}, {abi.Pair{Key: "refresh-token", Value: long + "a"}, reason.TokenTooLarge},
	} {
		s, _ := inquired(t, e, start, "r", map[string]wire.Answer{"introspection": active(long, ""), "refresh_token": fetched("t")}, tt.header)
		if s.Reason != tt.want {
			t.Errorf("%d bytes of %s: %v, want %v", len(tt.header.Value), tt.header.Key, s.Reason, tt.want)
		}
	}
	exact := base64.StdEncoding.EncodeToString([]byte("u:" + strings.Repeat("p", maxBasic/4*3-2)))
	for _, tt := range []struct {
		raw string
		ok  bool
	}{{exact, true}, {exact + "AAAA", false}, {"dTpw", true}, {"\ndTpw", false}, {"dTpw\r", false}} {
		if _, _, ok := parseBasic(tt.raw); ok != tt.ok {
			t.Errorf("%d bytes of Basic: %v", len(tt.raw), ok)
		}
	}
	if !isKey(strings.Repeat("k", maxKey)) || isKey(strings.Repeat("k", maxKey+1)) {
		t.Error("the bound of keys is another one")
	}
}

// What a caller adds for the issuer is bounded in length and number.
func TestBoundsOfSent(t *testing.T) {
	p := inquiring("o", bundle.Introspection)
	headers := []abi.Pair{withToken("t"), {Key: "x-0", Value: strings.Repeat("v", maxSentValue)}}
	for i := range maxSent + 2 {
		p.OIDC.Inquiry.Sent = append(p.OIDC.Inquiry.Sent, bundle.Sent{Method: bundle.Introspection, Header: true, Name: fmt.Sprint("x-", i)})
		if i > 0 {
			headers = append(headers, abi.Pair{Key: fmt.Sprint("x-", i), Value: "v"})
		}
	}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
	s := ask(e, start, "r", headers...)
	if s.Kind != Ask || len(s.Question.Sent) != maxSent || len(s.Question.Sent[0].Value) != maxSentValue {
		t.Errorf("%d headers, the first of %d bytes", len(s.Question.Sent), len(s.Question.Sent[0].Value))
	}
}

// Each cache has its share of what the configuration gives.
func TestShares(t *testing.T) {
	e := New(&verdicts{}, Config{CacheBytes: 1600})
	for name, share := range map[string][2]int{
		"tokens": {e.tokens.limit, 1600}, "sessions": {e.sessions.limit, 1600}, "inquiries": {e.inquiries.limit, 800}, "credentials": {e.credentials.limit, 400},
		"secrets": {e.secrets.good.limit, 400}, "secrets that are wrong": {e.secrets.bad.limit, 100}, "consumers": {e.consumers.limit, 200},
		"unknown credentials": {e.unknown.limit, 100}, "refusals": {e.refusals.limit, 100},
	} {
		if share[0] != share[1] {
			t.Errorf("%s have %d bytes, want %d", name, share[0], share[1])
		}
	}
}

// What is remembered counts with its texts.
func TestSizesCount(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {inquiring("o", bundle.Introspection)}})
	inquired(t, e, start, "r", map[string]wire.Answer{"introspection": active("good", "")}, withToken("good"))
	inquired(t, e, start, "r", map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+60)}, withToken("bad"))
	before, refused := e.inquiries.used, e.refusals.used
	long := strings.Repeat("l", 1000)
	inquired(t, e, start, "r", map[string]wire.Answer{"introspection": active("good", "")}, withToken("good"+long))
	inquired(t, e, start, "r", map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+60)}, withToken("bad"+long))
	if got := e.inquiries.used - 2*before; got != 1000 {
		t.Errorf("a token that is longer by 1000 bytes takes %d more", got)
	}
	if got := e.refusals.used - 2*refused; got != 1000 {
		t.Errorf("a refusal that is longer by 1000 bytes takes %d more", got)
	}
}
