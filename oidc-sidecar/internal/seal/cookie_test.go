package seal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name              string
		cookie, value     string
		limit, attributes int
		want              []Cookie // nil for ErrTooLarge
	}{
		{"fits", "n", "abc", 7, 0, []Cookie{{"n", "1.abc"}}},
		{"one byte too long", "n", "abcd", 7, 0, []Cookie{{"n", "2.abc"}, {"n_2", "d"}}},
		{"attributes count", "n", "abcd", 17, 10, []Cookie{{"n", "2.abc"}, {"n_2", "d"}}},
		{"all chunks", "n", "abc" + "def" + "ghi" + "jkl" + "mno" + "pqr" + "stu" + "vwx", 7, 0, []Cookie{{"n", "8.abc"}, {"n_2", "def"},
			{"n_3", "ghi"}, {"n_4", "jkl"}, {"n_5", "mno"}, {"n_6", "pqr"}, {"n_7", "stu"}, {"n_8", "vwx"}}},
		{"one byte more than all chunks", "n", strings.Repeat("x", 25), 7, 0, nil},
		{"empty", "n", "", 4, 0, []Cookie{{"n", "1."}}},
		{"no room for the number", "n", "", 3, 0, nil},
		{"no room for a value", "n", "a", 4, 0, nil},
		{"one byte each", "n", "abc", 5, 0, []Cookie{{"n", "3.a"}, {"n_2", "b"}, {"n_3", "c"}}},
		{"attributes take all", "n", "abc", 0, MaxCookie, nil},
		{"a negative limit", "n", "abc", -1, 0, nil},
		{"the usual limit", "name", strings.Repeat("x", MaxCookie-7-80), 0, 80, []Cookie{{"name", "1." + strings.Repeat("x", MaxCookie-7-80)}}},
		{"as much as Open takes", "n", strings.Repeat("x", MaxText), 1 << 20, 0, []Cookie{{"n", "1." + strings.Repeat("x", MaxText)}}},
		{"more than Open takes", "n", strings.Repeat("x", MaxText+1), 1 << 20, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Split(test.cookie, test.value, test.limit, test.attributes)
			if test.want == nil {
				if err != ErrTooLarge || got != nil {
					t.Fatalf("%v, error %v, want ErrTooLarge", got, err)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Fatalf("%v, %v, want %v", got, err, test.want)
			}
			slices.Reverse(got)
			if value, err := Join(test.cookie, append(got, Cookie{"other", "x"})); err != nil || value != test.value {
				t.Errorf("joined %q, %v", value, err)
			}
		})
	}
}

