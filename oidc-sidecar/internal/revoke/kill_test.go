package revoke

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childDir names the directory to a process that TestKilled starts and kills.
const childDir = "SALLYPORT_TEST_REVOKE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child uses a list until it is killed, and says what is durable, a line each.
func child(dir string) {
	l, err := Open(dir, time.Now)
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	l.slack = 20 // so that many kills meet a file that is being replaced
	check := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprint("once-", os.Getpid(), "-", g, "-", i)
				fresh, err := l.Once(key, time.Now().Add(time.Hour))
				check(err)
				if fresh {
					fmt.Println("once", key)
				}
				sub := fmt.Sprint("sub-", os.Getpid(), "-", g)
				check(l.Revoke(sub, start.Add(time.Duration(i)*time.Second), time.Now().Add(time.Hour)))
				fmt.Println("revoked", sub, i)
				// Lines that do not live, for the file to outgrow what is alive.
				for j := range 3 {
					_, err := l.Once(fmt.Sprint(key, "-", j), time.Now().Add(time.Microsecond))
					check(err)
				}
			}
		}()
	}
	select {}
}

// What a process has reported before kill -9 is there afterwards.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var reported []string
	for round := range 8 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := in.ReadString('\n')
			if err != nil {
				break // a line that was cut off by the kill is not a report
			}
			reported = append(reported, strings.TrimSuffix(line, "\n"))
			if n == 100+37*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended by itself: %v, %q", err, reported[max(0, len(reported)-1):])
		}

		l, err := Open(dir, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reported {
			var key string
			var i int
			if _, err := fmt.Sscanf(r, "revoked %s %d", &key, &i); err == nil {
				if !l.Revoked(key, start.Add(time.Duration(i)*time.Second)) {
					t.Errorf("round %d: lost %q", round, r)
				}
				continue
			}
			key, ok := strings.CutPrefix(r, "once ")
			if !ok {
				t.Fatal(r)
			}
			if fresh, err := l.Once(key, time.Now().Add(time.Hour)); fresh || err != nil {
				t.Errorf("round %d: lost %q: %t, %v", round, r, fresh, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d reports", len(reported))
}
