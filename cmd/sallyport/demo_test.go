package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// TestDemo runs the demo as make run does and every curl line that it prints.
func TestDemo(t *testing.T) {
	_, binary := testenv.Build(t)
	p := testenv.Start(t, "demo", binary, []string{"demo", "--listen", "127.0.0.1:0"}, "XDG_CACHE_HOME="+testenv.TempDir(t))
	p.WaitReady(t, 60*time.Second, func() bool { return strings.Contains(p.Log(), "Ctrl-C") })

	lines := regexp.MustCompile(`(?m)^  (\S[^:]*):\s+curl -i (?:-H "Authorization: Bearer \$\(curl -s (\S+)\)" )?(\S+)$`).FindAllStringSubmatch(p.Log(), -1)
	want := []struct {
		says           string
		status         int
		user, consumer string // what the upstream is told
	}{
		{"passes (200)", 200, "alice", ""},
		{"refused (403, scope)", 403, "", ""},
		{"refused (401)", 401, "", ""},
		{"needs no token", 200, "", ""},
		{"jwt plugin, as alice", 200, "alice", "alice"},
		{"application (200)", 200, "shop-front", ""},
		{"waits for it (403)", 403, "", ""},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d curl lines, want %d:\n%s", len(lines), len(want), p.Log())
	}
	for i, w := range want {
		says, tokenURL, target := lines[i][1], lines[i][2], lines[i][3]
		if says != w.says {
			t.Errorf("line %d says %q, want %q", i, says, w.says)
		}
		req, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tokenURL != "" {
			req.Header.Set("Authorization", "Bearer "+body(t, tokenURL))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != w.status {
			t.Errorf("%s: %d %s, want %d", says, res.StatusCode, text, w.status)
		}
		for name, value := range map[string]string{"X-Credential-Identifier": w.user, "X-Consumer-Username": w.consumer} {
			if told := strings.Contains(string(text), `"`+name+`": "`+value+`"`); told != (value != "") {
				t.Errorf("%s: the upstream was told %s, want %s %q", says, text, name, value)
			}
		}
	}

	start := regexp.MustCompile(`Open (\S+) in a browser`).FindStringSubmatch(p.Log())
	if start == nil {
		t.Fatalf("no address for a browser: %s", p.Log())
	}
	req, err := http.NewRequest(http.MethodGet, start[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(page), "<title>Sallyport demo</title>") {
		t.Errorf("the page for browsers: %s %s", res.Status, page)
	}

	at := regexp.MustCompile(`developer portal is at (\S+); .*\n.*waits for an administrator, at (\S+); the token for that page is in (\S+)\.`).FindStringSubmatch(p.Log())
	if at == nil {
		t.Fatalf("nothing of the portal: %s", p.Log())
	}
	if got := body(t, at[1]); !strings.Contains(got, "Build on our services.") {
		t.Errorf("the portal: %s", got)
	}
	if got := body(t, at[2]); !strings.Contains(got, "Admin token") {
		t.Errorf("the administrators' pages: %s", got)
	}
	client := regexp.MustCompile(`The client (\S+) of the identity provider is not registered yet(?s:.*)-secret: (\S+)\.\n`).FindStringSubmatch(p.Log())
	issuer := regexp.MustCompile(`Their tokens come from (\S+)\.\n`).FindStringSubmatch(p.Log())
	if client == nil || issuer == nil {
		t.Fatalf("nothing of a client to register: %s", p.Log())
	}
	req, err = http.NewRequest(http.MethodPost, issuer[1]+"/oauth/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(client[1], client[2])
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a token for %s: %s", client[1], res.Status)
	}
	if token, err := os.ReadFile(at[3]); err != nil || len(token) < 32 {
		t.Errorf("the token: %q %v", token, err)
	}

	dir := regexp.MustCompile(`enforces (\S+)/kong\.yml`).FindStringSubmatch(p.Log())
	p.Stop()
	if code := p.ExitCode(); code != 0 {
		t.Errorf("the demo ended with %d: %s", code, p.Tail())
	}
	if _, err := os.Stat(dir[1]); !os.IsNotExist(err) {
		t.Errorf("the demo left %s behind", dir[1])
	}
	if strings.Contains(p.Log(), "eyJ") {
		t.Errorf("a token was printed: %s", p.Log())
	}
}

func body(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
