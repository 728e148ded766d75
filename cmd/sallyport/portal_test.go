package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// TestPortalProcess runs the portal as a program: by flags and the environment, with
// health and metrics, a reload and an end.
func TestPortalProcess(t *testing.T) {
	_, binary := testenv.Build(t)
	issuer := idp.Start(t)
	dir := testenv.TempDir(t)
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	gui, auth, admin, status := address(), address(), address(), address()
	file := filepath.Join(dir, "kong.yml")
	write := func(name string) {
		t.Helper()
		text := fmt.Sprintf(`_format_version: "3.0"
_sallyport: {registry: "sqlite:%s"}
services:
- name: s
  url: http://s.invalid
  routes: [{name: r, paths: [/r]}]
  plugins:
  - {name: openid-connect, config: {issuer: %q, auth_methods: [bearer], consumer_claim: [client_id]}}
  - {name: application-registration, config: {display_name: %s}}
`, filepath.Join(dir, "registry.db"), issuer.Issuer(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("First")
	conf := filepath.Join(dir, "kong.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "portal_auth = openid-connect\nportal_auth_conf = {\"issuer\": %q, \"client_id\": [\"p\"], \"client_secret\": [\"s\"]}\n", issuer.Issuer()), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	argsFor := func(state, gui, auth, admin string) []string {
		return []string{"portal", "-c", file, "--kong-conf", conf, "--state-dir", state, "--listen", gui, "--auth-listen", auth, "--admin-listen", admin,
			"--log-level", "debug", "--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache")}
	}
	args := argsFor(state, gui, auth, admin)
	p := testenv.Start(t, "portal", binary, args, "SALLYPORT_STATUS_LISTEN="+status)
	p.WaitReady(t, 60*time.Second, func() bool { return testenv.OK("http://" + status + "/readyz") })
	if !testenv.OK("http://" + status + "/healthz") {
		t.Error("no health")
	}
	if got := body(t, "http://"+status+"/metrics"); !strings.Contains(got, "sallyport_filter_info") {
		t.Errorf("metrics: %s", got)
	}
	_, port, _ := strings.Cut(gui, ":")
	if got := body(t, "http://localhost:"+port+"/default"); !strings.Contains(got, "Build on our services.") {
		t.Errorf("%s", got)
	}
	for name, mode := range map[string]os.FileMode{"admin-token": 0o600, "installation-secret": 0o600, "portal/portal.json": 0o600, "portal": os.ModeDir | 0o700} {
		info, err := os.Stat(filepath.Join(state, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	token, err := os.ReadFile(filepath.Join(state, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, "http://"+admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Kong-Admin-Token", strings.TrimSpace(string(token)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	if status, text := get("/services"); status != 200 || !strings.Contains(text, `"s"`) {
		t.Errorf("the admin API: %d %s", status, text)
	}
	if status, text := get("/default/kong"); status != 200 || !strings.Contains(text, `"port":`+port) {
		t.Errorf("the ports: %d %s", status, text)
	}
	write("Second")
	testenv.Eventually(t, 10*time.Second, "the file is read anew", func() bool { return strings.Contains(p.Log(), "the declarative file is in force in the portal") })
	if err := os.WriteFile(file, []byte("nonsense: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "a broken file is refused", func() bool { return strings.Contains(p.Log(), "what the portal shows stays") })
	if !testenv.OK("http://localhost:" + port + "/default/kong") {
		t.Error("a broken file ends the portal")
	}
	write("Third")

	// Another one cannot have the same state, nor the same addresses.
	other := testenv.Start(t, "second portal", binary, args)
	if err := testenv.Poll(30*time.Second, other.Ended); err != nil || other.ExitCode() != 1 || !strings.Contains(other.Log(), "in use by another sidecar") {
		t.Errorf("%v %d %s", err, other.ExitCode(), other.Log())
	}
	// Beyond loopback administrators need a token that somebody has chosen.
	_, open, _ := strings.Cut(address(), ":")
	outside := testenv.Start(t, "open portal", binary, append(argsFor(filepath.Join(dir, "other"), address(), address(), "0.0.0.0:"+open),
		"--registry", "sqlite:"+filepath.Join(dir, "other.db")))
	if err := testenv.Poll(30*time.Second, outside.Ended); err != nil || outside.ExitCode() != 1 || !strings.Contains(outside.Log(), "without a token that was given") {
		t.Errorf("%v %d %s", err, outside.ExitCode(), outside.Log())
	}

	p.Signal(syscall.SIGTERM)
	if err := testenv.Poll(30*time.Second, p.Ended); err != nil || p.ExitCode() != 0 {
		t.Errorf("SIGTERM: %v %d %s", err, p.ExitCode(), p.Tail())
	}
	if strings.Contains(p.Log(), "services[0]") {
		t.Errorf("findings about a file that nobody has written: %s", p.Log())
	}
	if strings.Contains(p.Log(), strings.TrimSpace(string(token))) || strings.Contains(p.Log(), `"s"]`) {
		t.Error("the log has a secret in it")
	}
}

// TestConsumerHas: an application cannot be registered under what a consumer of the file
// is found by, in the file as it was read last.
func TestConsumerHas(t *testing.T) {
	file, problems := declarative.Parse("kong.yml", []byte(`{_format_version: "3.0", consumers: [{id: 7bd3e3a5-4d56-4a0c-9a63-7f10a4d0a001, username: Root, custom_id: client-1}]}`), declarative.Options{})
	if file == nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		field, value string
		want         bool
	}{
		{"id", "7bd3e3a5-4d56-4a0c-9a63-7f10a4d0a001", true}, {"username", "Root", true}, {"username", "root", true}, {"custom_id", "client-1", true},
		{"custom_id", "Root", false}, {"custom_id", "client-2", false}, {"other", "Root", false},
	} {
		if got := consumerHas(file, tt.field, tt.value); got != tt.want {
			t.Errorf("%s %s: %v", tt.field, tt.value, got)
		}
	}
	var current atomic.Pointer[declarative.File]
	current.Store(file)
	db, err := registry.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "r.db"), registry.Options{
		Secret: redact.New("installation-secret-of-the-test-0123456789"),
		Reserved: func(kind, field, value string) bool {
			return kind == "consumers" && consumerHas(current.Load(), field, value)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	who := registry.Actor{Kind: "system", Name: "test"}
	d, err := db.Register(t.Context(), who, registry.Developer{Email: "ada@example.com", Name: "Ada", Issuer: "https://i.example", Subject: "ada"}, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"client-1", "root", "7bd3e3a5-4d56-4a0c-9a63-7f10a4d0a001"} {
		var taken *registry.Conflict
		if _, err := db.CreateApplication(t.Context(), who, registry.Application{DeveloperID: d.ID, Name: id, CustomID: id}); !errors.As(err, &taken) {
			t.Errorf("%s: %v", id, err)
		}
	}
	current.Store(&declarative.File{})
	if _, err := db.CreateApplication(t.Context(), who, registry.Application{DeveloperID: d.ID, Name: "x", CustomID: "client-1"}); err != nil {
		t.Error(err)
	}
}
