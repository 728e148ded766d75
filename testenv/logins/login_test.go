package logins

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const plain = `
auth_methods: [authorization_code, session]
logout_query_arg: logout
logout_methods: [GET]
`

func TestLogin(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) { testLogin(t, host, stack.Options{}) })
	t.Run("oldest envoy", func(t *testing.T) { testLogin(t, "envoy", stack.Options{EnvoyVersion: envoy.Oldest}) })
	t.Run("sidecar apart", func(t *testing.T) { testLogin(t, "host", stack.Options{Apart: true}) })
}

func testLogin(t *testing.T, host string, o stack.Options) {
	r := start(t, host, file(plain), nil, o)
	v := visitor.New(t)
	p := v.Open(r.URL + "/app/page?x=1&y=a%20b")
	if p.StatusCode != 302 {
		t.Fatalf("%d %s %s", p.StatusCode, p.Body, r.Gateway.Tail())
	}
	to, err := url.Parse(p.Location())
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("redirect_uri") != r.URL+"/app/page" || q.Get("scope") != "openid" {
		t.Errorf("the authorization request is %s", to)
	}
	back := r.idp.SignIn(t, v.Client, p.Location(), "alice")
	p = v.Open(back)
	if p.StatusCode != 303 || p.Location() != r.URL+"/app/page?x=1&y=a%20b" {
		t.Fatalf("the callback: %d to %q: %s\n%s", p.StatusCode, p.Location(), p.Body, r.Gateway.Tail())
	}
	id := tokens.Random()
	p = v.Open(p.Location(), echo.TestID+": "+id, "X-Consumer-Username: admin")
	seen := r.up.Seen(id)
	if p.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("the page: %d, upstream called %d times: %s\n%s", p.StatusCode, len(seen), p.Body, r.Gateway.Tail())
	}
	s := seen[0]
	if !strings.HasPrefix(s.Header("Authorization"), "Bearer ") || strings.Contains(s.Header("Cookie"), "session") || s.Header("X-Credential-Identifier") != "alice-1" || s.Header("X-Consumer-Username") != "" {
		t.Errorf("the upstream received %v", s.Headers)
	}
	// A second request has a session already, a script's too.
	if p, seen := r.fetch(t, v, r.URL+"/app/data"); p.StatusCode != 200 || len(seen) != 1 {
		t.Errorf("a script: %d", p.StatusCode)
	}
	// Nobody else has it.
	if p, _ := r.fetch(t, visitor.New(t), r.URL+"/app/data"); p.StatusCode != 401 || p.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("somebody else: %d %v", p.StatusCode, p.Header)
	}
	// The way back again, without the flow's cookie: the page, and no second redemption.
	before := r.idp.Count("token")
	if p := v.Open(back); p.StatusCode != 303 || p.Location() != r.URL+"/app/page" || r.idp.Count("token") != before {
		t.Errorf("the callback again: %d %q", p.StatusCode, p.Location())
	}
	// Logout.
	copied := v.Cookies(r.URL)
	p = v.Open(r.URL + "/app/page?logout=true")
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("end_session")) || !strings.Contains(p.Location(), "id_token_hint=") {
		t.Errorf("logout: %d %q", p.StatusCode, p.Location())
	}
	if len(v.Cookies(r.URL)) != 0 {
		t.Errorf("cookies are left: %v", v.Cookies(r.URL))
	}
	// As a header, which no answer can delete: so every worker is really asked.
	var stolen []string
	for name, value := range copied {
		stolen = append(stolen, name+"="+value)
	}
	r.eventually(t, visitor.New(t), r.URL+"/app/page", 401, cookieHeader(stolen...))
}
