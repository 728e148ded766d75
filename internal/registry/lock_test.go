package registry

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// childAsks says whether somebody else has the lock of a reader (SHARED) on the file, as
// SQLite asks before it takes a log away (https://sqlite.org/src/file/src/os.h).
func childAsks(dsn string) {
	f, err := os.OpenFile(strings.TrimPrefix(dsn, "sqlite:"), os.O_RDWR, 0)
	failed(err)
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: 0x40000002, Len: 510}
	failed(syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock))
	fmt.Print(lock.Type != syscall.F_UNLCK)
	os.Exit(0)
}

// Two parts of one program may have the same file open. That the second opens it must
// not cost the first its locks (POSIX takes all of a process's from a file when it closes
// any descriptor of it): another process, such as sqlite3 that makes a backup, would think
// itself the last one, and take the log away beneath both. What they write from then on,
// revocations too, would be acknowledged and be nowhere.
func TestOpenedTwiceInOneProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	db := emptyFile(t)
	locked := func(when string) {
		t.Helper()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDoes+"=ask", childDSN+"="+db.dsn)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "true" {
			t.Errorf("%s: locked %s, %v: want true", when, out, err)
		}
	}
	first := open(t, db.dsn)
	if _, err := first.CreateConsumer(context.Background(), system, Consumer{Username: "first"}); err != nil {
		t.Fatal(err)
	}
	locked("opened")
	open(t, db.dsn)
	locked("opened twice")
}
