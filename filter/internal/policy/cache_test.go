package policy

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestCache holds the cache against a list that is easy to believe.
func TestCache(t *testing.T) {
	const limit = 4 * (100 + entryOverhead)
	type item struct {
		key   int
		until int64
		size  int
	}
	var list []item // the least recently used first
	find := func(key int) int { return slices.IndexFunc(list, func(i item) bool { return i.key == key }) }
	used := func() (n int) {
		for _, i := range list {
			n += i.size
		}
		return n
	}
	c := newCache[int, int](limit)
	random := rand.New(rand.NewPCG(1, 2))
	for now := range int64(20_000) {
		key := random.IntN(7)
		at := find(key)
		switch random.IntN(8) {
		case 0:
			c.drop(key)
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			}
		case 1, 2, 3:
			size, until := []int{10, 100, 100, 100, limit - entryOverhead, limit - entryOverhead + 1}[random.IntN(6)], now+int64(random.IntN(40))
			c.put(key, int(now), until, size)
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			}
			if size += entryOverhead; size <= limit {
				for list = append(list, item{key, until, size}); used() > limit; {
					list = list[1:]
				}
			}
		default:
			hit := c.get(key, now)
			if want := at >= 0 && list[at].until > now; (hit != nil) != want {
				t.Fatalf("step %d: %d is there: %v, want %v", now, key, hit != nil, want)
			}
			if at >= 0 {
				i := list[at]
				if list = slices.Delete(list, at, at+1); i.until > now {
					list = append(list, i)
				}
			}
		}
		var keys, want []int
		for e := c.oldest; e != nil; e = e.newer {
			keys = append(keys, e.key)
		}
		for _, i := range list {
			want = append(want, i.key)
		}
		if !slices.Equal(keys, want) || len(c.entries) != len(list) || c.used != used() {
			t.Fatalf("step %d: %v with %d bytes, want %v with %d", now, keys, c.used, want, used())
		}
	}
}

