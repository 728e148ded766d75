package testenv

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test has started. It ends with the test.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
	code int
}

// logBuffer collects what a process writes.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns everything so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Start starts a program. env is added to the test's own environment.
func Start(t testing.TB, name, path string, args []string, env ...string) *Process {
	t.Helper()
	return StartAs(t, nil, name, path, args, env...)
}

// StartAs starts a program as another user, which only root may; nil is the test's own.
func StartAs(t testing.TB, user *syscall.Credential, name, path string, args []string, env ...string) *Process {
	t.Helper()
	p := &Process{Name: name, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(p.cmd.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user} // a script's children end with it
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	t.Cleanup(p.Stop)
	return p
}

// WaitReady waits until ready holds, and fails the test when the process ends
// before.
func (p *Process) WaitReady(t testing.TB, within time.Duration, ready func() bool) {
	t.Helper()
	err := Poll(within, func() bool { return p.Ended() || ready() })
	if p.Ended() {
		t.Fatalf("%s ended with %d: %s", p.Name, p.code, p.Tail())
	}
	if err != nil {
		t.Fatalf("%s is not ready: %v: %s", p.Name, err, p.Tail())
	}
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitCode waits for the end and returns the exit code.
func (p *Process) ExitCode() int {
	<-p.done
	return p.code
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// Kill ends the process without a chance to clean up.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop ends the process: politely, then not.
func (p *Process) Stop() {
	if p.Ended() {
		return
	}
	p.Signal(syscall.SIGCONT) // a test may have stopped it
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process has written.
func (p *Process) Log() string { return p.log.String() }

// Tail returns the end of what the process has written.
func (p *Process) Tail() string {
	s := p.Log()
	return s[max(0, len(s)-4000):]
}
