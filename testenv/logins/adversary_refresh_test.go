package logins

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// TestAdversaryRefresh has the provider misbehave once people are logged in: what it
// says then must not make them somebody else.
func TestAdversaryRefresh(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		const config = "timeout: 1000\nupstream_headers_names: [x-mail]\nupstream_headers_claims: [email]\n"
		sites := []site{{path: "/late", idp: "late", config: config}, {path: "/expired", idp: "expired", config: config}}
		cases := []refreshCase{
			{name: "other-sub", faults: []idp.Fault{idp.RefreshOtherSubject}, reason: "subject_mismatch"},
			{name: "other-iss", faults: []idp.Fault{idp.OnRefresh(idp.IDWrongIss)}, reason: "issuer_unknown"},
			{name: "tampered", faults: []idp.Fault{idp.OnRefresh(idp.IDTampered)}, reason: "signature_invalid"},
			{name: "unknown-kid", faults: []idp.Fault{idp.OnRefresh(idp.IDUnknownKid)}, reason: "key_unknown"},
			{name: "throttled-kid", faults: []idp.Fault{idp.RefreshOtherSubject, idp.OnRefresh(idp.IDUnknownKid)}, throttle: true, opaque: true},
			{name: "access-sub", access: "somebody-else", reason: "subject_mismatch"},
			{name: "userinfo-sub", faults: []idp.Fault{idp.UserinfoOtherSub}, reason: "subject_mismatch", more: "search_user_info: true"},
			{name: "invalid-grant", faults: []idp.Fault{idp.RefreshInvalidGrant}, reason: "refresh_refused"},
			{name: "held", faults: []idp.Fault{idp.RefreshOtherSubject}, hold: true, opaque: true},
		}
		for _, c := range cases {
			sites = append(sites, site{path: "/" + c.name, idp: c.name, config: config + c.more + "\nauth_methods: [authorization_code, session, bearer]"})
		}
		l := newLab(t, host, stack.Options{}, nil, sites...)
		t.Run("key missing then published", l.lateKey)
		t.Run("tokens that have expired", l.expired)
		t.Cleanup(func() { l.quiet(t, secret) })
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel() // they wait for tokens to expire, each of a provider of its own
				l.refreshed(t, c)
			})
		}
	})
}

type refreshCase struct {
	name           string
	faults         []idp.Fault
	reason         string // "" for any but a pass
	more           string
	access         string // sub of the access tokens that come by refreshes, which bring no ID token
	throttle, hold bool
	opaque         bool
}

// lateKey is a key that is published together with the first token it signs.
func (l *lab) lateKey(t *testing.T) {
	p := l.provider("/late")
	p.FlowFault(idp.IDKidLate)
	defer p.FlowFault()
	v := newVisitor(t)
	l.signIn(t, v, "/late/page", "alice")
	testenv.Evidence(t, "%s: kid unknown at first -> 303, keys asked for %d times", l.Host, p.Count("jwks"))
}

// expired has a provider whose clock is behind: a login that would end in the next
// one has to end on a page.
func (l *lab) expired(t *testing.T) {
	p := l.provider("/expired")
	p.Set(func(o *idp.Options) {
		o.AccessLifetime, o.OmitExpiresIn, o.Refresh = -time.Minute, true, idp.RefreshNever
	})
	v := newVisitor(t)
	at := l.URL + "/expired/page"
	for range 4 {
		page := v.Open(at)
		if page.StatusCode != 302 && page.StatusCode != 303 {
			l.refusedWith(t, page, 401, "token_expired")
			return
		}
		at = page.Location()
		if strings.HasPrefix(at, p.URL) {
			at = p.SignIn(t, v.Client, at, "alice")
		}
	}
	t.Errorf("%s: the browser goes in circles, now to %s", l.Host, at)
}

// refreshed has a session refreshed with what does not fit it. Nothing of it may
// reach the upstream, and the session ends.
func (l *lab) refreshed(t *testing.T, c refreshCase) {
	path := "/" + c.name
	p := l.provider(path)
	p.Set(func(o *idp.Options) {
		o.AccessLifetime, o.OpaqueAccess, o.RefreshWithoutIDToken = 2*time.Second, c.opaque, c.access != ""
	})
	v := newVisitor(t)
	l.signIn(t, v, path+"/page", "alice")
	if c.access != "" {
		p.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1", AccessClaims: map[string]any{"sub": c.access}})
	}
	if c.throttle {
		for range 4 {
			l.fetch(t, newVisitor(t), l.URL+path+"/page", "Authorization: Bearer "+strangeKid(p))
		}
	}
	p.FlowFault(c.faults...)
	defer p.FlowFault()
	release := func() {}
	if c.hold {
		// The new keys are what the judgement waits for.
		p.FlowFault(append(c.faults, idp.OnRefresh(idp.IDUnknownKid))...)
		release = p.Hold("jwks")
	}
	var last *visitor.Page
	l.watch(t, v, path, &last, func() bool { return p.Count("token") > 1 })
	if c.hold {
		for range 3 {
			l.watch(t, v, path, &last, nil)
		}
	}
	release()
	if c.throttle {
		// Nobody could judge it: it must not be believed, now or later.
		for range 5 {
			l.watch(t, v, path, &last, nil)
		}
		testenv.Evidence(t, "%s: refreshed with a token that nobody could judge -> %d", l.Host, last.StatusCode)
		return
	}
	if last.StatusCode != 401 {
		l.watch(t, v, path, &last, func() bool { return last.StatusCode == 401 })
	}
	if c.reason != "" {
		found := ""
		for _, reason := range []string{c.reason, "session_revoked"} {
			if l.Reason(requestID(last)) == reason {
				found = reason
			}
		}
		if found == "" || l.LogLine("denied reason="+c.reason) == "" {
			t.Errorf("%s: %s: the last was refused with %q", l.Host, c.name, l.Reason(requestID(last)))
		}
	}
	// A copy of the cookies is as dead.
	l.eventually(t, copyOf(t, v, l.URL), l.URL+path+"/page", 401)
}

// watch fetches a page until a condition holds, once without one. Whatever reaches
// the upstream is alice's.
func (l *lab) watch(t *testing.T, v *visitor.Visitor, path string, last **visitor.Page, done func() bool) {
	t.Helper()
	err := testenv.Poll(15*time.Second, func() bool {
		id := tokens.Random()
		page, err := v.Try("GET", l.URL+path+"/page", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", echo.TestID+": "+id)
		if err != nil {
			return false
		}
		*last = page
		for _, seen := range l.up.Seen(id) {
			if seen.Header("X-Credential-Identifier") != "alice-1" {
				t.Errorf("%s: %s: the upstream was told of %q", l.Host, path, seen.Header("X-Credential-Identifier"))
			}
		}
		return done == nil || done()
	})
	if err != nil {
		t.Fatalf("%s: %s: the last answer was %d: %v", l.Host, path, (*last).StatusCode, err)
	}
}

// strangeKid is a bearer token whose key nobody has.
func strangeKid(p *idp.Server) string {
	return tokens.Sign("rsa4096", map[string]any{"alg": "RS256", "kid": tokens.Random()},
		map[string]any{"iss": p.Issuer(), "sub": "x", "exp": tokens.In(600)})
}
