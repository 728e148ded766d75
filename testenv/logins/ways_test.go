package logins

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// way is a route, /name, whose plugin has a configuration and sessions of its own:
// one stack serves many of them. Its upstream sees the path without the name.
type way struct{ name, config string }

// ways is a declarative file. What a way does not say is the usual.
func ways(list ...way) string { return waysAnd("", list...) }

// waysAnd is ways with more entities, and with settings for the filter in a first
// line that begins with filter:.
func waysAnd(more string, list ...way) string {
	filter := "log_lines: 100000"
	if first, rest, _ := strings.Cut(more, "\n"); strings.HasPrefix(first, "filter:") {
		filter, more = filter+", "+strings.TrimPrefix(first, "filter:"), rest
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "_format_version: \"3.0\"\n_sallyport: {filter: {%s}}\nservices:\n- name: app\n  url: ${UPSTREAM}\n  routes:\n", filter)
	for _, w := range list {
		fmt.Fprintf(b, "  - name: %s\n    paths: [/%s]\n    plugins:\n    - name: openid-connect\n", w.name, w.name)
		if name := regexp.MustCompile(`(?m)^instance_name: .*\n`).FindString(w.config); name != "" {
			fmt.Fprintf(b, "      %s", name)
			w.config = strings.Replace(w.config, name, "", 1)
		}
		b.WriteString("      config:\n")
		for _, usual := range []string{
			"issuer: ${ISSUER}", "auth_methods: [authorization_code, session]", "client_id: [app]",
			`client_secret: ["app secret & more"]`, "session_audience: " + w.name,
		} {
			field, _, _ := strings.Cut(usual, " ")
			if !regexp.MustCompile(`(?m)^` + field).MatchString(w.config) {
				b.WriteString("        " + usual + "\n")
			}
		}
		if w.config != "" {
			b.WriteString(indent(w.config, 8) + "\n")
		}
	}
	return b.String() + more
}

// signIn signs a visitor in up to where the login sends it, and does not go there.
func (r *rig) signIn(t testing.TB, v *visitor.Visitor, target, user string) *visitor.Page {
	t.Helper()
	p := v.Open(r.URL + target)
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
		t.Fatalf("%s: %s: %d to %q: %s", r.Host, target, p.StatusCode, p.Location(), p.Body)
	}
	return v.Open(r.idp.SignIn(t, v.Client, p.Location(), user))
}

// entered is signIn for a login that has to end well.
func (r *rig) entered(t testing.TB, target, user string) *visitor.Visitor {
	t.Helper()
	v := visitor.New(t)
	if p := r.signIn(t, v, target, user); p.StatusCode != 303 {
		t.Fatalf("%s: %s: the callback: %d to %q: %s\n%s", r.Host, target, p.StatusCode, p.Location(), p.Body, r.Gateway.Tail())
	}
	return v
}

// shortLived makes the provider issue access tokens that have ended already, until
// the function that it returns is called. The token response does not say so.
func (r *rig) shortLived() (restore func()) {
	r.idp.Set(func(o *idp.Options) { o.AccessLifetime, o.OmitExpiresIn = -time.Minute, true })
	return func() {
		r.idp.Set(func(o *idp.Options) { o.AccessLifetime, o.OmitExpiresIn = 5*time.Minute, false })
	}
}

// expired returns a visitor whose session needs a refresh before anything.
func (r *rig) expired(t testing.TB, target, user string) *visitor.Visitor {
	t.Helper()
	defer r.shortLived()()
	return r.entered(t, target, user)
}

// copyOf returns a browser with the cookies that another has at the moment.
func (r *rig) copyOf(t testing.TB, v *visitor.Visitor) *visitor.Visitor {
	t.Helper()
	c := visitor.New(t)
	for name, value := range v.Cookies(r.URL) {
		c.SetCookie(r.URL, name, value)
	}
	return c
}

// cookieLine is the Cookie header that a visitor would send.
func (r *rig) cookieLine(v *visitor.Visitor) string {
	var pairs []string
	for name, value := range v.Cookies(r.URL) {
		pairs = append(pairs, name+"="+value)
	}
	return "Cookie: " + strings.Join(pairs, "; ")
}

// ask fetches as a script and checks the status; the upstream's view comes along,
// nil where nothing reached it.
func (r *rig) ask(t testing.TB, v *visitor.Visitor, target string, status int, header ...string) (*visitor.Page, *echo.Request) {
	t.Helper()
	p, seen := r.fetch(t, v, r.URL+target, header...)
	if p.StatusCode != status {
		t.Fatalf("%s: %s: %d, want %d: %s\n%s", r.Host, target, p.StatusCode, status, p.Body, r.Gateway.Tail())
	}
	if want := map[bool]int{true: 1}[status < 300]; len(seen) != want {
		t.Fatalf("%s: %s: %d requests reached the upstream, want %d", r.Host, target, len(seen), want)
	}
	if len(seen) == 0 {
		return p, nil
	}
	return p, &seen[0]
}

// reason checks why a page was refused, by the filter's log.
func (r *rig) reason(t testing.TB, p *visitor.Page, want string) {
	t.Helper()
	if got := r.Reason(p.Header.Get("X-Request-Id")); got != want {
		t.Errorf("%s: %s: refused for %q, want %q", r.Host, p.URL, got, want)
	}
}

// refreshes returns how many refreshes the provider was asked for.
func (r *rig) refreshes() (n int) {
	for _, c := range r.idp.Calls("token") {
		if c.Form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

// answers returns how many questions of a kind the sidecar has answered with an
// outcome, "" for any.
func (r *rig) answers(t testing.TB, kind, outcome string) (n int) {
	t.Helper()
	for line := range strings.SplitSeq(get(t, r.Status+"/metrics"), "\n") {
		rest, ok := strings.CutPrefix(line, `sallyport_sidecar_answers_total{kind="`+kind+`",outcome="`)
		if !ok {
			continue
		}
		got, value, _ := strings.Cut(rest, `"} `)
		if outcome == "" || got == outcome {
			count, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			n += int(count)
		}
	}
	return n
}

// setCookies returns the names of the cookies that a response sets, those that it
// deletes with a minus before them.
func setCookies(p *visitor.Page) (names []string) {
	for _, c := range p.Response.Cookies() {
		if c.MaxAge < 0 {
			names = append(names, "-"+c.Name)
			continue
		}
		names = append(names, c.Name)
	}
	return names
}

// claimsOf returns the payload of a bearer token or an ID token.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	var claims map[string]any
	parts := strings.Split(strings.TrimPrefix(token, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		t.Fatalf("%q: %v", token, err)
	}
	return claims
}

// settled waits until every worker remembers sessions: before it has read the feed
// of changes for the first time none does.
func (r *rig) settled(t testing.TB, target string) {
	t.Helper()
	v := r.entered(t, target, "alice")
	line := r.cookieLine(v)
	testenv.Eventually(t, 10*time.Second, "sessions that are remembered", func() bool {
		before := r.answers(t, "open", "")
		for range 12 {
			visitor.New(t).Fetch(r.URL+target, line)
		}
		return r.answers(t, "open", "") == before
	})
}

// get returns the body of a resource.
func get(t testing.TB, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
