//go:build real

package browser_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
)

// site answers with pages, and says what it was sent.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	pages := map[string]string{
		"/":       `<h1>home</h1><a id=go href=/one>go</a> <a id=stay href="#below">stay</a>`,
		"/script": `<body onload="location.href = '/plain?from=script'">`,
		"/post":   `<body onload="document.forms[0].submit()"><form method=post action=/echo><input name=code value=c0de></form>`,
		"/form": `<form method=post action=/echo><input name=login value=old><input name=password type=password>
			<button id=send name=how value=click>send</button></form>`,
		"/late":  `<script>setTimeout(() => { document.body.innerHTML = "<button onclick='this.textContent = 7'>b</button>" }, 50)</script><p>l`,
		"/plain": `<p>plain`,
	}
	for path, body := range pages {
		if path == "/" {
			path = "/{$}"
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!doctype html><link rel=icon href='data:,'>"+body)
		})
	}
	mux.HandleFunc("GET /one", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "one=1; Path=/; HttpOnly; SameSite=Lax")
		w.Header().Add("Set-Cookie", "none=1; SameSite=None")
		http.Redirect(w, r, "/two", http.StatusFound)
	})
	mux.HandleFunc("GET /two", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/plain#part", http.StatusSeeOther)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Cookie", r.Header.Get("Cookie"))
		fmt.Fprintf(w, "%s %s cookie=%s", r.Method, body, r.Header.Get("Cookie"))
	})
	mux.HandleFunc("/status/{status}", func(w http.ResponseWriter, r *http.Request) {
		status := 0
		_, _ = fmt.Sscan(r.PathValue("status"), &status)
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			fmt.Fprintf(w, "status %d", status)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// One process is enough for most: contexts keep the tests apart.
func TestBrowser(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"navigate": testNavigate, "pages go on": testPagesGoOn, "hands": testHands, "cookies": testCookies,
		"sites": testSites, "scripts": testScripts, "tabs at once": testTabsAtOnce, "screenshot": testScreenshot,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

func testNavigate(t *testing.T, b *browser.Browser) {
	s := site(t)
	tab := b.New(t).Tab(t)

	n := tab.Navigate(s.URL + "/one")
	if n.URL != s.URL+"/plain#part" || n.Status != 200 || n.Restored {
		t.Errorf("%s: %d", n.URL, n.Status)
	}
	var chain []string
	for _, r := range n.Chain {
		chain = append(chain, fmt.Sprint(strings.TrimPrefix(r.URL, s.URL), " ", r.Status, " ", r.Header.Get("Location")))
	}
	if want := []string{"/one 302 /two", "/two 303 /plain#part", "/plain#part 200 "}; !slices.Equal(chain, want) {
		t.Errorf("the chain is %q", chain)
	}
	if got := n.Chain[0].Header["Set-Cookie"]; len(got) != 2 || got[0] != "one=1; Path=/; HttpOnly; SameSite=Lax" {
		t.Errorf("set %q", got)
	}
	if got := n.Chain[0].Refused; len(got) != 1 || !strings.HasPrefix(got[0], "none=1") || !strings.Contains(got[0], "SameSiteNoneInsecure") {
		t.Errorf("refused %q", got)
	}
	if got := n.Chain[1].Sent.Get("Cookie"); got != "one=1" {
		t.Errorf("sent %q", got)
	}
	if got := tab.Text(); got != "plain" {
		t.Errorf("the text is %q", got)
	}
	if got := tab.HTML(); !strings.Contains(got, "<p>plain") {
		t.Errorf("the document is %q", got)
	}
	if got := tab.Location(); got != n.URL {
		t.Errorf("at %s", got)
	}

	for _, status := range []int{401, 503} {
		if n := tab.Navigate(fmt.Sprint(s.URL, "/status/", status)); n.Status != status || tab.Text() != fmt.Sprint("status ", status) {
			t.Errorf("%d: %q", n.Status, tab.Text())
		}
	}
	before := tab.Location()
	if n := tab.Navigate(s.URL + "/status/204"); n.Status != 204 || n.URL != before {
		t.Errorf("%d at %s", n.Status, n.URL)
	}
	if n, err := tab.TryNavigate(fmt.Sprintf("http://127.0.0.1:%d/", testenv.FreePort(t))); err == nil || !strings.Contains(err.Error(), "net::ERR_CONNECTION_REFUSED") {
		t.Errorf("%v: %v", n, err)
	}
	if n, err := tab.TryNavigate("http://elsewhere.org/"); err == nil || !strings.Contains(err.Error(), "net::ERR_NAME_NOT_RESOLVED") {
		t.Errorf("%v: %v", n, err)
	}
	if n := tab.Navigate(s.URL + "/plain"); n.Status != 200 || tab.Text() != "plain" {
		t.Errorf("after errors: %d", n.Status)
	}
}

// What a page does by itself when it is loaded is waited for.
func testPagesGoOn(t *testing.T, b *browser.Browser) {
	s := site(t)
	tab := b.New(t).Tab(t)
	if n := tab.Navigate(s.URL + "/script"); n.URL != s.URL+"/plain?from=script" || len(n.Chain) != 2 {
		t.Errorf("%s: %v", n.URL, n.Chain)
	}
	n := tab.Navigate(s.URL + "/post")
	if n.URL != s.URL+"/echo" || len(n.Chain) != 2 || n.Chain[1].Method != "POST" || tab.Text() != "POST code=c0de cookie=" {
		t.Errorf("%s: %v: %s", n.URL, n.Chain, tab.Text())
	}
	tab.Navigate(s.URL + "/")
	tab.Eval(`setTimeout(() => location.href = "/plain", 100)`, nil)
	if got := tab.WaitLocation(func(url string) bool { return strings.HasSuffix(url, "/plain") }); got != s.URL+"/plain" {
		t.Errorf("at %s", got)
	}
}

func testHands(t *testing.T, b *browser.Browser) {
	s := site(t)
	tab := b.New(t).Tab(t)
	tab.Navigate(s.URL + "/form")
	tab.Fill("[name=login]", "")
	tab.Fill("[name=login]", "alice & bob")
	tab.Fill("[name=password]", "pässword")
	form := "POST " + url.Values{"login": {"alice & bob"}, "password": {"pässword"}}.Encode()
	if n := tab.Submit("form"); n.Status != 200 || n.Chain[0].Method != "POST" || tab.Text() != form+" cookie=" {
		t.Errorf("%d %s", n.Status, tab.Text())
	}
	if n := tab.Back(); n.URL != s.URL+"/form" {
		t.Errorf("back at %s", n.URL)
	}
	if n := tab.Follow("#send"); n.URL != s.URL+"/echo" || !strings.Contains(tab.Text(), "how=click") {
		t.Errorf("at %s: %s", n.URL, tab.Text())
	}
	if n := tab.Reload(); n.Status != 200 || n.Chain[0].Method != "POST" {
		t.Errorf("%v", n.Chain)
	}
	tab.Navigate(s.URL + "/")
	if n := tab.Follow("#stay"); n.URL != s.URL+"/#below" || n.Status != 0 || !n.Restored {
		t.Errorf("at %s", n.URL)
	}
	tab.Click("#go")
	if got := tab.WaitLocation(func(url string) bool { return strings.HasSuffix(url, "#part") }); got != s.URL+"/plain#part" {
		t.Errorf("at %s", got)
	}
	tab.Back()
	if n := tab.Forward(); n.URL != s.URL+"/plain#part" {
		t.Errorf("forward at %s", n.URL)
	}
	tab.Navigate(s.URL + "/late")
	tab.Click("button")
	if got := tab.Text(); got != "7" {
		t.Errorf("clicked: %q", got)
	}
}

func testCookies(t *testing.T, b *browser.Browser) {
	s := site(t)
	person := b.New(t)
	first, second := person.Tab(t), person.Tab(t)
	first.Navigate(s.URL + "/one")
	second.Navigate(s.URL + "/echo")
	if got := second.Text(); !strings.HasSuffix(got, "cookie=one=1") {
		t.Errorf("the other tab sends %q", got)
	}
	c := person.Cookie("one")
	if c == nil || c.Value != "1" || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || !c.Expires.IsZero() ||
		c.Domain != "127.0.0.1" || c.Path != "/" {
		t.Errorf("%#v", c)
	}

	end := time.Now().Add(time.Hour).Truncate(time.Second)
	person.SetCookie(&http.Cookie{Name: "two", Value: "2", Domain: "127.0.0.1", Path: "/echo", Expires: end, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	if c := person.Cookie("two"); c == nil || !c.Expires.Equal(end) || c.SameSite != http.SameSiteStrictMode || c.Path != "/echo" || c.Domain != "127.0.0.1" {
		t.Errorf("%#v", c)
	}
	person.SetCookie(&http.Cookie{Name: "wide", Value: "3", Domain: ".app.example", Secure: true, SameSite: http.SameSiteNoneMode})
	if c := person.Cookie("wide"); c == nil || c.Domain != ".app.example" || !c.Secure || c.SameSite != http.SameSiteNoneMode {
		t.Errorf("%#v", c)
	}
	changed := person.Cookie("one")
	changed.Value = "changed"
	person.SetCookie(changed)
	second.Reload()
	if got := second.Documents(); got[len(got)-1].Sent.Get("Cookie") != "two=2; one=changed" {
		t.Errorf("sent %q", got[len(got)-1].Sent)
	}
	if got := len(person.Cookies()); got != 3 {
		t.Errorf("%d cookies", got)
	}
	person.DeleteCookies("one", "wide", "unknown")
	if got := person.Cookies(); len(got) != 1 || got[0].Name != "two" {
		t.Errorf("left: %v", got)
	}

	other := b.New(t)
	stranger := other.Tab(t)
	stranger.Navigate(s.URL + "/echo")
	if got := stranger.Text(); got != "GET  cookie=" || len(other.Cookies()) != 0 {
		t.Errorf("another context sends %q", got)
	}
	person.DeleteCookies()
	if got := person.Cookies(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// Two names are two sites: what SameSite says then matters.
func testSites(t *testing.T, b *browser.Browser) {
	var there *url.URL
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/set":
			for name, mode := range map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode} {
				http.SetCookie(w, &http.Cookie{Name: name, Value: "1", SameSite: mode})
			}
		case "/from":
			fmt.Fprintf(w, `<link rel=icon href="data:,"><a href="http://app.example:%s/show">go</a>`, there.Port())
		}
		fmt.Fprintf(w, "host=%s cookie=%s", r.Host, r.Header.Get("Cookie"))
	}))
	t.Cleanup(s.Close)
	there, _ = url.Parse(s.URL)
	person := b.New(t)
	tab := person.Tab(t)
	tab.Navigate("http://app.example:" + there.Port() + "/set")
	if n := len(person.Cookies()); n != 2 {
		t.Fatalf("%d cookies", n)
	}
	tab.Navigate("http://idp.example:" + there.Port() + "/from")
	tab.Follow("a")
	if got := tab.Text(); got != "host=app.example:"+there.Port()+" cookie=lax=1" {
		t.Errorf("from another site: %q", got)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-s", Value: "1", Path: "/", Secure: true})
		fmt.Fprint(w, r.Host)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that hang up on it
	s.StartTLS()
	t.Cleanup(s.Close)
	there, _ := url.Parse(s.URL)
	at := "https://app.example:" + there.Port() + "/"
	person := browser.Start(t, s.Certificate()).New(t)
	if n := person.Tab(t).Navigate(at); n.Status != 200 {
		t.Errorf("%d", n.Status)
	}
	if c := person.Cookie("__Host-s"); c == nil || !c.Secure {
		t.Errorf("%v", c)
	}
	if _, err := browser.Start(t).New(t).Tab(t).TryNavigate(at); err == nil || !strings.Contains(err.Error(), "net::ERR_CERT") {
		t.Errorf("a certificate of unknown origin: %v", err)
	}
}

func testScripts(t *testing.T, b *browser.Browser) {
	s, other := site(t), site(t)
	person := b.New(t)
	tab := person.Tab(t)
	tab.Navigate(s.URL + "/one")
	tab.Navigate(s.URL + "/plain")

	var sum int
	if tab.Eval(`new Promise(done => setTimeout(() => done(40 + 2), 10))`, &sum); sum != 42 {
		t.Errorf("%d", sum)
	}
	if err := tab.TryEval(`Promise.reject(new Error("no such luck"))`, nil); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v", err)
	}
	got := tab.Fetch("/echo", map[string]any{"method": "PUT", "headers": map[string]string{"X-A": "b"}, "body": "null"})
	if got.Status != 200 || got.Body != "PUT null cookie=one=1" || got.Header.Get("X-Cookie") != "one=1" || got.Type != "basic" {
		t.Errorf("%+v", got)
	}
	if got := tab.Fetch("/one", nil); !got.Redirected || got.URL != s.URL+"/plain" || got.Status != 200 {
		t.Errorf("%+v", got)
	}
	if got := tab.Fetch("/one", map[string]any{"redirect": "manual"}); got.Type != "opaqueredirect" || got.Status != 0 {
		t.Errorf("%+v", got)
	}
	if got := tab.Fetch(other.URL+"/plain", nil); got.Err == "" {
		t.Errorf("another origin: %+v", got)
	}
	all := tab.Responses()
	i := slices.IndexFunc(all, func(r browser.Response) bool { return r.Type == "Fetch" && r.Method == "PUT" })
	if i < 0 || all[i].Status != 200 || all[i].Sent.Get("X-A") != "b" || all[i].Header.Get("X-Cookie") != "one=1" {
		t.Errorf("responses: %v", all)
	}
}

// Tabs can be used at the same time, by goroutines with the methods that return
// errors.
func testTabsAtOnce(t *testing.T, b *browser.Browser) {
	s := site(t)
	person := b.New(t)
	errs := make(chan error)
	tabs := []*browser.Tab{person.Tab(t), person.Tab(t), person.Tab(t)}
	for _, tab := range tabs {
		go func() {
			n, err := tab.TryNavigate(s.URL + "/one")
			if err == nil && (n.Status != 200 || len(n.Chain) != 3) {
				err = fmt.Errorf("%d: %v", n.Status, n.Chain)
			}
			errs <- err
		}()
	}
	for range tabs {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	tabs[0].Close()
	if _, err := tabs[0].TryNavigate(s.URL + "/one"); err == nil {
		t.Error("a closed tab goes on")
	}
	if n := tabs[1].Navigate(s.URL + "/plain"); n.Status != 200 {
		t.Errorf("%d", n.Status)
	}
}

func testScreenshot(t *testing.T, b *browser.Browser) {
	tab := b.New(t).Tab(t)
	tab.Navigate(site(t).URL + "/form")
	path := filepath.Join(t.TempDir(), "shots", "form.png")
	tab.Screenshot(path)
	if data, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
}

// A browser leaves neither a process nor a file.
func TestEnd(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	pid := 0
	t.Run("run", func(t *testing.T) {
		b := browser.Start(t)
		pid = b.PID()
		b.New(t).Tab(t).Navigate("about:blank")
		if len(names(t, tmp)) == 0 {
			t.Error("the profile is elsewhere")
		}
	})
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the process is still there: %v", err)
	}
	if left := names(t, tmp); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
