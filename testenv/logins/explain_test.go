package logins

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// TestExplain: `sallyport explain` says what a running sidecar knows of a session, and
// shows nothing that would open it.
func TestExplain(t *testing.T) {
	r := start(t, "host", file(`
auth_methods: [authorization_code, session, bearer]
upstream_id_token_header: X-Id-Token
logout_query_arg: logout
logout_methods: [GET]`), people, stack.Options{})
	v := visitor.New(t)
	r.login(t, v, "/app/x", "alice")
	_, seen := r.fetch(t, v, r.URL+"/app/x")
	upstream := seen[0]

	var pairs, secrets []string
	for name, value := range v.Cookies(r.URL + "/app/x") {
		pairs, secrets = append(pairs, name+"="+value), append(secrets, value)
	}
	for _, name := range []string{"Authorization", "X-Id-Token"} {
		token := strings.TrimPrefix(upstream.Header(name), "Bearer ")
		if token == "" {
			t.Fatalf("the upstream gets no %s", name)
		}
		secrets = append(secrets, strings.Split(token, ".")...)
	}
	headers := filepath.Join(testenv.TempDir(t), "headers")
	if err := os.WriteFile(headers, []byte("Accept: text/html\nCookie: "+strings.Join(pairs, "; ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, binary := testenv.Build(t)
	explain := func(code int, wants []string, args ...string) {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"explain", "-c", r.Path, "--sidecar", "unix:" + r.Socket()}, args...)...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("exit code %d, want %d:\n%s", got, code, out)
		}
		for _, want := range wants {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		for _, s := range secrets {
			if strings.Contains(string(out), s) {
				t.Errorf("%.12s… is in\n%s", s, out)
			}
		}
	}
	for _, format := range []string{"text", "json"} {
		explain(0, []string{"cookie session, a session", "a session that holds", "x-id-token"},
			"--url", r.URL+"/app/x", "--header", "@"+headers, "--format", format)
	}
	explain(1, []string{"answered with 302 (login_started)", r.idp.Endpoint("authorize"), "state=…"},
		"--url", r.URL+"/app/x", "--header", "Accept: text/html")
	explain(1, []string{"answered with 302 (logged_out)", "the session has ended"},
		"--url", r.URL+"/app/x?logout", "--header", "@"+headers)
	explain(1, []string{"session_revoked", "login_started"},
		"--url", r.URL+"/app/x", "--header", "@"+headers)
}
