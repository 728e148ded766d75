// Package browser drives a real Chromium for tests. install.sh installs it.
//
// A Browser is a process with a profile of its own. A Context is one person with
// it: cookies, storage and cache that no other context sees. A Tab is a page, and
// several in a context share what the person has.
//
// Nothing leaves the machine: a browser reaches loopback addresses, localhost,
// and names that end in .example or .test, all of which are 127.0.0.1. Two such
// names are two sites, which 127.0.0.1 with two ports is not.
//
// Every operation ends within a time, and fails the test that opened the tab when
// it did not succeed; those that begin with Try return an error instead.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/sallyport-auth/sallyport/testenv"
)

// patience is how long an operation may take.
const patience = 30 * time.Second

// resolver says which names there are. The first rule that fits counts.
const resolver = "MAP *.example 127.0.0.1, MAP *.test 127.0.0.1, EXCLUDE localhost, EXCLUDE 127.0.0.*, MAP * ~NOTFOUND"

// Browser is a running Chromium. It ends with the test.
type Browser struct {
	ctx context.Context
}

// Path returns the program, skipping the test where there is none.
func Path(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		testenv.Missing(t, "Chromium is not installed: run testenv/browser/install.sh")
	}
	return path
}

// Start starts a browser. It takes the given certificates for good whatever is
// wrong with them; any other has to be right.
func Start(t testing.TB, trusted ...*x509.Certificate) *Browser {
	t.Helper()
	return launch(t, testenv.TempDir(t), trusted)
}

// StartWithoutCookies starts a browser whose user has forbidden all cookies.
func StartWithoutCookies(t testing.TB) *Browser {
	t.Helper()
	home := testenv.TempDir(t)
	profile := filepath.Join(home, "profile")
	settings := filepath.Join(profile, "Default", "Preferences")
	if err := os.MkdirAll(filepath.Dir(settings), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte(`{"profile":{"default_content_setting_values":{"cookies":2}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, home, nil, chromedp.UserDataDir(profile))
}

func launch(t testing.TB, home string, trusted []*x509.Certificate, more ...chromedp.ExecAllocatorOption) *Browser {
	t.Helper()
	path := Path(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("no-sandbox", os.Getuid() == 0), // a sandbox refuses root
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("host-resolver-rules", resolver),
		chromedp.Flag("ignore-certificate-errors-spki-list", pins(trusted)),
		// The profile is chromedp's affair; these get downloads and crash reports.
		chromedp.Env("HOME="+home, "TMPDIR="+home),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(cancel)
	// What it does not understand of the protocol it would write to standard error.
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		defer cancel() // ends the process by its id, and waits
		polite, enough := context.WithTimeout(ctx, patience/3)
		defer enough()
		_ = chromedp.Cancel(polite)
	})
	if err := begin(ctx, cancel); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &Browser{ctx}
}

// begin has chromedp start what a new context stands for. That lives as long as
// the context given here, which therefore cannot have a time-out.
func begin(ctx context.Context, cancel context.CancelFunc) error {
	late := time.AfterFunc(patience, cancel)
	defer late.Stop()
	return chromedp.Do(ctx)
}

// pins are the hashes of public keys as --ignore-certificate-errors-spki-list
// wants them.
func pins(certificates []*x509.Certificate) string {
	var out []string
	for _, c := range certificates {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		out = append(out, base64.StdEncoding.EncodeToString(sum[:]))
	}
	return strings.Join(out, ",")
}

// PID returns the id of the process.
func (b *Browser) PID() int { return b.browser().Process().Pid }

func (b *Browser) browser() *chromedp.Browser { return chromedp.FromContext(b.ctx).Browser }

// Context is a person's cookies, storage and cache, forgotten when the test ends.
type Context struct {
	t  testing.TB
	b  *Browser
	id cdp.BrowserContextID
}

// New makes a context that has nothing yet.
func (b *Browser) New(t testing.TB) *Context {
	t.Helper()
	made, err := call(b, target.CreateBrowserContext, target.CreateBrowserContextParams{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := call(b, target.DisposeBrowserContext, target.DisposeBrowserContextParams(made)); err != nil {
			t.Errorf("a browser context is not forgotten: %v", err)
		}
	})
	return &Context{t, b, made.BrowserContextID}
}

// call runs a command of the browser itself.
func call[P, R any](b *Browser, command cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return cdp.Call(ctx, b.browser(), command, params)
}
