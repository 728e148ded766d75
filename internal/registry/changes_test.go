package registry

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A follower learns what it missed, or that it missed something.
func testChanges(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	r.keep = 20
	list, last, gap, err := r.Changes(ctx, 0, 0)
	if list != nil || last != 0 || gap || err != nil {
		t.Errorf("%v %d %t %v", list, last, gap, err)
	}
	write := func(n int) {
		for range n {
			must(r.CreateConsumer(ctx, system, Consumer{CustomID: newID()}))(t) // two changes each
		}
	}
	write(5)
	list, last, gap, err = r.Changes(ctx, 0, 4)
	if len(list) != 4 || last != 4 || gap || err != nil || list[0].Seq != 1 || list[3].Seq != 4 {
		t.Errorf("%v %d %t %v", list, last, gap, err)
	}
	list, last, gap, err = r.Changes(ctx, last, 100)
	if len(list) != 6 || last != 10 || gap || err != nil || list[0].Seq != 5 {
		t.Errorf("%v %d %t %v", list, last, gap, err)
	}
	write(7) // 24 changes
	if n := must(r.read().count(ctx, `SELECT COUNT(*) FROM changes`))(t); n > 22 {
		t.Errorf("%d changes are kept", n)
	}
	h := must(r.head(ctx))(t)
	if h.pruned == 0 {
		t.Fatal("nothing was pruned")
	}
	for since := range h.seq {
		list, last, gap, err := r.Changes(ctx, since, 0)
		if err != nil {
			t.Fatal(err)
		}
		if gap != (since < h.pruned) || gap && (list != nil || last != h.seq) || !gap && (uint64(len(list)) != h.seq-since || last != h.seq) {
			t.Errorf("since %d of %d to %d: %d changes, last %d, gap %t", since, h.pruned, h.seq, len(list), last, gap)
		}
	}
	// A number that nobody has given out is of another database, or of a backup's future.
	list, last, gap, err = r.Changes(ctx, h.seq+1, 0)
	if list != nil || last != h.seq || !gap || err != nil {
		t.Errorf("%v %d %t %v", list, last, gap, err)
	}
	// A write with more changes than are told one by one is told as a gap.
	r.keep = maxChanges
	var b Batch
	for i := range maxTold {
		b.Consumers = append(b.Consumers, Consumer{Username: fmt.Sprint("u", i)})
	}
	if err := r.Import(ctx, system, b); err != nil {
		t.Fatal(err)
	}
	list, last, gap, err = r.Changes(ctx, h.seq, 0)
	if list != nil || last <= h.seq || !gap || err != nil {
		t.Errorf("%d changes, last %d after %d, gap %t, %v", len(list), last, h.seq, gap, err)
	}
	write(1)
	list, _, gap, err = r.Changes(ctx, last, 0)
	if len(list) != 2 || gap || err != nil {
		t.Errorf("%v %t %v", list, gap, err)
	}
}