// TestCachesAreBounded: whatever kind of thing callers send many of, what is kept of
// it stays within its share of CacheBytes, and uses it.
func TestCachesAreBounded(t *testing.T) {
	const bound = 64 << 10
	long := strings.Repeat("x", 1000)
	keys := func(n int, der string) []bundle.Key { return slices.Repeat([]bundle.Key{{DER: der}}, n) }
	sessions := func(change func(s *wire.Session)) func(*Engine, string) {
		return func(e *Engine, n string) {
			a := sessionAnswer("alice")
			change(a.Session)
			c := sealed("")
			c.Value += n
			opened(t, e, start, "session", a, c)
		}
	}
	object := `{"x":"` + long + long + `"}`
	credentials := func(key string, keys []bundle.Key) func(*Engine, string) {
		return func(e *Engine, n string) {
			s := ask(e, start, "jwt", withToken(secretToken(n+key, "")))
			answer := lookup(n+key, wire.Valid)
			answer.Credential.Keys = keys
			e.Resume(s.Pending, s.Question, answer, reason.Unspecified, start)
		}
	}
	tokens := func(header, more, signature string) func(*Engine, string) {
		return func(e *Engine, n string) {
			for range 2 {
				ask(e, start, "oidc", withToken(jws(`{"alg":"RS256"`+header+`}`, `{"iss":"i","exp":1900000000`+more+`}`, signature+n)))
			}
		}
	}
	for name, tt := range map[string]struct {
		one   func(e *Engine, n string)
		kept  func(e *Engine) int
		share int
	}{
		"keys that nobody has": {func(e *Engine, n string) {
			s := ask(e, start, "jwt", withToken(secretToken(n+long, "")))
			e.Resume(s.Pending, s.Question, wire.Answer{Feed: "f", Code: reason.CredentialUnknown}, reason.Unspecified, start)
		}, keptUnknown, 16},
		"credentials":                    {credentials("", nil), keptCredentials, 4},
		"credentials with long keys":     {credentials(long, nil), keptCredentials, 4},
		"credentials with a large key":   {credentials("", keys(1, long)), keptCredentials, 4},
		"credentials with many keys":     {credentials("", keys(40, "der")), keptCredentials, 4},
		"consumers":                      {consumerAnswers(t, ""), keptConsumers, 8},
		"consumers by long claims":       {consumerAnswers(t, long), keptConsumers, 8},
		"tokens":                         {tokens("", "", "signature"), keptTokens, 1},
		"tokens with a large header":     {tokens(`,"x":"`+long+long+`"`, "", "signature"), keptTokens, 1},
		"tokens with many claims":        {tokens("", `,"x":[`+strings.Repeat("1,", 500)+`1]`, "signature"), keptTokens, 1},
		"tokens with a large signature":  {tokens("", "", long+long), keptTokens, 1},
		"sessions":                       {sessions(func(*wire.Session) {}), keptSessions, 1},
		"sessions with a large token":    {sessions(func(s *wire.Session) { s.Token = long + long }), keptSessions, 1},
		"sessions with a large ID token": {sessions(func(s *wire.Session) { s.IDToken = long + long }), keptSessions, 1},
		"sessions with large claims":     {sessions(func(s *wire.Session) { s.Claims = object }), keptSessions, 1},
		"sessions with large access":     {sessions(func(s *wire.Session) { s.Access = object }), keptSessions, 1},
		"sessions with large userinfo":   {sessions(func(s *wire.Session) { s.Info = object }), keptSessions, 1},
		"sessions in many cookies": {func(e *Engine, n string) {
			c := sealed("")
			c.Value += n + "; session_2=" + long + long
			opened(t, e, start, "session", sessionAnswer("alice"), c)
		}, keptSessions, 1},
	} {
		t.Run(name, func(t *testing.T) {
			proto := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"jwt": {jwtPlugin("j", headerOnly)},
				"oidc": {oidcPlugin("o", headerOnly, rsaKey(""))}, "session": {sessionPlugin("s")}, "consumer": {consumerPlugin("c", "username")}})
			e := New(&verdicts{say: wire.Valid}, Config{CacheBytes: bound})
			if err := e.SetBundle(proto.bundle, "etag", start); err != nil {
				t.Fatal(err)
			}
			e.Apply(wire.Changes{Feed: "f"})
			most := 0
			for i := range 200 {
				tt.one(e, strconv.Itoa(1000+i))
				most = max(most, tt.kept(e))
			}
			if most > bound/tt.share || most < bound/tt.share/4 {
				t.Errorf("%d bytes are kept, the bound is %d", most, bound/tt.share)
			}
		})
	}
}

func consumerAnswers(t *testing.T, more string) func(e *Engine, n string) {
	return func(e *Engine, n string) {
		s := ask(e, start, "consumer", withToken(issuedTo(n+more)))
		if s.Kind != Ask || s.Question.Kind != wire.Consumer {
			t.Fatalf("no question for a consumer: %v", s.Reason)
		}
		e.Resume(s.Pending, s.Question, wire.Answer{Feed: "f", Consumer: guest}, reason.Unspecified, start)
	}
}

// What a cache holds at the least: texts, and the memory that goes with each.
func keptUnknown(e *Engine) (n int) {
	for key := range e.unknown.entries {
		n += len(key)
	}
	return n
}

func keptCredentials(e *Engine) (n int) {
	for key, c := range e.credentials.entries {
		n += 256 + len(key)
		for _, k := range c.value.Keys {
			n += 64 + len(k.DER)
		}
	}
	return n
}

func keptConsumers(e *Engine) (n int) {
	for key := range e.consumers.entries {
		n += 128 + len(key)
	}
	return n
}

func keptTokens(e *Engine) (n int) {
	for _, c := range e.tokens.entries {
		tok := c.value.token
		n += 256 + len(tok.Raw) + tok.Header.Doc.Size() + tok.Claims.Size()
	}
	return n
}

func keptSessions(e *Engine) (n int) {
	for _, c := range e.sessions.entries {
		s := c.value
		n += 512 + len(s.key) + len(s.wire.Token) + len(s.wire.IDToken) + len(s.wire.Access) + len(s.wire.Claims) + len(s.wire.Info)
	}
	return n
}
