package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// walk returns the ids of a whole list, page by page; between is called after each page.
func walk[T any](t *testing.T, size int, list func(Page) (List[T], error), id func(T) string, between func()) (ids []string) {
	t.Helper()
	offset := ""
	for range 1000 {
		l := must(list(Page{Size: size, Offset: offset}))(t)
		if len(l.Data) > size || len(l.Data) == 0 && l.Next != "" || l.Data == nil {
			t.Fatalf("a page of %d with %d entities, then %q", size, len(l.Data), l.Next)
		}
		for _, v := range l.Data {
			ids = append(ids, id(v))
		}
		if l.Next == "" {
			return ids
		}
		offset = l.Next
		between()
	}
	t.Fatal("the list does not end")
	return nil
}

// What was there at the start of a walk and stays is seen exactly once, whatever is
// added and removed meanwhile.
func testPages(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	var all []string
	for i := range 25 {
		all = append(all, must(r.CreateConsumer(ctx, system, Consumer{Username: fmt.Sprint("c", i), Tags: []string{"all", fmt.Sprint("n", i%2)}}))(t).ID)
	}
	if !slices.IsSorted(all) {
		t.Errorf("ids are not in the order in which they are made: %q", all)
	}
	id := func(c Consumer) string { return c.ID }
	consumers := func(p Page) (List[Consumer], error) { return r.Consumers(ctx, ConsumerFilter{}, p) }
	nothing := func() {}
	for _, size := range []int{1, 2, 24, 25, 26, 1000} {
		if got := walk(t, size, consumers, id, nothing); !slices.Equal(got, all) {
			t.Errorf("size %d: got %q", size, got)
		}
	}
	var odd []string
	for i, id := range all {
		if i%2 == 1 {
			odd = append(odd, id)
		}
	}
	if got := walk(t, 3, func(p Page) (List[Consumer], error) {
		return r.Consumers(ctx, ConsumerFilter{Tags: []string{"n1", "all"}}, p)
	}, id, nothing); !slices.Equal(got, odd) {
		t.Errorf("with both tags: got %q, want %q", got, odd)
	}
	if got := walk(t, 3, func(p Page) (List[Consumer], error) {
		return r.Consumers(ctx, ConsumerFilter{Tags: []string{"n1", "n0", "none"}, AnyTag: true}, p)
	}, id, nothing); !slices.Equal(got, all) {
		t.Errorf("with any tag: got %q", got)
	}
	must(r.UpdateConsumer(ctx, system, all[1], func(c *Consumer) error { c.Tags = nil; return nil }))(t)
	if got := must(r.Consumers(ctx, ConsumerFilter{Tags: []string{"n1"}}, Page{}))(t); len(got.Data) != len(odd)-1 {
		t.Errorf("a tag that was taken away still finds: %d", len(got.Data))
	}

	n, gone := 0, map[string]bool{}
	got := walk(t, 2, consumers, id, func() {
		n++
		// One that was seen goes, one that was not, and two come: at the end, and at the start.
		for _, i := range []int{2*n - 1, 25 - n} {
			if i > 0 && i < len(all) && !gone[all[i]] && n < 8 {
				gone[all[i]] = true
				if err := r.DeleteConsumer(ctx, system, all[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n < 8 {
			must(r.CreateConsumer(ctx, system, Consumer{Username: fmt.Sprint("late", n)}))(t)
			must(r.CreateConsumer(ctx, system, Consumer{ID: uuid4(n), Username: fmt.Sprint("early", n)}))(t)
		}
	})
	seen := map[string]int{}
	for _, id := range got {
		seen[id]++
	}
	for i, id := range all {
		if seen[id] > 1 || seen[id] == 0 && !gone[id] {
			t.Errorf("%d was seen %d times", i, seen[id])
		}
	}

	// The log goes backwards, and what is written meanwhile does not move it.
	audits := func(p Page) (List[Audit], error) { return r.Audits(ctx, AuditFilter{}, p) }
	newest := must(audits(Page{Size: 1}))(t).Data[0].Seq
	seqs := walk(t, 7, audits, func(a Audit) string { return fmt.Sprint(a.Seq) }, func() {
		if err := r.Record(ctx, system, "x", "x", "", ""); err != nil {
			t.Fatal(err)
		}
	})
	for i, s := range seqs {
		if s != fmt.Sprint(newest-uint64(i)) {
			t.Fatalf("row %d is %s", i, s)
		}
	}
	if len(seqs) != int(newest) {
		t.Errorf("%d rows of %d", len(seqs), newest)
	}
}

// Whatever comes as an offset or a size, it is the caller's mistake and not our trouble.
func testHostilePages(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	for i := range 3 {
		must(r.CreateConsumer(ctx, system, Consumer{Username: fmt.Sprint("c", i)}))(t)
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good := must(r.Consumers(ctx, ConsumerFilter{}, Page{Size: 1}))(t).Next
	if good == "" || strings.Contains(good, ":") {
		t.Fatalf("%q", good)
	}
	// The last character holds bits that mean nothing: it has to be the one that was given out.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	other := string(alphabet[strings.IndexByte(alphabet, good[len(good)-1])+1])
	seq := must(r.Audits(ctx, AuditFilter{}, Page{Size: 1}))(t).Next
	for _, offset := range []string{"x", "%", "\x00", good + "=", good + "\n", "\r\n" + good, good[1:], strings.Repeat("A", 1<<20), seq,
		raw("consumers:"), raw("consumers:' OR 1=1"), raw("keyauths:" + uuid4(1)), raw("consumers:" + strings.ToUpper("6f9f6ea4-0000-4000-8000-00000000000a")),
		raw("consumers:" + uuid4(1) + "\x00"), raw(":" + uuid4(1)), raw("audits:1"), good[:len(good)-1] + other} {
		var bad *Invalid
		if _, err := r.Consumers(ctx, ConsumerFilter{}, Page{Offset: offset}); !errors.As(err, &bad) || bad.Fields["offset"] == "" {
			t.Errorf("%.40q: %v", offset, err)
		}
	}
	for _, offset := range []string{good, raw("audits:0"), raw("audits:-1"), raw("audits:01"), raw("audits:1e3"), raw("audits:9223372036854775808")} {
		var bad *Invalid
		if _, err := r.Audits(ctx, AuditFilter{}, Page{Offset: offset}); !errors.As(err, &bad) || bad.Fields["offset"] == "" {
			t.Errorf("%q: %v", offset, err)
		}
	}
	for _, size := range []int{-1, 1001, 1 << 40} {
		var bad *Invalid
		if _, err := r.Consumers(ctx, ConsumerFilter{}, Page{Size: size}); !errors.As(err, &bad) || bad.Fields["size"] == "" {
			t.Errorf("%d: %v", size, err)
		}
	}
	if got := must(r.Consumers(ctx, ConsumerFilter{}, Page{Offset: raw("consumers:" + uuid4(1))}))(t); len(got.Data) != 3 {
		t.Errorf("an id that is nobody's is as good as any: %+v", got)
	}
}

func FuzzOffset(f *testing.F) {
	for _, s := range []string{"", "x", encodeOffset("consumers", uuid4(1)), encodeOffset("audits", "7"), encodeOffset("consumers", ""), "Y29uc3VtZXJzOg==", "Y29uc3VtZXJzOg\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, offset string) {
		for list, valid := range map[string]func(string) bool{"consumers": isID, "audits": isSeq} {
			_, after, err := (Page{Offset: offset}).read(list, valid)
			var bad *Invalid
			switch {
			case offset == "" && (after != "" || err != nil):
				t.Fatalf("%q %v", after, err)
			case offset == "":
			case err == nil && (encodeOffset(list, after) != offset || !valid(after)):
				t.Fatalf("%q was taken for %q", offset, after) // one text for one place
			case err != nil && (!errors.As(err, &bad) || bad.Fields["offset"] == "" || after != ""):
				t.Fatalf("%q %v", after, err)
			}
		}
	})
}
