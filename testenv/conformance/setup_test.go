package conformance

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// inBoth runs a test in each host, one after the other: two cores are all there
// are.
func inBoth(t *testing.T, run func(t *testing.T, host string)) {
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) { run(t, host) })
	}
}

// rig is a stack with its upstream.
type rig struct {
	*stack.Stack
	t    testing.TB
	echo *echo.Server
	idp  *idp.Server
}

// start starts a stack for a file in which ${UPSTREAM} and ${ISSUER} stand.
func start(t *testing.T, host string, o stack.Options, file func(e vectors.Env) string) *rig {
	t.Helper()
	r := &rig{t: t, echo: echo.Start(t), idp: idp.Start(t)}
	vectors.Provider(r.idp)
	r.Stack = stack.Start(t, host, file(r.env()), o)
	return r
}

func (r *rig) env() vectors.Env { return vectors.Env{Upstream: r.echo.URL, Issuer: r.idp.Issuer()} }

// exchange is one request with everything that came of it.
type exchange struct {
	*testenv.Response
	Seen []echo.Request // what the upstream received
}

// Upstream returns what the one upstream request carried, nil for none.
func (x *exchange) Upstream() http.Header {
	if len(x.Seen) == 0 {
		return nil
	}
	return http.Header(x.Seen[0].Headers)
}

// send sends a request and looks at both ends. It logs what it saw as evidence.
func (r *rig) send(t testing.TB, method, target string, lines ...string) *exchange {
	t.Helper()
	id := tokens.Random()
	x := &exchange{Response: testenv.Raw(t, r.Addr, testenv.Request(method, target, append(lines, echo.TestID+": "+id)...))}
	x.Seen = r.echo.Seen(id)
	shown := target
	if len(shown) > 80 {
		shown = shown[:80] + "…"
	}
	body := x.Body
	if len(body) > 120 {
		body = body[:120] + "…"
	}
	testenv.Evidence(t, "%s: %s %s -> %d %s, www-authenticate %q, upstream called %d times", r.Host, method, shown,
		x.Status, body, x.Header.Get("WWW-Authenticate"), len(x.Seen))
	for _, s := range x.Seen {
		testenv.Evidence(t, "%s: the upstream received %s %s, consumer %q, credential %q, anonymous %q", r.Host, s.Method, s.Target,
			s.Header("X-Consumer-Username"), s.Header("X-Credential-Identifier"), s.Header("X-Anonymous-Consumer"))
	}
	return x
}

// inARow is how many answers, each on its own connection, have to agree before
// every worker is taken to know of a change: each learns of it by itself.
const inARow = 12

// eventually sends a request until it is answered with a status, by every worker.
func (r *rig) eventually(t testing.TB, status int, method, target string, lines ...string) {
	t.Helper()
	last, row := 0, 0
	err := testenv.Poll(20*time.Second, func() bool {
		res, err := testenv.TryRaw(r.Addr, testenv.Request(method, target, lines...))
		if err == nil {
			last = res.Status
		}
		if row++; err != nil || res.Status != status {
			row = 0
		}
		return row == inARow
	})
	if err != nil {
		t.Fatalf("%s: %s %s: %v: the last answer was %d, want %d\n%s", r.Host, method, target, err, last, status, r.Gateway.Tail())
	}
}

func bearer(token string) string { return "Authorization: Bearer " + token }

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
