package declarative

import (
	"regexp"
	"strings"
	"testing"
)

func TestNonCapturing(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`/a`, `/a`},
		{`/(a)(b|(c))`, `/(?:a)(?:b|(?:c))`},
		{`/(?:a)(?i)(?i:b)(?s-i)`, `/(?:a)(?i)(?i:b)(?s-i)`},
		{`/(?P<id>\d+)/(?<other>x)`, `/(?:\d+)/(?:x)`},
		{`/\(a\)(b)`, `/\(a\)(?:b)`},
		{`/[(](a)[^(](b)[](](c)[^](](d)`, `/[(](?:a)[^(](?:b)[](](?:c)[^](](?:d)`},
		{`/[\](](a)[[:alpha:](](b)[(\\](c)`, `/[\](](?:a)[[:alpha:](](?:b)[(\\](?:c)`},
		{`/\Q(a)[\E(b)`, `/\Q(a)[\E(?:b)`},
		{`/(a)\Q(a)`, `/(?:a)\Q(a)`},
		{`/(?i)[a-z]+\p{L}[^\x00-/]`, `/(?i)[a-z]+\p{L}[^\x00-/]`},
		{`/[[](a)`, `/[[](?:a)`},
		{`/[[:](a)`, `/[[:](?:a)`},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			if got := nonCapturing(tt.expr); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if re, err := regexp.Compile(nonCapturing(tt.expr)); err != nil || re.NumSubexp() != 0 {
				t.Errorf("%v, %d groups", err, re.NumSubexp())
			}
		})
	}
}

// An expression that is good on its own and breaks what it is put into, or the
// other way round, is refused and never compiled later, where nobody could say so.
func TestExpressionsThatBreakOut(t *testing.T) {
	for _, expr := range []string{`/a)|(/b`, `/a)(b`, `/a\Qb`, `/a(`, `/((a{100}){100}){10}`} {
		for _, route := range []string{`paths: ['~` + expr + `']`, `headers: {x-a: ['~*` + expr + `']}`, `headers: {x-a: [v, '~*` + expr + `', '~*b']}`} {
			src := `{_format_version: "3.0", services: [{name: s, host: h, path: /p, routes: [{name: r, ` + route + `}]}]}`
			if got := refused(t, src, Options{}).Error(); !strings.Contains(got, "is not a regular expression of RE2") {
				t.Errorf("%s: %s", route, got)
			}
		}
	}
	for depth := 980; depth < 1005; depth++ { // 1000 is the bound of package regexp
		expr := "/" + strings.Repeat("(a", depth) + strings.Repeat(")*", depth)
		src := `{_format_version: "3.0", services: [{name: s, host: h, path: /p, routes: [{name: r, paths: ['~` + expr + `'], headers: {x-a: ['~*` + expr + `']}}]}]}`
		if f, _ := Parse("k", []byte(src), Options{}); f != nil {
			f.Table()
		}
	}
}

// FuzzNonCapturing: whatever package regexp compiles it compiles without groups
// too, and it matches the same.
func FuzzNonCapturing(f *testing.F) {
	for _, s := range []string{`/(a)[(]`, `(?P<n>\Q(\E)`, `[[:^alpha:](]()`, `(?i)[^]]|\pL`, `\\(`, `[\]]()`, `[a-\]()]()`, `\Q`, `[\Q]\E]`, `[[:]()`} {
		f.Add(s, "a(b)")
	}
	f.Fuzz(func(t *testing.T, expr, subject string) {
		re, err := regexp.Compile(expr)
		if err != nil || len(expr) > 500 || compiles(expr) != nil {
			return
		}
		plain, err := regexp.Compile("^(?:" + nonCapturing(expr) + ")")
		if err != nil {
			t.Fatalf("%q became %q: %v", expr, nonCapturing(expr), err)
		}
		if plain.NumSubexp() != 0 {
			t.Fatalf("%q became %q, which captures", expr, nonCapturing(expr))
		}
		anchored := regexp.MustCompile("^(?:" + re.String() + ")")
		for _, s := range []string{subject, strings.ToUpper(subject), subject + expr} {
			if got, want := plain.FindString(s), anchored.FindString(s); got != want {
				t.Fatalf("%q became %q: on %q %q, want %q", expr, nonCapturing(expr), s, got, want)
			}
		}
	})
}
