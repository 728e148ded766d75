package revoke

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	lineRevoked = string(record{id: idOf("a"), entry: entry{at(0).UnixMicro(), at(100).UnixMicro()}}.appendTo(nil))
	lineOnce    = string(record{once: true, id: idOf("b"), entry: entry{until: at(100).UnixMicro()}}.appendTo(nil))
)

// What is written down has to be read by every later version.
func TestLinesNeverChange(t *testing.T) {
	dir := t.TempDir()
	const content = "sallyport revocations 1\n" +
		"revoked ca978112ca1bbdcafac231b39a23dc4d 1767225600000000 1767225700000000 963b8748\n" +
		"once 3e23e8160039594a33894f6564e1b134 1767225700000000 c26fddea\n"
	if header+lineRevoked+lineOnce != content {
		t.Errorf("a journal is now\n%s", header+lineRevoked+lineOnce)
	}
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	l := openList(t, dir, newClock().now)
	if !l.Revoked("a", at(0)) || l.Revoked("a", at(1)) {
		t.Error("the revocation is not read")
	}
	once(t, l, "b", at(100), false)
	if got := journal(t, dir); got != content {
		t.Errorf("written anew:\n%s", got)
	}
}

func TestCorruptJournals(t *testing.T) {
	for _, test := range []struct {
		name, content string
		err           string // part of it; "" for none
	}{
		{"nothing but the header", header, ""},
		{"both kinds", header + lineRevoked + lineOnce, ""},
		{"an empty file", "", "line 1: not a journal"},
		{"half a header", header[:10], "line 1: not a journal"},
		{"another version", "sallyport revocations 2\n", "line 1: not a journal"},
		{"another file", strings.Repeat("x", 1000), "line 1: not a journal"},
		{"another file with lines", strings.Repeat("x", 1000) + "\n", "line 1: not a journal"},
		{"no header", lineRevoked, "line 1: not a journal"},
		{"an empty line", header + "\n" + lineOnce, "line 2: not a line"},
		{"a second header", header + lineOnce + header, "line 3: not a line"},
		{"half a line in the middle", header + lineRevoked[:30] + "\n" + lineOnce, "line 2: not a line"},
		{"two lines in one", header + lineRevoked[:30] + lineOnce + lineOnce, "line 2: not a line"},
		{"a whole last line", header + lineOnce + strings.Replace(lineRevoked, "revoked ca", "revoked cb", 1), "line 3: not a line"},
		{"a long line", header + lineOnce + strings.Repeat("x", 10000) + "\n" + lineOnce, "line 3: not a line"},
		{"a torn line", header + lineOnce + lineRevoked[:40], ""},
		{"a torn line without its end only", header + lineOnce + strings.TrimSuffix(lineRevoked, "\n"), ""},
		{"a torn line of zeros", header + lineOnce + strings.Repeat("\x00", 8192), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, journalName)
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Open(dir, newClock().now)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), path+": "+test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				if got := journal(t, dir); got != test.content {
					t.Error("a journal that cannot be read was changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			whole := strings.Count(test.content, "\n")
			if got := journal(t, dir); strings.Count(got, "\n") != whole || !strings.HasSuffix(got, "\n") {
				t.Errorf("written anew: %q", got)
			}
		})
	}
}

// Wherever a crash cuts the journal, what is before the cut is kept, and what
// comes after is not glued to half a line.
func TestTornAtEveryByte(t *testing.T) {
	content := header + lineRevoked + lineOnce
	for n := len(header); n <= len(content); n++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), []byte(content[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		l := openList(t, dir, newClock().now)
		if got, want := l.Revoked("a", at(0)), n >= len(header)+len(lineRevoked); got != want {
			t.Errorf("cut at %d: revoked %t, want %t", n, got, want)
		}
		once(t, l, "b", at(100), n < len(content))
		revoke(t, l, "c", at(0), at(100))
		l = reopen(t, l)
		once(t, l, "b", at(100), false)
		if !l.Revoked("c", at(0)) {
			t.Errorf("cut at %d: what came after is lost", n)
		}
	}
}

