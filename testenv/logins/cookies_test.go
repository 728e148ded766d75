package logins

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// neighbours are instances that must not open what /app has sealed.
var neighbours = []site{
	{path: "/audience", idp: "main", config: "session_audience: another"},
	{path: "/named", idp: "main", name: "another"},
	{path: "/client", idp: "main", config: fmt.Sprintf("client_id: [other]\nclient_secret: [%q]", secret)},
	{path: "/issuer", idp: "second"},
	{path: "/scopes", idp: "main", config: "scopes: [openid, profile]"},
	{path: "/secret", idp: "main", config: "session_secret: [" + strings.Repeat("x", 32) + "]"},
	{path: "/cookie", idp: "main", config: "session_cookie_name: mine"},
	// What these ask of a login was never asked of the session.
	{path: "/domains", idp: "main", config: "domains: [corp.example]"},
	{path: "/fresh", idp: "main", config: "max_age: 60"},
	{path: "/token", idp: "main", config: "token_endpoint: https://login.example/token"},
}

func TestCookies(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		sites := append([]site{
			{path: "/app", idp: "main"},
			{path: "/twin", idp: "main"},
			{path: "/info", idp: "main", config: "search_user_info: true"},
			{path: "/loose", idp: "main", config: "verify_signature: false"},
			{path: "/bearer", idp: "main", config: "auth_methods: [bearer, session]"},
		}, neighbours...)
		l := newLab(t, host, stack.Options{}, nil, sites...)
		alice, bob := newVisitor(t), newVisitor(t)
		l.signIn(t, alice, "/app/page", "alice")
		l.signIn(t, bob, "/app/page", "bob")
		t.Run("tampered", func(t *testing.T) { l.tampered(t, alice.Cookies(l.URL)["session"], bob.Cookies(l.URL)["session"]) })
		t.Run("elsewhere", func(t *testing.T) { l.elsewhere(t, alice.Cookies(l.URL)["session"]) })
		t.Run("chunks", func(t *testing.T) { l.chunks(t) })
		t.Run("confused", func(t *testing.T) { l.confused(t) })
		t.Run("floods", func(t *testing.T) { l.floods(t, alice.Cookies(l.URL)["session"]) })
		l.quiet(t, alice.Cookies(l.URL)["session"][2:100], bob.Cookies(l.URL)["session"][2:100])
		// After all that the sessions are what they were.
		for who, v := range map[string]*visitor.Visitor{"alice-1": alice, "bob-2": bob} {
			p, seen := l.fetch(t, v, l.URL+"/app/page")
			if p.StatusCode != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != who {
				t.Errorf("%s: %s: %d %v", host, who, p.StatusCode, seen)
			}
		}
	})
}

