package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/testenv"
)

// What tells a process that a test starts what to do, and with which database.
const (
	childDoes = "SALLYPORT_TEST_REGISTRY_CHILD"
	childDSN  = "SALLYPORT_TEST_REGISTRY_DSN"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childDoes) {
	case "write":
		childWrites(os.Getenv(childDSN))
	case "open":
		childOpens(os.Getenv(childDSN))
	case "ask":
		childAsks(os.Getenv(childDSN))
	}
	os.Exit(m.Run())
}

// failed ends a child.
func failed(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// childWrites writes until it is killed, several at once, and says what is acknowledged,
// a line each. Every write is of several rows.
func childWrites(dsn string) {
	ctx := context.Background()
	r, err := Open(ctx, dsn, Options{Secret: secret, HashPassword: cheap})
	failed(err)
	for g := range 3 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("p%d-%d-%d", os.Getpid(), g, i)
				d, err := r.Register(ctx, system, Developer{Email: name + "@example.com", Issuer: "https://idp", Subject: name}, true)
				failed(err)
				p, err := r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: name, CustomID: name})
				failed(err)
				_, err = r.RequestContract(ctx, system, p.ID, "orders", true)
				failed(err)
				_, key, err := r.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: p.ConsumerID, Tags: []string{"a", "b"}}, redact.Secret{})
				failed(err)
				fmt.Println("made", name, key.Reveal())
				switch i % 4 {
				case 1:
					failed(r.DeleteApplication(ctx, system, p.ID))
					fmt.Println("application gone", name)
				case 2:
					failed(r.DeleteDeveloper(ctx, system, d.ID))
					fmt.Println("developer gone", name)
				case 3:
					_, err := r.SetDeveloperStatus(ctx, system, d.ID, Revoked)
					failed(err)
					fmt.Println("revoked", name)
				}
			}
		}()
	}
	select {}
}

// What a process has been told before kill -9 is there afterwards, and nothing is there
// by half.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, db := context.Background(), emptyFile(t)
	was := map[string]string{} // by name, the last that is known
	keys := map[string]string{}
	for round := range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDoes+"=write", childDSN+"="+db.dsn)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := ""
		in := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := in.ReadString('\n')
			if err != nil {
				break // what was cut off by the kill is not a report
			}
			last = strings.TrimSuffix(line, "\n")
			if name, ok := strings.CutPrefix(last, "made "); ok {
				name, key, _ := strings.Cut(name, " ")
				was[name], keys[name] = "made", key
			} else if i := strings.LastIndexByte(last, ' '); i > 0 {
				was[last[i+1:]] = last[:i]
			}
			if n == 7+13*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended by itself: %v, %q", err, last)
		}

		r := open(t, db.dsn)
		for name, state := range was {
			who, err := r.IdentityBy(ctx, []string{"custom_id"}, name)
			_, _, keyErr := r.KeyAuthByKey(ctx, keys[name])
			_, devErr := r.Developer(ctx, name+"@example.com")
			gone := errors.Is(err, ErrNotFound) && errors.Is(keyErr, ErrNotFound)
			there := err == nil && keyErr == nil && devErr == nil && who.Consumer.Application
			var next int // what the child would have done next, and may have, without a report
			if _, e := fmt.Sscanf(name[strings.LastIndexByte(name, '-'):], "-%d", &next); e != nil {
				t.Fatal(e)
			}
			ok := false
			switch next %= 4; {
			case state == "application gone":
				ok = gone && devErr == nil
			case state == "developer gone":
				ok = gone && errors.Is(devErr, ErrNotFound)
			case state == "revoked":
				ok = there && who.Contracts == nil
			case next == 0:
				ok = there && slices.Equal(who.Contracts, []string{"orders"})
			case next == 1:
				ok = there || gone && devErr == nil
			case next == 2:
				ok = there || gone && errors.Is(devErr, ErrNotFound)
			case next == 3:
				ok = there
			}
			if !ok {
				t.Errorf("round %d: %s was %q: %+v, %v, %v, %v", round, name, state, who, err, keyErr, devErr)
			}
		}
		whole(t, r)
		for _, kind := range []string{"keyauths", "applications", "developers", "contracts"} {
			if n := must(r.read().count(ctx, `SELECT COUNT(*) FROM `+kind+` WHERE id NOT IN (SELECT id FROM audits WHERE kind = ?)`, kind))(t); n != 0 {
				t.Errorf("round %d: %d %s without a line in the log", round, n, kind)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d were made", len(was))
}

// A process that is killed while it makes the schema leaves a database that the next one
// makes the rest of.
func TestKilledWhileOpening(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for round := range 10 {
		db := emptyFile(t)
		path := strings.TrimPrefix(db.dsn, "sqlite:")
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDoes+"=open", childDSN+"="+db.dsn)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// The schema is about 200 kB in the log of what is to be written.
		if err := testenv.Poll(time.Minute, func() bool {
			info, err := os.Stat(path + "-wal")
			return err == nil && info.Size() >= int64(round)*20_000 || len(ended) > 0
		}); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Kill()
		if err := <-ended; err != nil && strings.Contains(err.Error(), "killed") {
			killed++
		}
		r := open(t, db.dsn)
		must(r.CreateConsumer(context.Background(), system, Consumer{Username: "ann"}))(t)
		whole(t, r)
		if got := appliedVersions(t, r); !slices.Equal(got, knownVersions(t)) {
			t.Errorf("round %d: versions %q", round, got)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if killed == 0 {
		t.Error("nobody was killed: the test says nothing")
	}
	t.Logf("%d of 10 were killed", killed)
}

// whole checks that nothing is there by half: every reference leads somewhere, every
// application has its consumer, tags are of rows that there are, and numbers have no gap.
func whole(t *testing.T, r *Registry) {
	t.Helper()
	ctx := context.Background()
	count := func(what, query string) {
		t.Helper()
		if n := must(r.read().count(ctx, query))(t); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	for table, columns := range allTables {
		for _, c := range columns {
			parent := strings.TrimSuffix(c, "_id") + "s"
			count(table+" without "+parent, `SELECT COUNT(*) FROM `+table+` WHERE `+c+` NOT IN (SELECT id FROM `+parent+`)`)
		}
	}
	count("consumers of no application", `SELECT COUNT(*) FROM consumers WHERE application = 1 AND id NOT IN (SELECT consumer_id FROM applications)`)
	for _, kind := range []string{"consumers", "keyauths", "basicauths", "jwts", "acls"} {
		count("tags of no "+kind, `SELECT COUNT(*) FROM tags WHERE kind = '`+kind+`' AND id NOT IN (SELECT id FROM `+kind+`)`)
	}
	count("changes that are missing", `SELECT head.seq - head.pruned - (SELECT COUNT(*) FROM changes) FROM head`)
	count("lines of the log that are missing", `SELECT head.audit - (SELECT COUNT(*) FROM audits) FROM head`)
	if !r.pg {
		var ok string
		if err := r.read().row(ctx, `PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
			t.Errorf("integrity: %s, %v", ok, err)
		}
	}
}