func TestEveryChangedBitOfALineIsFound(t *testing.T) {
	for _, line := range []string{lineRevoked, lineOnce} {
		for i := range 8 * len(line) {
			changed := []byte(line)
			changed[i/8] ^= 1 << (i % 8)
			if r, err := parse(changed); err != errLine {
				t.Errorf("%q is read as %+v, %v", changed, r, err)
			}
		}
	}
}

func TestLeftoverOfACrashedReplacement(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName+".new"), []byte("half a"), 0o444); err != nil {
		t.Fatal(err)
	}
	l := openList(t, dir, newClock().now)
	once(t, l, "a", at(100), true)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

func TestRounding(t *testing.T) {
	for _, test := range []struct {
		t        time.Time
		down, up int64
	}{
		{time.Unix(1, 0), 1e6, 1e6},
		{time.Unix(1, 1), 1e6, 1e6 + 1},
		{time.Unix(1, 999), 1e6, 1e6 + 1},
		{time.Unix(1, 1000), 1e6 + 1, 1e6 + 1},
		{time.Unix(-1, 1), -1e6, -1e6 + 1},
		{time.Time{}, time.Time{}.UnixMicro(), time.Time{}.UnixMicro()},
		{time.Unix(1<<60, 0), math.MaxInt64, math.MaxInt64},
		{time.Unix(-1<<60, 0), math.MinInt64, math.MinInt64},
		{latest, math.MaxInt64, math.MaxInt64},
		{latest.Add(1), math.MaxInt64, math.MaxInt64},
		{earliest, math.MinInt64, math.MinInt64},
	} {
		if down, up := roundDown(test.t), roundUp(test.t); down != test.down || up != test.up {
			t.Errorf("%v: %d and %d, want %d and %d", test.t, down, up, test.down, test.up)
		}
	}
}

// FuzzLine: what is read is what would be written.
func FuzzLine(f *testing.F) {
	f.Add([]byte(lineRevoked))
	f.Add([]byte(lineOnce))
	f.Add([]byte("once  +1 00000000\n"))
	f.Add(record{id: idOf(""), entry: entry{math.MinInt64, math.MaxInt64}}.appendTo(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parse(line)
		if err != nil {
			if err != errLine || r != (record{}) {
				t.Fatalf("%+v and %v", r, err)
			}
			return
		}
		if !bytes.Equal(r.appendTo(nil), line) || bytes.Count(line, []byte("\n")) != 1 || len(line) >= maxLine {
			t.Fatalf("read %+v from %q", r, line)
		}
	})
}

// FuzzJournal: a journal is an error, or gives exactly the records of its whole
// lines, whatever a crash has left behind them.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(header+lineRevoked+lineOnce), []byte(nil))
	f.Add([]byte(header+lineRevoked), []byte(lineOnce[:9]))
	f.Add([]byte(header+lineRevoked[:9]+lineOnce), bytes.Repeat([]byte{0}, 300))
	f.Add([]byte(lineOnce), []byte("x"))
	f.Add(append([]byte(header), bytes.Repeat([]byte("x"), 300)...), []byte("\n"))
	f.Fuzz(func(t *testing.T, content, torn []byte) {
		var got []byte
		collect := func(r record) { got = r.appendTo(got) }
		err := read(bytes.NewReader(content), collect)
		end := bytes.LastIndexByte(content, '\n') + 1
		if err == nil && !bytes.Equal(append([]byte(header), got...), content[:end]) {
			t.Fatalf("read %q from %q", got, content)
		}
		if err != nil && !strings.Contains(err.Error(), "line ") {
			t.Fatalf("an error without the line: %v", err)
		}
		if err != nil || bytes.IndexByte(torn, '\n') >= 0 {
			return
		}
		got = nil
		if err := read(bytes.NewReader(append(content[:end:end], torn...)), collect); err != nil {
			t.Fatalf("with a torn line: %v", err)
		}
		if !bytes.Equal(append([]byte(header), got...), content[:end]) {
			t.Fatalf("with a torn line: read %q", got)
		}
	})
}

// An error of the disk while reading is no end of the file.
func TestReadErrorsAreNotAnEnd(t *testing.T) {
	for n := range len(header + lineOnce) {
		src := &failingReader{data: []byte(header + lineOnce)[:n]}
		if err := read(src, func(record) {}); !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: %v, want the disk's error", n, err)
		}
	}
}

type failingReader struct{ data []byte }

func (r *failingReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, errDisk
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}
