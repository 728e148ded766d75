package compile

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/match"
)

// through writes a program and reads it again, as it travels to a filter.
func through(t testing.TB, p *match.Program) *match.Program {
	t.Helper()
	w := &jsonx.Writer{}
	p.Write(w)
	doc, err := jsonx.Parse(string(w.Buf), jsonx.Limits{Bytes: 1 << 20, Depth: 4, Nodes: 1 << 17})
	if err != nil {
		t.Fatal(err)
	}
	back := match.Read(doc.Root())
	if back == nil {
		t.Fatalf("the program of %q does not come through", p.Source)
	}
	return back
}

var texts = []string{"", "a", "ab", "admin", "Admin", "ADMIN", "team-1", "team-x", "a b", "a\nb", "é", "ÉCOLE", "K", "k", "\u212a", "日本", "x.y", strings.Repeat("a", 200)}

// FuzzMatch holds the automaton against package regexp.
func FuzzMatch(f *testing.F) {
	for _, expr := range []string{`.*`, `admin`, `(?i)admin`, `team-\d+`, `[^a]b?`, `(a|ab)(b|)`, `^a$`, `\bab\b`, `(?i)k`, `a{2,50}`, `(?m)^b$`,
		`\p{L}+`, `(?i:é).*`, `a*?b`, `\Bb`, `[[:upper:]]+`, `x\.y`, `(?s).`, `\z`, `()`} {
		for _, text := range texts {
			f.Add(expr, text)
		}
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		p, err := Expression(expr)
		want, wantErr := regexp.Compile(`^(?s:` + expr + `)$`)
		if err != nil {
			if wantErr == nil && !errors.Is(err, ErrLarge) {
				if _, alone := regexp.Compile(expr); alone == nil {
					t.Errorf("%q: %v", expr, err)
				}
			}
			return
		}
		if wantErr != nil || len(text) > match.MaxText {
			return
		}
		want.Longest()
		if got := through(t, p).Match(text); got != want.MatchString(text) {
			t.Errorf("%q on %q: %v", expr, text, got)
		}
	})
}

func TestBounds(t *testing.T) {
	if _, err := Expression(strings.Repeat("a", maxExpr+1)); !errors.Is(err, ErrLarge) {
		t.Error(err)
	}
	if _, err := Expression(`((a{100}){10}){10}`); err == nil {
		t.Error("a huge program is taken")
	}
	if p, err := Expression(`.*`); err != nil || p.Match(strings.Repeat("a", match.MaxText+1)) || !p.Match(strings.Repeat("a", match.MaxText)) {
		t.Error("the bound on texts does not hold")
	}
	if (&match.Program{}).Match("") {
		t.Error("the zero program matches")
	}
	for _, src := range []string{`{}`, `{"inst":[[1,0]]}`, `{"inst":[[2,0,1]]}`, `{"inst":[[0,1,0]]}`, `{"start":1,"inst":[[1,0,0]]}`,
		`{"inst":[[9,0,0]]}`, `{"inst":[[5,0,0,5,4]]}`, `{"inst":[[1,-1,0]]}`, `{"inst":[1]}`, `{"source":1,"inst":[[1,0,0]]}`} {
		doc, err := jsonx.Parse(src, jsonx.Default)
		if err != nil {
			t.Fatal(err)
		}
		if match.Read(doc.Root()) != nil {
			t.Errorf("%s is a program", src)
		}
	}
}
