package pages

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// shell runs commands as somebody would who has pasted them.
func shell(t *testing.T, script string, env ...string) string {
	t.Helper()
	for _, program := range []string{"sh", "curl", "openssl", "sed", "tr"} {
		if _, err := exec.LookPath(program); err != nil {
			testenv.Missing(t, "%s is not installed", program)
		}
	}
	cmd := exec.Command("sh", "-c", "set -eu\n"+script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// TestCalls pastes the commands that developers are shown into a shell.
func TestCalls(t *testing.T) {
	s := idp.Start(t)
	const id, secret = `o'neill $(touch broken) "x"`, "it's a secret & more"
	s.AddClient(idp.Client{ID: id, Secret: secret})
	s.AddUser(idp.User{Name: "ada", Password: "pa ss&word"})
	got := make(chan *http.Request, 8)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	defer api.Close()
	service := Service{Key: "orders", Name: "Orders", ShowIssuer: true, Issuers: []string{s.Issuer()}, Scopes: []string{"orders:read"}, URL: api.URL + "/or'ders"}
	c := callOf(service, id, "https://app.example/cb?x=1&y=2")
	flows := map[string]flow{}
	for _, f := range c.Flows {
		flows[f.Name] = f
	}
	paste := func(text string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("no %q in %s", pairs[i], text)
			}
			text = strings.ReplaceAll(text, pairs[i], quote(pairs[i+1]))
		}
		return text
	}
	bearer := func(name string) {
		t.Helper()
		if len(got) != 1 {
			t.Fatalf("%s: the service was called %d times", name, len(got))
		}
		if r := <-got; !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") || r.URL.Path != "/or'ders" {
			t.Errorf("%s: the service got %v", name, r)
		}
	}

	shell(t, paste(flows["Client credentials"].Lines, "'paste the client secret here'", secret))
	bearer("client credentials")
	calls := s.Calls("token")
	if last := calls[len(calls)-1]; last.ClientID != id || last.Form.Get("grant_type") != "client_credentials" || last.Form.Get("scope") != "orders:read" {
		t.Errorf("client credentials: %+v", last)
	}

	shell(t, strings.Replace(paste(flows["Password"].Lines, "'paste the client secret here'", secret), "read -r USERNAME; read -rs PASSWORD", "USERNAME=ada; PASSWORD='pa ss&word'", 1))
	bearer("password")

	// The address goes through a browser, with the verifier still in the shell.
	code := flows["Authorization code with PKCE"].Lines
	before, after, ok := strings.Cut(code, "CODE='paste the code here'\n")
	if !ok {
		t.Fatal(code)
	}
	out := shell(t, before+`echo "VERIFIER=$VERIFIER TOKEN_URL=$TOKEN_URL"`)
	address, rest, _ := strings.Cut(out, "\n")
	back := s.SignIn(t, &http.Client{Transport: &http.Transport{}}, address, "ada")
	if !strings.HasPrefix(back, "https://app.example/cb?") || !strings.Contains(back, "x=1&y=2") {
		t.Fatalf("%s leads to %s", address, back)
	}
	_, back, _ = strings.Cut(back, "code=")
	back, _, _ = strings.Cut(back, "&")
	verifier, tokenURL, _ := strings.Cut(strings.TrimSpace(rest), " ")
	shell(t, verifier+"\n"+tokenURL+"\nCODE="+quote(back)+"\n"+paste(after, "'paste the client secret here'", secret))
	bearer("authorization code")

	out = shell(t, strings.SplitAfter(flows["Implicit"].Lines, "nonce=$(openssl rand -hex 8)\"\n")[0])
	if !strings.Contains(out, "response_type=token&client_id=o%27neill+") || strings.Count(out, "\n") != 1 {
		t.Errorf("implicit: %q", out)
	}
	for name, f := range flows {
		if f.Weak != (name == "Password" || name == "Implicit") || f.Open != (name == "Client credentials") {
			t.Errorf("%s: weak %v, open %v", name, f.Weak, f.Open)
		}
	}

	// Sent to the service itself, and with a token from elsewhere.
	service.ShowIssuer, service.Direct = false, true
	c = callOf(service, id, "")
	if len(c.Flows) != 2 || len(c.Issuers) != 0 {
		t.Fatalf("%+v", c)
	}
	shell(t, paste(c.Flows[0].Lines, "'paste the client secret here'", secret))
	if user, password, ok := (<-got).BasicAuth(); !ok || user != id || password != secret {
		t.Errorf("direct: %q %q", user, password)
	}
	for _, f := range c.Flows {
		if strings.Contains(f.Lines, s.Issuer()) {
			t.Errorf("%s shows the issuer", f.Name)
		}
	}
}