// Several processes write at once while others follow. Nobody misses a change, nobody
// sees one twice or before a smaller one, and what is told can be read.
func testWritersAndFollowers(t *testing.T, db database) {
	const writers, writes, followers = 4, 25, 3
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	first := open(t, db.dsn)
	var writing, following sync.WaitGroup
	seen := make([][]Change, followers)
	stop := make(chan struct{})
	for i := range followers {
		r := open(t, db.dsn)
		following.Go(func() {
			var since uint64
			for ending := false; ; {
				list, last, gap, err := r.Changes(ctx, since, 3)
				if err != nil || gap {
					t.Errorf("follower %d: gap %t, %v", i, gap, err)
					return
				}
				for _, c := range list {
					if c.Kind == ConsumerChange && isID(c.Key) {
						if _, err := r.Consumer(ctx, c.Key); err != nil {
							t.Errorf("follower %d: change %d came before its write: %v", i, c.Seq, err)
						}
					}
				}
				seen[i], since = append(seen[i], list...), last
				if len(list) > 0 {
					continue
				}
				if ending {
					return
				}
				select {
				case <-stop:
					ending = true // once more: what was committed before has to be there
				default:
				}
			}
		})
	}
	for w := range writers {
		r := open(t, db.dsn)
		writing.Go(func() {
			for i := range writes {
				if _, err := r.CreateConsumer(ctx, system, Consumer{Username: fmt.Sprintf("w%d-%d", w, i)}); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	following.Wait()
	all, last, gap, err := first.Changes(ctx, 0, 0)
	if err != nil || gap || last != 2*writers*writes {
		t.Fatalf("%d %t %v", last, gap, err)
	}
	for i, c := range all {
		if c.Seq != uint64(i)+1 {
			t.Fatalf("change %d has the number %d", i+1, c.Seq)
		}
	}
	for i := range seen {
		if !slices.Equal(seen[i], all) {
			t.Errorf("follower %d saw %d changes of %d", i, len(seen[i]), len(all))
		}
	}
	rows := must(first.Audits(ctx, AuditFilter{}, Page{Size: 1000}))(t)
	if len(rows.Data) != writers*writes || rows.Data[0].Seq != writers*writes {
		t.Errorf("%d rows in the log", len(rows.Data))
	}
}

// A follower that reads between two commits must not skip the one that began first: the
// writer who gets the smaller number commits first.
func testSlowWriter(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	other := open(t, db.dsn)
	inside, release := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := r.putSlowly(ctx, inside, release); err != nil {
			t.Error(err)
		}
	})
	<-inside
	wait.Go(func() { // testCancelled says that it has to wait
		if _, err := other.CreateConsumer(ctx, system, Consumer{Username: "quick"}); err != nil {
			t.Error(err)
		}
	})
	if list, _, _, err := other.Changes(ctx, 0, 0); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	close(release)
	wait.Wait()
	list, _, gap, err := other.Changes(ctx, 0, 0)
	var keys []string
	for _, c := range list {
		if !isID(c.Key) {
			keys = append(keys, c.Key)
		}
	}
	if err != nil || gap || !reflect.DeepEqual(keys, []string{"slow", "quick"}) {
		t.Errorf("%v %t %v", list, gap, err)
	}
}

// putSlowly enters a consumer and stays in the transaction until it is released.
func (r *Registry) putSlowly(ctx context.Context, inside, release chan struct{}) error {
	return r.write(ctx, system, func(w *tx) error {
		_, err := w.createConsumer(ctx, Consumer{Username: "slow"})
		close(inside)
		<-release
		return err
	})
}

// Of many who want one name at the same time, one gets it and the others are told who
// was first; nobody is told of the database's trouble.
func testRaces(t *testing.T, db database) {
	const racers = 8
	ctx := context.Background()
	var rs []*Registry
	for range racers {
		rs = append(rs, open(t, db.dsn))
	}
	d := must(rs[0].Register(ctx, system, Developer{Email: "a@b"}, true))(t)
	p := must(rs[0].CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "a", CustomID: "a"}))(t)
	for name, do := range map[string]func(*Registry) error{
		"username": func(r *Registry) error { return second(r.CreateConsumer(ctx, system, Consumer{Username: "one"})) },
		"email":    func(r *Registry) error { return second(r.Register(ctx, system, Developer{Email: "One@b"}, true)) },
		"application": func(r *Registry) error {
			return second(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "one", CustomID: "two"}))
		},
		"contract": func(r *Registry) error { return second(r.RequestContract(ctx, system, p.ID, "one", true)) },
	} {
		var wait sync.WaitGroup
		errs := make([]error, racers)
		for i, r := range rs {
			wait.Go(func() { errs[i] = do(r) })
		}
		wait.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !isConflict(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d have won", name, won)
		}
	}
	if n := must(rs[0].read().count(ctx, `SELECT COUNT(*) FROM consumers WHERE application = 1 AND id NOT IN (SELECT consumer_id FROM applications)`))(t); n != 0 {
		t.Errorf("%d consumers without their application", n)
	}
	// Changes by several at once are all there in the end.
	c := must(rs[0].CreateConsumer(ctx, system, Consumer{Username: "counter"}))(t)
	var wait sync.WaitGroup
	for i, r := range rs {
		wait.Go(func() {
			if _, err := r.UpdateConsumer(ctx, system, c.ID, func(c *Consumer) error { c.Tags = append(c.Tags, fmt.Sprint("t", i)); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := must(rs[0].Consumer(ctx, c.ID))(t); len(got.Tags) != racers {
		t.Errorf("%d of %d changes: %s", len(got.Tags), racers, strings.Join(got.Tags, " "))
	}
}

// Who does not want to wait any longer gets away, and leaves nothing.
func testCancelled(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	other := open(t, db.dsn)
	inside, release := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := r.putSlowly(ctx, inside, release); err != nil {
			t.Error(err)
		}
	})
	<-inside
	impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := other.CreateConsumer(impatient, system, Consumer{Username: "late"}); err == nil {
		t.Error("written while somebody else held the lock")
	}
	// Reading does not wait for who writes.
	if _, err := other.Consumer(ctx, "slow"); err == nil {
		t.Error("read before it was committed")
	}
	close(release)
	wait.Wait()
	must(other.CreateConsumer(ctx, system, Consumer{Username: "late"}))(t)
	must(other.Consumer(ctx, "slow"))(t)
}
