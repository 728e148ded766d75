package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
	"github.com/sallyport-auth/sallyport/testenv"
)

// logs collects what a sidecar logs.
type logs struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// bench is a directory with a file and a sidecar in it.
type bench struct {
	*Sidecar
	t      testing.TB
	path   string
	config Config
	log    *logs
	client *http.Client
	files  chan *declarative.File
	end    func() error // ends Run, if it runs
}

func prepare(t testing.TB, file string) *bench {
	t.Helper()
	dir := testenv.TempDir(t)
	b := &bench{t: t, path: filepath.Join(dir, "kong.yml"), log: &logs{}, files: make(chan *declarative.File, 64)}
	b.write(file)
	b.config = Config{
		File: b.path, StateDir: filepath.Join(dir, "state"),
		Logger:   slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnReload: func(f *declarative.File) { b.files <- f },
	}
	b.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", b.Socket())
		},
	}}
	return b
}

func (b *bench) write(file string) {
	b.t.Helper()
	if err := os.WriteFile(b.path, []byte(file), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) run() *bench {
	b.t.Helper()
	s, err := Open(b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Sidecar = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.end = sync.OnceValue(func() error { cancel(); return <-done })
	b.t.Cleanup(func() { _ = b.end() })
	testenv.Eventually(b.t, 10*time.Second, "the socket", func() bool {
		_, err := b.bundle()
		return err == nil
	})
	return b
}

func (b *bench) bundle() (*bundle.Bundle, error) {
	req, err := http.NewRequest(http.MethodGet, "http://sidecar"+wire.PathBundle, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(wire.VersionHeader, wire.Version)
	res, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return bundle.Decode(string(body))
}

// inForce is the realm of the file in force, by the bundle on the socket.
func (b *bench) inForce() string {
	decoded, err := b.bundle()
	if err != nil {
		return err.Error()
	}
	for _, p := range decoded.Plugins {
		if p.JWT != nil && b.Sidecar.File().Source == decoded.Source {
			for _, r := range b.Sidecar.File().Plugins {
				if r.JWT != nil {
					return r.JWT.Realm
				}
			}
		}
	}
	return ""
}

// reloaded waits until a file with the realm is in force.
func (b *bench) reloaded(realm string) {
	b.t.Helper()
	if err := testenv.Poll(10*time.Second, func() bool { return b.inForce() == realm }); err != nil {
		b.t.Fatalf("%s is not in force: %v, but %s\n%s", realm, err, b.inForce(), b.log)
	}
}

// file has one route with a plugin of a realm.
func file(realm string) string {
	return fmt.Sprintf(`_format_version: "3.0"
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: jwt, config: {claims_to_verify: [exp], realm: %s}}]}]}]
consumers: [{username: alice, jwt_secrets: [{}]}]
`, realm)
}

func TestWhatOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(b *bench)
		err    string
		is     error
	}{
		{"no file", func(b *bench) { _ = os.Remove(b.path) }, "no such file", ErrFile},
		{"a directory", func(b *bench) { b.config.File = filepath.Dir(b.path) }, "is no file", ErrFile},
		{"a bad file", func(b *bench) { b.write("x: 1\n") }, "kong.yml:1: x: ", nil},
		{"a state directory that is a file", func(b *bench) { b.config.StateDir = b.path }, "not a directory", nil},
		{"a broken installation secret", func(b *bench) {
			_ = os.MkdirAll(b.config.StateDir, 0o700)
			_ = os.WriteFile(filepath.Join(b.config.StateDir, "installation-secret"), []byte("short"), 0o600)
		}, "installation-secret is too short", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := prepare(t, file("a"))
			test.change(b)
			s, err := Open(b.config)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.err) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
	t.Run("a directory in use", func(t *testing.T) {
		b := prepare(t, file("a")).run()
		if _, err := Open(b.config); !errors.Is(err, state.ErrLocked) {
			t.Errorf("error %v", err)
		}
		if err := b.end(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		b.run() // the directory is free again
	})
}

// TestRelativeStateDir: the state directory may be named as it is seen from here.
func TestRelativeStateDir(t *testing.T) {
	b := prepare(t, file("a"))
	dir := filepath.Dir(b.path)
	t.Chdir(dir)
	b.config.StateDir = "state"
	b.run()
	for _, path := range []string{b.Socket(), b.Public()} {
		if info, err := os.Stat(path); err != nil || info.Mode().Type() != os.ModeSocket || filepath.Dir(path) != b.StateDir() {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestSocket(t *testing.T) {
	b := prepare(t, file("a")).run()
	info, err := os.Stat(b.Socket())
	if err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if b.Socket() != filepath.Join(b.StateDir(), SocketName) {
		t.Errorf("socket %s", b.Socket())
	}
	if err := b.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(b.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
	dir := testenv.TempDir(t)
	for _, test := range []struct {
		name, path, group string
		before            func(path string)
		err               string
	}{
		{"in a new directory", dir + "/new/s.sock", "", nil, ""},
		{"a dead process has left one", dir + "/dead.sock", "", func(path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			_ = l.Close()
		}, ""},
		{"somebody answers", dir + "/live.sock", "", func(path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, "is in use by another sidecar"},
		{"a file", dir + "/file", "", func(path string) { _ = os.WriteFile(path, []byte("mine"), 0o600) }, "is there and is no socket"},
		{"too long", dir + "/" + strings.Repeat("x", 120), "", nil, "longer than 107 bytes"},
		{"a group", dir + "/g.sock", fmt.Sprint(os.Getgid()), nil, ""},
		{"no such group", dir + "/n.sock", "no-such-group-here", nil, "no-such-group-here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.before != nil {
				test.before(test.path)
			}
			l, err := listenUnix(test.path, test.group)
			if err == nil {
				defer l.Close()
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
		})
	}
	if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm()&^0o750 != 0 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
	if data, err := os.ReadFile(dir + "/file"); err != nil || string(data) != "mine" {
		t.Errorf("the file is %q now (%v)", data, err)
	}
	if _, err := os.Stat(dir + "/n.sock"); !os.IsNotExist(err) {
		t.Error("a socket without its group is left open")
	}
}

func TestAdminListener(t *testing.T) {
	b := prepare(t, file("a"))
	b.config.AdminListen = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	b.config.Admin = func(a Admin) (http.Handler, error) {
		if a.Registry != nil || a.Given || a.Addr.String() != b.config.AdminListen {
			return nil, fmt.Errorf("%+v", a)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+a.Token.Reveal() {
				w.WriteHeader(http.StatusUnauthorized)
			}
			_, _ = io.WriteString(w, a.File().JWTSecrets[0].Key)
		}), nil
	}
	b.run()
	token, err := os.ReadFile(filepath.Join(b.StateDir(), "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the admin API", func() bool {
		req, _ := http.NewRequest(http.MethodGet, "http://"+b.config.AdminListen+"/consumers/alice/jwt", nil)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode == 200 && strings.Contains(string(body), b.File().JWTSecrets[0].Key)
	})
	if strings.Contains(b.log.String(), strings.TrimSpace(string(token))) {
		t.Error("the token is logged")
	}
	if err := b.end(); err != nil {
		t.Error(err)
	}
	refuse := func(a Admin) (http.Handler, error) {
		if !a.Given || a.Token.Reveal() != "given" {
			return nil, errors.New("another token")
		}
		return nil, errors.New("not there")
	}
	for _, test := range []struct {
		listen, err string
		admin       func(Admin) (http.Handler, error)
	}{
		{"127.0.0.1:0", "--admin-listen is 127.0.0.1:0: not there", refuse},
		{"127.0.0.1:0", "there is no admin API", nil},
		{"nonsense", "--admin-listen", refuse},
	} {
		b := prepare(t, file("a"))
		b.config.AdminListen, b.config.AdminToken, b.config.Admin = test.listen, redact.New("given"), test.admin
		s, err := Open(b.config)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: error %v, want %q", test.listen, err, test.err)
		}
		if _, err := os.Stat(s.Socket()); !os.IsNotExist(err) {
			t.Errorf("%s: the filters' socket is left open", test.listen)
		}
	}
}

// A question that is under way when the sidecar ends is answered.
func TestRunDrains(t *testing.T) {
	b := prepare(t, file("a")).run()
	conn, err := net.Dial("unix", b.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST " + wire.PathAsk + " HTTP/1.1\r\nHost: s\r\n" + wire.VersionHeader + ": 1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	const under = "HTTP/1.1 100 Continue\r\n\r\n" // the body is being read
	if _, err := io.ReadFull(conn, make([]byte, len(under))); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.end() }()
	testenv.Eventually(t, 10*time.Second, "no new connections", func() bool {
		c, err := net.Dial("unix", b.Socket())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(conn, "{}"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") || !strings.Contains(string(answer), "sidecar_refused") {
		t.Errorf("%s %v", answer, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