func TestText(t *testing.T) {
	for s, want := range map[string]bool{
		"https://app.example/callback": true, "http://127.0.0.1:8080/": true, "com.example.app:/oauth": true, "https://app.example/cb?x=1": true,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "data:text/html,x": false, "/callback": false, "//app.example": false, "https:app.example": false,
		"https://": false, "https://app.example/#f": false, "https://app.example/#": false, "https://app.example/\"x": false, "https://a b.example/": false, "myapp:/x": false,
		"view-source:https://x.example": false, "blob:https://x.example/1": false, "https://app.example/\u202e": false, "https://app.example/" + strings.Repeat("x", 2000): false,
	} {
		if got := redirectAddress(s); got != want {
			t.Errorf("redirect address %.60q: %v", s, got)
		}
	}
	for s, want := range map[string]bool{
		"a@example.com": true, "a+b@sub.example.com": true, "": false, "a": false, "Ada <a@example.com>": false, "a@example.com, b@example.com": false, "a@example.com\n": false,
		" a@example.com": false, "<a@example.com>": false, strings.Repeat("a", 250) + "@example.com": false,
	} {
		if got := address(s); got != want {
			t.Errorf("address %.60q: %v", s, got)
		}
	}
	for s, want := range map[string]bool{"x": true, "with blank": true, "": false, "tab\t": false, "ä": false, strings.Repeat("x", 256): false, "new\nline": false} {
		if got := clientID(s); got != want {
			t.Errorf("client id %.60q: %v", s, got)
		}
	}
	for s, want := range map[string]bool{"Ada": true, "Ádá 愛": true, "two\nlines": false, "bell\a": false, "turned\u202e": false, "turned\u2066": false, "\xff": false, "separator\u2028": false} {
		if got := line(s, 100); got != want {
			t.Errorf("line %q: %v", s, got)
		}
	}
	if !shown("two\nlines\tand a tab", 100, true) || shown("two\rlines", 100, true) || shown("long", 3, true) {
		t.Error("shown")
	}
}

