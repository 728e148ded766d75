package declarative

import (
	"os"
	"strings"
	"testing"
)

// TestDump: what decK writes of a plugin that was set up with a handful of fields, the
// defaults of all others written out, is not refused.
func TestDump(t *testing.T) {
	src, err := os.ReadFile("testdata/deck-dump.yml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := Parse("dump", src, Options{Env: func(string) (string, bool) { return "s", true }})
	if f == nil {
		t.Fatal(problems)
	}
	for _, p := range problems {
		if p.Rule == noEffect && !strings.Contains(p.Path, "param_type") && !strings.HasSuffix(p.Path, "cache_tokens_salt") && !strings.HasSuffix(p.Path, "preserve_query_args") {
			t.Errorf("a default is said to have no effect: %v", p)
		}
	}
	c := f.Plugins[0].OIDC
	if len(c.HeaderNames) != 1 || len(c.QueryNames) != 1 || len(c.CookieNames) != 0 {
		t.Errorf("bearer tokens are looked for in %q, %q and %q", c.HeaderNames, c.QueryNames, c.CookieNames)
	}
	set := strings.Replace(string(src), "host: 127.0.0.1", "host: redis.internal", 1)
	if f, _ := Parse("dump", []byte(set), Options{Env: func(string) (string, bool) { return "s", true }}); f != nil {
		t.Error("a Redis that somebody has set up is passed over")
	}
}
