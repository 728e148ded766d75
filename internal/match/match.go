// Package match runs regular expressions that were compiled elsewhere
// (match/compile), over whole values. The filter links it, and so has no parser of
// expressions and none of Unicode's tables, which would make a fifth of the module.
//
// It simulates the automaton breadth first (R. Cox, "Regular Expression Matching:
// the Virtual Machine Approach"): the time is bounded by the length of the text
// times that of the program. It must never recurse by either.
package match

import (
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Bounds.
const (
	MaxInst   = 2000 // instructions of a program
	MaxRanges = 20000
	MaxText   = 4096 // bytes; a longer text matches nothing
)

// Op is what an instruction does.
type Op int64

// The operations, those of regexp/syntax that are left when captures are not
// wanted.
const (
	Fail  Op = iota
	Match    // at the end of the text
	Alt      // Out or Arg
	Nop      // Out
	Empty    // Out, if the conditions of Arg hold here (syntax.EmptyOp)
	Rune     // Out, after a rune within one of Ranges
	ops
)

// Inst is an instruction.
type Inst struct {
	Op       Op
	Out, Arg int64
	Ranges   []int64 // pairs: first and last rune
}

// Program is a compiled expression. The zero Program matches nothing.
type Program struct {
	Source string // the expression
	Start  int64
	Inst   []Inst
}

// Conditions of Empty, by the values of regexp/syntax.EmptyOp.
const (
	beginLine = 1 << iota
	endLine
	beginText
	endText
	wordBoundary
	noWordBoundary
)

// set is a list of instructions, each once.
type set struct {
	dense  []int64
	sparse []int
}

func (s *set) add(i int64) bool {
	if j := s.sparse[i]; j < len(s.dense) && s.dense[j] == i {
		return false
	}
	s.sparse[i] = len(s.dense)
	s.dense = append(s.dense, i)
	return true
}

// Match reports whether the whole text matches.
func (p *Program) Match(text string) bool {
	if len(p.Inst) == 0 || len(text) > MaxText {
		return false
	}
	now, next := &set{sparse: make([]int, len(p.Inst))}, &set{sparse: make([]int, len(p.Inst))}
	runes := []rune(text)
	var stack []int64
	// follow adds an instruction and whatever is reached from it without a rune.
	follow := func(s *set, from int64, at int) {
		stack = append(stack[:0], from)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !s.add(i) {
				continue
			}
			switch in := &p.Inst[i]; in.Op {
			case Alt:
				stack = append(stack, in.Arg, in.Out)
			case Nop:
				stack = append(stack, in.Out)
			case Empty:
				if in.Arg&^conditions(runes, at) == 0 {
					stack = append(stack, in.Out)
				}
			}
		}
	}
	follow(now, p.Start, 0)
	for at, r := range runes {
		if len(now.dense) == 0 {
			return false
		}
		next.dense = next.dense[:0]
		for _, i := range now.dense {
			if in := &p.Inst[i]; in.Op == Rune && in.has(int64(r)) {
				follow(next, in.Out, at+1)
			}
		}
		now, next = next, now
	}
	for _, i := range now.dense {
		if p.Inst[i].Op == Match {
			return true
		}
	}
	return false
}

func (in *Inst) has(r int64) bool {
	low, high := 0, len(in.Ranges)/2
	for low < high {
		m := (low + high) / 2
		switch {
		case r < in.Ranges[2*m]:
			high = m
		case r > in.Ranges[2*m+1]:
			low = m + 1
		default:
			return true
		}
	}
	return false
}

// conditions returns those that hold before the rune at a place.
func conditions(text []rune, at int) (c int64) {
	before, after := at > 0 && isWord(text[at-1]), at < len(text) && isWord(text[at])
	if at == 0 {
		c |= beginText | beginLine
	} else if text[at-1] == '\n' {
		c |= beginLine
	}
	if at == len(text) {
		c |= endText | endLine
	} else if text[at] == '\n' {
		c |= endLine
	}
	if before != after {
		return c | wordBoundary
	}
	return c | noWordBoundary
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
}

// Write writes the program.
func (p *Program) Write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("source", p.Source)
	w.IntMember("start", p.Start)
	w.Name("inst")
	w.Open('[')
	for i := range p.Inst {
		in := &p.Inst[i]
		w.Open('[')
		w.Int(int64(in.Op))
		w.Int(in.Out)
		w.Int(in.Arg)
		for _, r := range in.Ranges {
			w.Int(r)
		}
		w.Close(']')
	}
	w.Close(']')
	w.Close('}')
}

// Read reads a program; nil when it is none, or when it would go astray.
func Read(v jsonx.Value) *Program {
	p := &Program{}
	var okSource, okStart bool
	p.Source, okSource = v.Get("source").Text()
	if s := v.Get("start"); s.Exists() {
		p.Start, okStart = s.Int()
	} else {
		okStart = true
	}
	ranges := 0
	for c := v.Get("inst").Cursor(); c.Next(); {
		var n []int64
		for d := c.Value().Cursor(); d.Next(); {
			i, ok := d.Value().Int()
			if !ok || i < 0 {
				return nil
			}
			n = append(n, i)
		}
		if len(n) < 3 || len(n)%2 != 1 {
			return nil
		}
		in := Inst{Op: Op(n[0]), Out: n[1], Arg: n[2], Ranges: n[3:]}
		for i := 1; i < len(in.Ranges); i++ {
			if in.Ranges[i] < in.Ranges[i-1] {
				return nil // they are searched by halving
			}
		}
		ranges += len(in.Ranges)
		p.Inst = append(p.Inst, in)
	}
	count := int64(len(p.Inst))
	if !okSource && v.Get("source").Exists() || !okStart || count == 0 || count > MaxInst || ranges > MaxRanges || p.Start >= count {
		return nil
	}
	for i := range p.Inst {
		if in := &p.Inst[i]; in.Op >= ops || in.Out >= count || in.Op == Alt && in.Arg >= count {
			return nil
		}
	}
	return p
}