func TestWho(t *testing.T) {
	id := func(claims string) string {
		e := base64.RawURLEncoding.EncodeToString
		return e([]byte(`{"alg":"RS256"}`)) + "." + e([]byte(claims)) + ".c2ln"
	}
	const person = `"iss":"https://idp.example","sub":"1"`
	for name, tt := range map[string]struct {
		claims Claims
		token  string
		info   string
		want   Identity
	}{
		"verified":            {Claims{}, `{` + person + `,"email":"a@example.com","email_verified":true,"name":"Ada"}`, "", Identity{Email: "a@example.com", Verified: true, Name: "Ada"}},
		"not verified":        {Claims{}, `{` + person + `,"email":"a@example.com","email_verified":false}`, "", Identity{Email: "a@example.com"}},
		"nothing said":        {Claims{}, `{` + person + `,"email":"a@example.com"}`, "", Identity{Email: "a@example.com"}},
		"said as a text":      {Claims{}, `{` + person + `,"email":"a@example.com","email_verified":"true"}`, "", Identity{Email: "a@example.com"}},
		"trusted":             {Claims{TrustEmail: true}, `{` + person + `,"email":"a@example.com"}`, "", Identity{Email: "a@example.com", Verified: true}},
		"another claim":       {Claims{Account: [][]string{{"user.login"}}}, `{` + person + `,"user.login":"a@example.com","email":"b@example.com"}`, "", Identity{Email: "a@example.com", Verified: true}},
		"another, denied":     {Claims{Account: [][]string{{"user.login"}}}, `{` + person + `,"user.login":"a@example.com","email_verified":false}`, "", Identity{Email: "a@example.com"}},
		"another, not a bool": {Claims{Account: [][]string{{"login"}}}, `{` + person + `,"login":"a@example.com","email_verified":"false"}`, "", Identity{Email: "a@example.com"}},
		"nested":              {Claims{Account: [][]string{{"u", "mail"}}}, `{` + person + `,"u":{"mail":"a@example.com"}}`, "", Identity{Email: "a@example.com", Verified: true}},
		"no address":          {Claims{}, `{` + person + `,"email":"Ada <a@example.com>","email_verified":true}`, "", Identity{}},
		"a list":              {Claims{}, `{` + person + `,"email":["a@example.com"],"email_verified":true}`, "", Identity{}},
		"userinfo":            {Claims{UserInfo: "X-User"}, `{` + person + `}`, `{"email":"a@example.com","email_verified":true,"name":"Ada"}`, Identity{Email: "a@example.com", Verified: true, Name: "Ada"}},
		"userinfo beside":     {Claims{UserInfo: "X-User"}, `{` + person + `,"email":"a@example.com"}`, `{"email":"a@example.com","email_verified":true}`, Identity{Email: "a@example.com"}},
		"userinfo not asked":  {Claims{}, `{` + person + `}`, `{"email":"a@example.com","email_verified":true}`, Identity{}},
		"a name that breaks":  {Claims{}, `{` + person + `,"name":"A\u0007","nickname":"Ada"}`, "", Identity{Name: "Ada"}},
	} {
		c := tt.claims
		c.IDToken, c.Session = "X-Id", "X-Session"
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Id", id(tt.token))
		r.Header.Set("X-Session", "s")
		if tt.info != "" {
			r.Header.Set("X-User", tt.info)
		}
		tt.want.Issuer, tt.want.Subject, tt.want.Session = "https://idp.example", "1", "s"
		if got, ok := c.Of(r); !ok || got != tt.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, tt.want)
		}
	}
	c := Claims{IDToken: "X-Id", Session: "X-Session"}
	for name, header := range map[string]http.Header{
		"nothing": {}, "no session": {"X-Id": {id(`{` + person + `}`)}}, "an empty session": {"X-Id": {id(`{` + person + `}`)}, "X-Session": {""}},
		"two tokens": {"X-Id": {id(`{` + person + `}`), id(`{` + person + `}`)}, "X-Session": {"s"}}, "no token": {"X-Id": {"x"}, "X-Session": {"s"}},
		"nobody": {"X-Id": {id(`{"iss":"x"}`)}, "X-Session": {"s"}}, "no issuer": {"X-Id": {id(`{"sub":"x"}`)}, "X-Session": {"s"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = header
		if who, ok := c.Of(r); ok {
			t.Errorf("%s: %+v", name, who)
		}
	}
}

// FuzzRedirectAddress: what is taken is absolute, runs nothing, and stays as it is.
func FuzzRedirectAddress(f *testing.F) {
	for _, s := range []string{"https://app.example/cb", "com.example.app:/x", "javascript:alert(1)", "HTTPS://x", "http://[::1]:1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !redirectAddress(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Fragment != "" || strings.ContainsAny(s, "<>\"' \n#") {
			t.Errorf("%q", s)
		}
		if u.Scheme != "http" && u.Scheme != "https" && !strings.Contains(u.Scheme, ".") {
			t.Errorf("%q", s)
		}
	})
}
