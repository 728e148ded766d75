//go:build real

package portal

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
)

// TestDemo signs in to the portal of the demo at its own identity provider, and has the
// request that waits there approved.
func TestDemo(t *testing.T) {
	b := browser.Start(t)
	_, binary := testenv.Build(t)
	p := testenv.Start(t, "demo", binary, []string{"demo", "--listen", "127.0.0.1:0"}, "XDG_CACHE_HOME="+testenv.TempDir(t))
	p.WaitReady(t, 120*time.Second, func() bool { return strings.Contains(p.Log(), "Ctrl-C") })
	at := regexp.MustCompile(`developer portal is at (\S+); .*\n.*waits for an administrator, at (\S+); the token for that page is in (\S+)\.`).FindStringSubmatch(p.Log())
	waits := regexp.MustCompile(`waits for it \(403\):.*curl -s (\S+)\)" (\S+)`).FindStringSubmatch(p.Log())
	if at == nil || waits == nil {
		t.Fatal(p.Log())
	}
	token, err := os.ReadFile(at[3])
	if err != nil {
		t.Fatal(err)
	}
	call := func() int {
		return status(t, waits[2], "Bearer "+get(t, waits[1]))
	}
	if got := call(); got != 403 {
		t.Errorf("before: %d", got)
	}

	alice := b.New(t).Tab(t)
	alice.Navigate(at[1])
	alice.Follow(".hero .button")
	alice.Fill("[name=username]", "alice")
	alice.Fill("[name=password]", "alice")
	alice.Submit("[name=password]")
	if text := alice.Text(); !strings.Contains(text, "Hello, Alice Archer.") || !strings.Contains(text, "1 approved") || !strings.Contains(text, "1 requested") {
		t.Fatalf("alice sees at %s: %s", alice.Location(), text)
	}
	op := b.New(t).Tab(t)
	op.Navigate(at[2])
	op.Fill("#token", strings.TrimSpace(string(token)))
	op.Submit("#token")
	if text := op.Text(); !strings.Contains(text, "Shop front asks for Payments") {
		t.Fatalf("the administrator sees: %s", text)
	}
	op.Follow("button[value=approve]")
	testenv.Eventually(t, 10*time.Second, "the application is let through", func() bool { return call() == 200 })
	alice.Follow(".tile a")
	if text := alice.Text(); !strings.Contains(text, "Calling Payments") {
		t.Errorf("alice sees: %s", text)
	}
	alice.Follow(".me button")
	if text := alice.Text(); !strings.Contains(text, "Build on our services.") {
		t.Errorf("signed out at %s: %s", alice.Location(), text)
	}
}
