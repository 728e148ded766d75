package jsonx

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, src string
		want      error
	}{
		{"empty object", `{}`, nil},
		{"white space around", " \t\r\n{\"a\": [1 , -2.5e+3, true,false, null ]}\n", nil},
		{"scalar", `"x"`, nil},
		{"escapes", `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, nil},
		{"nothing", ``, ErrSyntax},
		{"only space", ` `, ErrSyntax},
		{"trailing value", `{} {}`, ErrSyntax},
		{"trailing comma", `{"a":1,}`, ErrSyntax},
		{"trailing comma in array", `[1,]`, ErrSyntax},
		{"missing colon", `{"a" 1}`, ErrSyntax},
		{"name without quotes", `{a:1}`, ErrSyntax},
		{"single quotes", `{'a':1}`, ErrSyntax},
		{"comment", `{/**/}`, ErrSyntax},
		{"leading zero", `01`, ErrSyntax},
		{"leading plus", `+1`, ErrSyntax},
		{"bare point", `1.`, ErrSyntax},
		{"bare exponent", `1e`, ErrSyntax},
		{"NaN", `NaN`, ErrSyntax},
		{"half a word", `tru`, ErrSyntax},
		{"control character", "\"a\x01\"", ErrSyntax},
		{"raw newline", "\"a\n\"", ErrSyntax},
		{"unknown escape", `"\x41"`, ErrSyntax},
		{"short escape", `"\u12"`, ErrSyntax},
		{"unterminated", `"abc`, ErrSyntax},
		{"unterminated after backslash", `"abc\`, ErrSyntax},
		{"byte order mark", "\ufeff{}", ErrSyntax},
		{"not UTF-8", "\"\xff\"", ErrText},
		{"overlong UTF-8", "\"\xc0\xaf\"", ErrText},
		{"lone high surrogate", `"\ud83d"`, ErrText},
		{"lone low surrogate", `"\ude00"`, ErrText},
		{"two high surrogates", `"\ud83d\ud83d"`, ErrText},
		{"duplicate", `{"a":1,"b":2,"a":3}`, ErrDuplicate},
		{"duplicate by escape", `{"a":1,"\u0061":3}`, ErrDuplicate},
		{"duplicate deep down", `{"x":[{"a":1,"a":1}]}`, ErrDuplicate},
		{"same name in two objects", `{"a":{"a":1},"b":{"a":1}}`, nil},
		{"case differs", `{"a":1,"A":2}`, nil},
		{"deep enough", strings.Repeat("[", 16) + strings.Repeat("]", 16), nil},
		{"too deep", strings.Repeat("[", 17) + strings.Repeat("]", 17), ErrDepth},
		{"absurdly deep", strings.Repeat("[", 1<<19), ErrDepth},
		{"too many values", "[" + strings.Repeat("1,", 1<<13) + "1]", ErrSize},
		{"too long", `"` + strings.Repeat("a", 1<<20) + `"`, ErrSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse(tt.src, Limits{}); err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// Names are compared in pairs up to a bound and by a set beyond it; both ways,
// and the step from one to the other, have to find the duplicate.
func TestDuplicateAmongMany(t *testing.T) {
	for _, members := range []int{1, few - 1, few, few + 1, 200} {
		for _, at := range []int{0, members / 2, members - 1} {
			var w Writer
			w.Open('{')
			for i := range members {
				w.IntMember("k"+string(rune('A'+i)), 1)
			}
			good := string(w.Buf) + "}"
			if _, err := Parse(good, Limits{}); err != nil {
				t.Fatalf("%d different members: %v", members, err)
			}
			w.IntMember("k"+string(rune('A'+at)), 1)
			w.Close('}')
			if _, err := Parse(string(w.Buf), Limits{}); err != ErrDuplicate {
				t.Errorf("%d members, number %d again: got %v", members, at, err)
			}
		}
	}
}

// Names that look alike at both ends are told apart by all of their bytes.
func TestAlikeNames(t *testing.T) {
	for src, want := range map[string]error{
		`{"abc":1,"adc":2,"aec":3}`:         nil,
		`{"abc":1,"adc":2,"aec":3,"adc":4}`: ErrDuplicate,
		`{"":1,"a":2}`:                      nil,
		`{"":1,"a":2,"":3}`:                 ErrDuplicate,
	} {
		if _, err := Parse(src, Limits{}); err != want {
			t.Errorf("%s: got %v, want %v", src, err, want)
		}
	}
}

func TestParserReuses(t *testing.T) {
	var p Parser
	const src = `{"a":[1,{"b":"c"}]}`
	doc, err := p.Parse(src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	kept := doc.Clone(strings.Clone(src))
	for _, other := range []string{`[]`, `{"a":`, `[[[[]]],"x","y","z",1,2,3,4,5,6,7,8,9]`} {
		if _, err := p.Parse(other, Limits{}); err != nil && err != ErrSyntax {
			t.Fatal(err)
		}
	}
	if n := kept.Root().Get("a").Len(); n != 2 || kept.Source() != src {
		t.Errorf("the clone changed: %d elements", n)
	}
	again, err := p.Parse(src, Limits{})
	if err != nil || again.Root().Get("a").Len() != 2 {
		t.Errorf("the fourth document: %v", err)
	}
}

func TestValue(t *testing.T) {
	doc, err := Parse(`{"s":"x\u0079","n":-42,"f":1.5,"e":1e3,"big":12345678901234567890,
		"t":true,"o":{"k":[1,"two",null]},"z":null,"esc\n":1}`, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	root := doc.Root()
	if s, ok := root.Get("s").Text(); s != "xy" || !ok {
		t.Errorf("s = %q, %v", s, ok)
	}
	if n, ok := root.Get("n").Int(); n != -42 || !ok {
		t.Errorf("n = %d, %v", n, ok)
	}
	for _, name := range []string{"f", "e", "big", "s", "missing", "z"} {
		if n, ok := root.Get(name).Int(); ok {
			t.Errorf("%s is the integer %d", name, n)
		}
	}
	if b, ok := root.Get("t").Bool(); !b || !ok {
		t.Error("t is not true")
	}
	if root.Get("z").Kind() != Null || root.Get("S").Exists() || !root.Get("esc\n").Exists() {
		t.Error("null, case or an escaped name is read wrong")
	}
	var got []string
	for c := root.Get("o").Get("k").Cursor(); c.Next(); {
		got = append(got, c.Value().Raw())
	}
	if strings.Join(got, "|") != "1|two|null" {
		t.Errorf("elements %q", got)
	}
	if root.Len() != 9 || root.Get("s").Len() != 0 || root.Get("o").Get("k").Len() != 3 {
		t.Error("lengths are wrong")
	}
	if root.Get("s").Get("k").Get("l").Exists() {
		t.Error("a member of a string exists")
	}
	names := ""
	for c := root.Cursor(); c.Next(); {
		names += c.Name() + ","
	}
	if names != "s,n,f,e,big,t,o,z,esc\n," {
		t.Errorf("names %q", names)
	}
}

func TestWriter(t *testing.T) {
	var w Writer
	w.Open('{')
	w.StringMember("s", "a\"\\\n<é\xff")
	w.StringMember("empty", "")
	w.IntMember("n", -7)
	w.BoolMember("b", true)
	w.StringsMember("l", []string{"x", "y"})
	w.Name("o")
	w.Open('{')
	w.Close('}')
	w.Close('}')
	want := `{"s":"a\"\\\u000a\u003cé` + "\uFFFD" + `","n":-7,"b":true,"l":["x","y"],"o":{}}`
	if string(w.Buf) != want {
		t.Errorf("got  %s\nwant %s", w.Buf, want)
	}
}

// hasDuplicate and hasBadText tell, with encoding/json as the judge, why Parse
// may refuse what encoding/json accepts.
func hasDuplicate(dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	switch tok {
	case json.Delim('{'):
		seen, dup := map[string]bool{}, false
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return dup
			}
			dup = dup || seen[name.(string)]
			seen[name.(string)] = true
			dup = hasDuplicate(dec) || dup
		}
		_, _ = dec.Token()
		return dup
	case json.Delim('['):
		dup := false
		for dec.More() {
			dup = hasDuplicate(dec) || dup
		}
		_, _ = dec.Token()
		return dup
	}
	return false
}

// FuzzParse holds Parse against encoding/json: what we accept it accepts and
// reads alike, and what only we refuse has one of the reasons we stand for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":2}`, `{"exp":1e400}`, `[[[[1]]]]`, `"\ud83d\ude00"`, `{"a":"\u0000"}`, `-0.0e-1`, "\"\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		doc, err := Parse(src, Limits{})
		valid := json.Valid([]byte(src))
		if err == nil && !valid {
			t.Fatalf("accepted what encoding/json refuses: %q", src)
		}
		if err != nil {
			switch {
			case !valid, err == ErrDepth, err == ErrSize, err == ErrText:
			case err == ErrDuplicate && hasDuplicate(json.NewDecoder(strings.NewReader(src))):
			default:
				t.Fatalf("%v for %q", err, src)
			}
			return
		}
		var theirs any
		dec := json.NewDecoder(strings.NewReader(src))
		dec.UseNumber()
		if err := dec.Decode(&theirs); err != nil {
			t.Fatal(err)
		}
		if !same(doc.Root(), theirs) {
			t.Fatalf("read differently: %q", src)
		}
	})
}

// same reports whether both readers saw one value.
func same(v Value, theirs any) bool {
	switch x := theirs.(type) {
	case nil:
		return v.Kind() == Null
	case bool:
		b, ok := v.Bool()
		return ok && b == x
	case json.Number:
		return v.Kind() == Number && v.Raw() == x.String()
	case string:
		s, ok := v.Text()
		return ok && s == x
	case []any:
		i := 0
		for c := v.Cursor(); c.Next(); i++ {
			if i >= len(x) || !same(c.Value(), x[i]) {
				return false
			}
		}
		return v.Kind() == Array && i == len(x)
	case map[string]any:
		for name, member := range x {
			if !same(v.Get(name), member) {
				return false
			}
		}
		return v.Kind() == Object && v.Len() == len(x)
	}
	return false
}