// shut asserts that cookies open nothing: a script gets 401, a person a login.
func (l *lab) shut(t *testing.T, what, path string, cookies ...string) {
	t.Helper()
	upstream := l.up.Total()
	refused := func(status int) bool { // by the plugin, or by the proxy before it
		return status == 401 || status == 431 || status == 400 && strings.Contains(path, "\xff")
	}
	p, _ := l.raw(t, "GET", path, cookieHeader(cookies...), "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
	if !refused(p.StatusCode) || setsSession(p) {
		t.Errorf("%s: %s: %s: a script: %d %.200s", l.Host, what, path, p.StatusCode, p.Body)
	}
	p, _ = l.raw(t, "GET", path, append(navigate, cookieHeader(cookies...))...)
	if p.StatusCode != 302 && !refused(p.StatusCode) || setsSession(p) {
		t.Errorf("%s: %s: %s: a person: %d %.200s", l.Host, what, path, p.StatusCode, p.Body)
	}
	if n := l.up.Total() - upstream; n != 0 {
		t.Errorf("%s: %s: %s: the upstream was called %d times", l.Host, what, path, n)
	}
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (l *lab) tampered(t *testing.T, session, other string) {
	for i := 0; i < len(session); i += max(1, len(session)/24) {
		c := letters[(strings.IndexByte(letters, session[i])+1)%64]
		l.shut(t, fmt.Sprintf("character %d", i), "/app/page", "session="+session[:i]+string(c)+session[i+1:])
	}
	last := len(session) - 1
	half := len(session) / 2
	for what, value := range map[string]string{
		"empty": "", "cut at the end": session[:last], "cut in half": session[:half], "the head": session[:2], "without its head": session[2:],
		"longer": session + "A", "padded": session + "=", "doubled": session + session, "of two": session[:half] + other[min(half, len(other)):],
		"another number": "2" + session[1:], "a great number": "9" + session[1:], "no number": "x" + session[1:],
		"upper case": strings.ToUpper(session), "escaped": strings.ReplaceAll(session, "-", "%2D") + "%20", "null": "null", "JSON": `{"i":"x"}`,
		"a path": "../../etc/passwd", "UTF-8": "1.äöü", "no UTF-8": "1.\xff\xfe", "spaces": "1. " + session[2:], "a comma": session + ",x",
		"brackets": strings.Repeat("<", 8000), "quotes": strings.Repeat(`"`, 8000), "backslashes": strings.Repeat(`\`, 8000),
	} {
		l.shut(t, what, "/app/page", "session="+value)
	}
	l.shut(t, "twice", "/app/page", "session="+session, "session="+session)
	l.shut(t, "twice, of two people", "/app/page", "session="+session, "session="+other)
}

// elsewhere shows a session where it does not belong, under the right names.
func (l *lab) elsewhere(t *testing.T, session string) {
	l.shut(t, "another name", "/app/page", "Session="+session)
	l.shut(t, "a prefix", "/app/page", "__Host-session="+session)
	l.shut(t, "a prefix", "/app/page", "__Secure-session="+session)
	for _, s := range neighbours {
		name := "session"
		if s.path == "/cookie" {
			name = "mine"
		}
		l.shut(t, "of /app", s.path+"/page", name+"="+session)
	}
	// Two instances that agree in everything share their sessions, as in Kong.
	p, seen := l.raw(t, "GET", "/twin/page", cookieHeader("session="+session))
	if p.StatusCode != 200 || len(seen) != 1 {
		t.Errorf("%s: the twin: %d", l.Host, p.StatusCode)
	}
	// A session that nobody has checked as strictly opens nothing either: of an
	// instance that believes tokens unseen, or of one that takes any client's tokens.
	v := newVisitor(t)
	l.idp.FlowFault(idp.IDTampered)
	l.signIn(t, v, "/loose/page", "alice")
	l.idp.FlowFault()
	l.shut(t, "of /loose", "/app/page", "session="+v.Cookies(l.URL)["session"])
	v = newVisitor(t)
	token := l.idp.Token("k1", map[string]any{"sub": "alice-1", "client_id": "stranger", "aud": "stranger"})
	if p, _ := l.fetch(t, v, l.URL+"/bearer/page", "Authorization: Bearer "+token); p.StatusCode != 200 || v.Cookies(l.URL)["session"] == "" {
		t.Fatalf("%s: a bearer token begins no session: %d %v", l.Host, p.StatusCode, p.Header)
	}
	if p, _ := l.fetch(t, v, l.URL+"/bearer/page"); p.StatusCode != 200 {
		t.Errorf("%s: the bearer's session: %d", l.Host, p.StatusCode)
	}
	l.shut(t, "of /bearer", "/app/page", "session="+v.Cookies(l.URL)["session"])
	testenv.Evidence(t, "%s: a session of one instance at %d others -> 401 or a login, upstreams not called", l.Host, len(neighbours)+2)
}

// noise is text that does not get shorter by being packed.
func noise(n int) string {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// heavy signs somebody in of whom there is much to say.
func (l *lab) heavy(t *testing.T, path string, claim, more int) (*visitor.Visitor, *visitor.Page) {
	t.Helper()
	pad := func(n int) map[string]any { return map[string]any{"pad": noise(n)} }
	l.idp.AddUser(idp.User{Name: "heavy", Password: "heavy", Subject: "heavy-3", Claims: pad(claim), AccessClaims: pad(more), UserInfo: pad(more)})
	v := newVisitor(t)
	return v, v.Open(l.begin(t, v, path, "heavy"))
}

func (l *lab) chunks(t *testing.T) {
	v, p := l.heavy(t, "/app/page", 7000, 10)
	if p.StatusCode != 303 {
		t.Fatalf("%s: %d %s", l.Host, p.StatusCode, p.Body)
	}
	parts := v.Cookies(l.URL)
	if p, _ := l.fetch(t, v, l.URL+"/app/page"); p.StatusCode != 200 || len(parts) < 2 {
		t.Fatalf("%s: a session in %d cookies: %d", l.Host, len(parts), p.StatusCode)
	}
	for _, c := range p.Response.Cookies() {
		if len(c.Raw) > 4096 {
			t.Errorf("%s: a cookie of %d bytes", l.Host, len(c.Raw))
		}
	}
	names := slices.Sorted(maps.Keys(parts))
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name+"="+parts[name])
	}
	// The order of cookies says nothing, and several headers are as good as one.
	back := slices.Clone(pairs)
	slices.Reverse(back)
	for _, good := range [][]string{{cookieHeader(back...)}, {cookieHeader(pairs[0]), cookieHeader("x=y"), cookieHeader(pairs[1:]...)}} {
		if p, seen := l.raw(t, "GET", "/app/page", good...); p.StatusCode != 200 || len(seen) != 1 || strings.Contains(seen[0].Header("Cookie"), "session") {
			t.Errorf("%s: %d cookies: %d", l.Host, len(good), p.StatusCode)
		}
	}
	swapped := []string{names[0] + "=" + pairs[1][len(names[1])+1:], names[1] + "=" + pairs[0][len(names[0])+1:]}
	l.shut(t, "chunks exchanged", "/app/page", append(swapped, pairs[2:]...)...)
	for i := range pairs {
		l.shut(t, "a chunk is missing", "/app/page", slices.Delete(slices.Clone(pairs), i, i+1)...)
		l.shut(t, "a chunk twice", "/app/page", append(slices.Clone(pairs), pairs[i])...)
		l.shut(t, "an empty chunk", "/app/page", append(slices.Delete(slices.Clone(pairs), i, i+1), names[i]+"=")...)
	}
	l.shut(t, "a chunk too many", "/app/page", append(slices.Clone(pairs), fmt.Sprintf("session_%d=AAAA", len(pairs)+1))...)
	other, _ := l.heavy(t, "/app/page", 7000, 10)
	mixed := slices.Clone(pairs)
	mixed[1] = names[1] + "=" + other.Cookies(l.URL)[names[1]]
	l.shut(t, "chunks of two sessions", "/app/page", mixed...)

	// Too large: a page that says so, and no loop.
	v, p = l.heavy(t, "/info/page", 11000, 11000)
	l.refusedWith(t, p, 503, "session_too_large")
	if strings.Contains(p.Body, "Sign in again") || p.Location() != "" || len(v.Cookies(l.URL)) != 0 {
		t.Errorf("%s: too large: %v %s", l.Host, v.Cookies(l.URL), p.Body)
	}
}

// confused uses each cookie as the other kind.
func (l *lab) confused(t *testing.T) {
	v := newVisitor(t)
	back := l.begin(t, v, "/app/page", "alice")
	flowName, flow := "", ""
	for name, value := range v.Cookies(l.URL) {
		flowName, flow = name, value
	}
	l.shut(t, "a flow as session", "/app/page", "session=1."+flow)
	l.shut(t, "a flow as session", "/app/page", "session="+flow)
	if p := v.Open(back); p.StatusCode != 303 {
		t.Fatalf("%d", p.StatusCode)
	}
	session := strings.TrimPrefix(v.Cookies(l.URL)["session"], "1.")
	tokens := l.idp.Count("token")
	for _, value := range []string{session, "1." + session, "", flow + "A", flow[:len(flow)-1], strings.Repeat("A", 3000)} {
		p, _ := l.raw(t, "GET", strings.TrimPrefix(back, l.URL), append(navigate, cookieHeader(flowName+"="+value))...)
		l.refusedWith(t, p, 401, "login_state_invalid")
	}
	if l.idp.Count("token") != tokens {
		t.Errorf("%s: a code was redeemed", l.Host)
	}
}

// floods are many cookies, and large ones.
func (l *lab) floods(t *testing.T, session string) {
	var chunks []string
	for i := range 100 {
		chunks = append(chunks, fmt.Sprintf("session_%d=%s", i+2, noise(200)))
	}
	l.shut(t, "a hundred chunks", "/app/page", chunks...)
	l.shut(t, "a hundred chunks and the right one", "/app/page", append(slices.Clone(chunks), "session="+session)...)
	l.shut(t, "a hundred chunks with a session", "/app/page", append([]string{"session=8." + noise(200)}, chunks...)...)
	for _, size := range []int{20_000, 40_000, 59_000} {
		l.shut(t, fmt.Sprint(size, " bytes"), "/app/page", "session=1."+noise(size))
		l.shut(t, fmt.Sprint(size, " bytes of <"), "/app/page", "session=1."+strings.Repeat("<", size))
		l.shut(t, fmt.Sprint(size, " bytes of \\"), "/app/page", "session=1."+strings.Repeat(`\`, size))
		l.shut(t, fmt.Sprint(size, " bytes of \\xff"), "/app/page", "session=1."+strings.Repeat("\xff", size))
	}
	var flows []string
	for i := range 300 {
		flows = append(flows, fmt.Sprintf("authorization_%013d=%s", i, noise(50)))
	}
	l.shut(t, "three hundred flows", "/app/page", flows...)
	// Whoever can plant cookies must not keep a session from being opened, or a login
	// from being begun.
	p, seen := l.raw(t, "GET", "/app/page", cookieHeader(append(slices.Clone(flows), "session="+session)...))
	if p.StatusCode != 200 || len(seen) != 1 {
		t.Errorf("%s: a session behind many flows: %d", l.Host, p.StatusCode)
	}
	// A long way to go.
	for _, target := range []string{"/app/page?" + strings.Repeat("<", 20_000), "/app/page?x=" + strings.Repeat("y", 20_000), "/app/" + strings.Repeat("z", 20_000), "/app/page?\xff\xfe", "/app/" + strings.Repeat("%3C", 5_000)} {
		l.shut(t, target[:12], target, "x=y")
	}
}
