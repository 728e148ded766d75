// Package compile makes programs for package match of regular expressions in the
// syntax of RE2. The sidecar and the checker link it, the filter never does.
package compile

import (
	"errors"
	"regexp/syntax"
	"slices"
	"unicode"

	"github.com/sallyport-auth/sallyport/internal/match"
)

// maxExpr bounds an expression, in bytes.
const maxExpr = 256

// ErrLarge is why an expression is refused that would be legal.
var ErrLarge = errors.New("the expression is too large")

// Expression compiles an expression, which will have to match a whole text; a dot
// stands for line breaks too.
func Expression(expr string) (*match.Program, error) {
	if len(expr) > maxExpr {
		return nil, ErrLarge
	}
	re, err := syntax.Parse(expr, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	p := &match.Program{Source: expr, Start: int64(prog.Start)}
	ranges := 0
	for i := range prog.Inst {
		in := instruction(&prog.Inst[i])
		ranges += len(in.Ranges)
		p.Inst = append(p.Inst, in)
	}
	if len(p.Inst) > match.MaxInst || ranges > match.MaxRanges {
		return nil, ErrLarge
	}
	return p, nil
}

func instruction(in *syntax.Inst) match.Inst {
	out := match.Inst{Out: int64(in.Out)}
	switch in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		out.Op, out.Arg = match.Alt, int64(in.Arg)
	case syntax.InstCapture, syntax.InstNop:
		out.Op = match.Nop
	case syntax.InstEmptyWidth:
		out.Op, out.Arg = match.Empty, int64(in.Arg)
	case syntax.InstMatch:
		out.Op = match.Match
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		out.Op, out.Ranges = match.Rune, ranges(in)
	default:
		out.Op = match.Fail
	}
	return out
}

// ranges returns the runes of an instruction as sorted pairs.
func ranges(in *syntax.Inst) []int64 {
	switch in.Op {
	case syntax.InstRuneAny:
		return []int64{0, unicode.MaxRune}
	case syntax.InstRuneAnyNotNL:
		return []int64{0, '\n' - 1, '\n' + 1, unicode.MaxRune}
	}
	var out []int64
	if len(in.Rune) == 1 {
		list := []rune{in.Rune[0]}
		if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
			for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
				list = append(list, r)
			}
		}
		slices.Sort(list)
		for _, r := range list {
			out = append(out, int64(r), int64(r))
		}
		return out
	}
	for _, r := range in.Rune {
		out = append(out, int64(r))
	}
	return out
}