func TestJoinTakesAllOrNothing(t *testing.T) {
	n := func(values ...string) (cookies []Cookie) {
		for i, v := range values {
			cookies = append(cookies, Cookie{chunkName("n", i), v})
		}
		return cookies
	}
	for _, test := range []struct {
		name    string
		cookies []Cookie
		want    string
		err     error
	}{
		{"one", n("1.a"), "a", nil},
		{"three", n("3.a", "b", "c"), "abc", nil},
		{"a dot in a value", n("2.a.", ".b"), "a..b", nil},
		{"others", append(n("1.a"), Cookie{"n_9", "x"}, Cookie{"n_02", "x"}, Cookie{"n_1", "x"}, Cookie{"n_", "x"}, Cookie{"N", "x"}, Cookie{"", ""}), "a", nil},
		{"none", nil, "", ErrAbsent},
		{"only others", []Cookie{{"m", "1.a"}, {"n_9", "b"}}, "", ErrAbsent},
		{"no first", n("2.a", "b")[1:], "", ErrChunks},
		{"no second", slices.Delete(n("3.a", "b", "c"), 1, 2), "", ErrChunks},
		{"no last", n("3.a", "b"), "", ErrChunks},
		{"one too many", n("1.a", "b"), "", ErrChunks},
		{"an empty one too many", n("1.a", ""), "", ErrChunks},
		{"a gap and one too many", []Cookie{{"n", "2.a"}, {"n_3", "b"}}, "", ErrChunks},
		{"an empty chunk", n("3.a", "", "c"), "", ErrChunks},
		{"an empty first chunk", n("2.", "b"), "", ErrChunks},
		{"the first twice", append(n("1.a"), Cookie{"n", "1.a"}), "", ErrChunks},
		{"the second twice", append(n("2.a", "b"), Cookie{"n_2", "b"}), "", ErrChunks},
		{"the second twice instead of the third", append(n("3.a", "b"), Cookie{"n_2", "b"}), "", ErrChunks},
		{"no number", n("a"), "", ErrChunks},
		{"an empty value", n(""), "", ErrChunks},
		{"zero", n("0.a"), "", ErrChunks},
		{"nine", n("9.a"), "", ErrChunks},
		{"a number that goes on", n("1", ".a"), "", ErrChunks},
		{"a leading zero", n("01.a"), "", ErrChunks},
		{"a sign", n("+1.a"), "", ErrChunks},
		{"a space", n(" 1.a"), "", ErrChunks},
		{"a huge number", n("99999999999999999999.a"), "", ErrChunks},
		{"swapped", []Cookie{{"n", "b"}, {"n_2", "2.a"}}, "", ErrChunks},
		{"as long as may be", n("2.a", strings.Repeat("x", MaxText-1)), "a" + strings.Repeat("x", MaxText-1), nil},
		{"longer", n("2.a", strings.Repeat("x", MaxText)), "", ErrChunks},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := Join("n", test.cookies); got != test.want || err != test.err {
				t.Errorf("joined %.20q, error %v, want %.20q, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestChunksOfOneValueOnly(t *testing.T) {
	r := ring(t, secretA)
	const size = 40
	split := func(plain string) []Cookie {
		cookies, err := Split("n", r.Seal("p", nil, []byte(plain)), size, 0)
		if err != nil || len(cookies) != 4 {
			t.Fatalf("%d cookies, %v", len(cookies), err)
		}
		return cookies
	}
	open := func(cookies []Cookie) error {
		value, err := Join("n", cookies)
		if err == nil {
			_, err = r.Open("p", nil, value)
		}
		return err
	}
	// The same plain text, so that nothing but the nonce tells the two apart.
	plain := strings.Repeat("x", 50)
	a, b := split(plain), split(plain)
	if err := open(a); err != nil {
		t.Fatal(err)
	}
	for i := range a {
		mixed := slices.Clone(a)
		mixed[i] = b[i]
		if err := open(mixed); err != ErrOpen {
			t.Errorf("chunk %d of another value: %v", i+1, err)
		}
		for j := range i {
			swapped := slices.Clone(a)
			swapped[i].Value, swapped[j].Value = a[j].Value, a[i].Value
			if err := open(swapped); err == nil {
				t.Errorf("chunks %d and %d swapped: opened", i+1, j+1)
			}
		}
		if err := open(slices.Delete(slices.Clone(a), i, i+1)); err != ErrChunks {
			t.Errorf("without chunk %d: %v", i+1, err)
		}
		if err := open(append(slices.Clone(a), a[i])); err != ErrChunks {
			t.Errorf("chunk %d twice: %v", i+1, err)
		}
	}
	// A client that makes the number fit gains nothing.
	short := []Cookie{{"n", "3" + strings.TrimPrefix(a[0].Value, "4")}, a[1], a[2]}
	if err := open(short); err != ErrOpen {
		t.Errorf("cut off, with the number that fits: %v", err)
	}
}

func TestNames(t *testing.T) {
	want := "[__Host-s __Host-s_2 __Host-s_3 __Host-s_4 __Host-s_5 __Host-s_6 __Host-s_7 __Host-s_8]"
	if got := fmt.Sprint(Names("__Host-s")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// What a longer value leaves behind is what Names has after the new chunks.
	long, err := Split("n", strings.Repeat("x", 20), 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	short, err := Split("n", "abcd", 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	browser := append(slices.Clone(short), long[len(short):]...)
	if _, err := Join("n", browser); err != ErrChunks {
		t.Errorf("with chunks of a longer value: %v", err)
	}
	stale := Names("n")[len(short):]
	browser = slices.DeleteFunc(browser, func(c Cookie) bool { return slices.Contains(stale, c.Name) })
	if value, err := Join("n", browser); err != nil || value != "abcd" {
		t.Errorf("once they are deleted: %q, %v", value, err)
	}
}
