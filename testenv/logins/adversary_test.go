package logins

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// fault is a way for the provider to be wrong, and what has to come of it.
type fault struct {
	fault  idp.Fault
	status int
	reason string
	tokens int // requests that the token endpoint has to receive
	path   string
}

var faults = []fault{
	{idp.NonceWrong, 401, "nonce_mismatch", 1, ""},
	{idp.NonceMissing, 401, "nonce_mismatch", 1, ""},
	{idp.NonceArray, 401, "nonce_mismatch", 1, ""},
	{idp.IDWrongIss, 401, "issuer_unknown", 1, ""},
	{idp.IDWrongAud, 401, "audience_mismatch", 1, ""},
	{idp.IDAudNoAzp, 401, "authorized_party_mismatch", 1, ""},
	{idp.IDAudWrongAzp, 401, "authorized_party_mismatch", 1, ""},
	{idp.IDWrongAzp, 401, "authorized_party_mismatch", 1, ""},
	{idp.IDWrongAtHash, 401, "access_token_hash_mismatch", 1, ""},
	{idp.IDNoSub, 401, "claim_missing", 1, ""},
	{idp.IDDuplicate, 401, "token_duplicate_key", 1, ""},
	{idp.IDExpired, 401, "token_expired", 1, ""},
	{idp.IDFutureIat, 401, "token_not_yet_valid", 1, ""},
	{idp.IDFutureNbf, 401, "token_not_yet_valid", 1, ""},
	{idp.IDMissing, 401, "id_token_missing", 1, ""},
	{idp.IDNotJWT, 401, "token_encoding", 1, ""},
	{idp.IDAlgNone, 401, "algorithm_unsupported", 1, ""},
	{idp.IDHS256, 401, "algorithm_mismatch", 1, ""},
	{idp.IDHS256Key, 401, "algorithm_mismatch", 1, ""},
	{idp.IDTampered, 401, "signature_invalid", 1, ""},
	{idp.IDOtherKey, 401, "signature_invalid", 1, ""},
	{idp.IDUnknownKid, 401, "key_unknown", 1, "/kids"},

	{idp.TokenSlow, 503, "issuer_unavailable", 1, ""},
	{idp.Token500, 503, "issuer_unavailable", 1, ""},
	{idp.TokenHTML, 503, "issuer_unavailable", 1, ""},
	{idp.TokenEndless, 503, "issuer_unavailable", 1, ""},
	{idp.TokenRedirect, 503, "issuer_unavailable", 1, ""},
	{idp.TokenHangUp, 503, "issuer_unavailable", 1, ""},
	{idp.TokenTruncated, 503, "issuer_unavailable", 1, ""},
	{idp.TokenHuge, 503, "issuer_unavailable", 1, ""},
	{idp.TokenDuplicate, 503, "issuer_unavailable", 1, ""},
	{idp.TokenLost, 503, "issuer_unavailable", 1, ""},
	{idp.TokenWrongType, 503, "issuer_unavailable", 1, ""},
	{idp.TokenNoAccess, 503, "issuer_unavailable", 1, ""},
	{idp.TokenError("invalid_grant"), 401, "login_code_refused", 1, ""},
	{idp.TokenError("invalid_client"), 503, "login_misconfigured", 1, ""},
	{idp.TokenError("server_error"), 503, "issuer_unavailable", 1, ""},
	{idp.TokenError("<script>alert(1)</script>"), 503, "login_misconfigured", 1, ""},

	{idp.UserinfoOtherSub, 401, "subject_mismatch", 1, "/info"},
	{idp.UserinfoNoSub, 401, "subject_mismatch", 1, "/info"},
	{idp.UserinfoJWT, 503, "issuer_unavailable", 1, "/info"},
	{idp.Userinfo500, 503, "issuer_unavailable", 1, "/info"},
	{idp.UserinfoHTML, 503, "issuer_unavailable", 1, "/info"},
	{idp.UserinfoSlow, 503, "issuer_unavailable", 1, "/info"},
	{idp.UserinfoHuge, 503, "issuer_unavailable", 1, "/info"},
	{idp.UserinfoHangUp, 503, "issuer_unavailable", 1, "/info"},

	{idp.AuthorizeDenied, 401, "login_refused", 0, ""},
	{idp.IssWrong, 401, "login_issuer_mismatch", 0, ""},
	{idp.IssMissing, 401, "login_issuer_mismatch", 0, ""},
	{idp.AuthorizeRepeatedCode, 401, "login_state_invalid", 0, ""},
}

// Every fault is tried with a page that a person sees and with a script, with
// display_errors and without.
func TestAdversary(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{}, nil,
			site{path: "/app", idp: "main", config: "timeout: 1000"},
			site{path: "/said", idp: "main", config: "timeout: 1000\ndisplay_errors: true\nsession_audience: said"},
			site{path: "/info", idp: "main", config: "timeout: 1000\nsearch_user_info: true\nsession_audience: info"},
			site{path: "/kids", idp: "kids", config: "timeout: 1000"})
		for _, f := range faults {
			t.Run(string(f.fault), func(t *testing.T) { l.misbehave(t, f) })
		}
		t.Run("state", l.states)
		t.Run("parameters", l.parameters)
		l.quiet(t, secret, idp.Script)
	})
}

func (l *lab) misbehave(t *testing.T, f fault) {
	paths := []string{"/app", "/said"}
	if f.path != "" {
		paths = []string{f.path}
	}
	for _, path := range paths {
		for _, script := range []bool{false, true} {
			if script && strings.Contains(string(f.fault), "slow") {
				continue // once is long enough
			}
			provider, v := l.provider(path), newVisitor(t)
			provider.Forget()
			upstream := l.up.Total()
			p := v.Open(l.URL + path + "/page")
			provider.FlowFault(f.fault)
			back := provider.SignIn(t, v.Client, p.Location(), "alice")
			open := v.Open
			if script {
				open = v.Fetch
			}
			p = open(back)
			provider.FlowFault()
			l.refusedWith(t, p, f.status, f.reason)
			if n := provider.Count("token"); n != f.tokens {
				t.Errorf("%s: the token endpoint was asked %d times, want %d", l.Host, n, f.tokens)
			}
			if n := provider.Count("elsewhere"); n != 0 {
				t.Errorf("%s: the sidecar was led elsewhere %d times", l.Host, n)
			}
			if len(v.Cookies(l.URL)) > 0 {
				t.Errorf("%s: cookies are left: %v", l.Host, v.Cookies(l.URL))
			}
			if q, _ := l.fetch(t, v, l.URL+path+"/page"); q.StatusCode != 401 {
				t.Errorf("%s: afterwards: %d", l.Host, q.StatusCode)
			}
			if now := l.up.Total(); now != upstream {
				t.Errorf("%s: the upstream was called %d times", l.Host, now-upstream)
			}
			shown := strings.Contains(p.Body, "owned") || strings.Contains(p.Body, "alert(1)")
			if shown && path != "/said" || !shown && path == "/said" && strings.HasPrefix(string(f.fault), "authorize:denied") {
				t.Errorf("%s: %s: whether the provider's words are shown: %v: %s", l.Host, path, shown, p.Body)
			}
		}
	}
}

// states are callbacks that belong to nobody, or to somebody else.
func (l *lab) states(t *testing.T) {
	none := func(t *testing.T, provider *idp.Server, did func()) {
		t.Helper()
		tokens, upstream := provider.Count("token"), l.up.Total()
		did()
		if n := provider.Count("token") - tokens; n != 0 {
			t.Errorf("%s: a code was redeemed %d times", l.Host, n)
		}
		if n := l.up.Total() - upstream; n != 0 {
			t.Errorf("%s: the upstream was called %d times", l.Host, n)
		}
	}
	t.Run("of another browser", func(t *testing.T) {
		mine := l.begin(t, newVisitor(t), "/app/x", "alice")
		none(t, l.idp, func() {
			victim := newVisitor(t)
			p := victim.Open(mine)
			if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), l.idp.Endpoint("authorize")) || setsSession(p) {
				t.Fatalf("%d to %q: %s", p.StatusCode, p.Location(), p.Body)
			}
			// And so it goes on without cookies: once, then a page.
			victim = newVisitor(t)
			p = victim.Open(l.idp.SignIn(t, victim.Client, p.Location(), "alice"))
			l.refusedWith(t, p, 401, "login_state_unknown")
			testenv.Evidence(t, "%s: callback without cookie -> begun anew once, then %d, no code redeemed", l.Host, p.StatusCode)
			// A script gets neither.
			p = newVisitor(t).Fetch(mine)
			l.refusedWith(t, p, 401, "credential_missing")
		})
	})
	t.Run("with the cookie of another flow", func(t *testing.T) {
		a, b := newVisitor(t), newVisitor(t)
		mine, theirs := l.begin(t, a, "/app/x", "alice"), l.begin(t, b, "/app/x", "bob")
		flow := ""
		for _, value := range b.Cookies(l.URL) {
			flow = value
		}
		none(t, l.idp, func() {
			// The right name with another's value; the right cookie with another's state.
			for name := range a.Cookies(l.URL) {
				p, _ := l.raw(t, "GET", strings.TrimPrefix(mine, l.URL), append(navigate, cookieHeader(name+"="+flow))...)
				l.refusedWith(t, p, 401, "login_state_invalid")
			}
			p := b.Open(with(t, theirs, func(q url.Values) {
				parts := strings.Split(q.Get("state"), ".")
				q.Set("state", parts[0]+"."+parts[1]+".AAAA"+parts[2][4:])
			}))
			l.refusedWith(t, p, 401, "login_state_invalid")
		})
	})
	t.Run("mix-up", func(t *testing.T) {
		v := newVisitor(t)
		mine := l.begin(t, v, "/app/x", "alice")
		other := l.idps["kids"]
		none(t, other, func() {
			p := v.Open(strings.Replace(mine, "/app/x", "/kids/x", 1))
			l.refusedWith(t, p, 401, "login_state_invalid")
		})
		v = newVisitor(t)
		mine = l.begin(t, v, "/app/x", "alice")
		none(t, l.idp, func() {
			p := v.Open(with(t, mine, func(q url.Values) { q.Set("iss", other.Issuer()) }))
			l.refusedWith(t, p, 401, "login_issuer_mismatch")
		})
	})
	t.Run("code replay", func(t *testing.T) { l.replay(t) })
	t.Run("the provider spoils it", func(t *testing.T) {
		for _, f := range []idp.Fault{idp.AuthorizeWrongState, idp.AuthorizeNoState, idp.AuthorizeDeniedState} {
			v := newVisitor(t)
			none(t, l.idp, func() {
				p := v.Open(l.URL + "/app/page")
				l.idp.FlowFault(f)
				back := l.idp.SignIn(t, v.Client, p.Location(), "alice")
				l.idp.FlowFault()
				if p := v.Fetch(back); p.StatusCode != 401 || setsSession(p) {
					t.Errorf("%s: %s: %d", l.Host, f, p.StatusCode)
				}
			})
		}
	})
}

// replay comes back with the flow's cookie when the code has been used.
func (l *lab) replay(t *testing.T) {
	v := newVisitor(t)
	back := l.begin(t, v, "/app/x", "alice")
	thief := copyOf(t, v, l.URL)
	if p := v.Open(back); p.StatusCode != 303 {
		t.Fatalf("%d %s", p.StatusCode, p.Body)
	}
	tokens := l.idp.Count("token")
	p := thief.Open(back)
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), l.idp.Endpoint("authorize")) || setsSession(p) {
		t.Errorf("%s: replayed: %d to %q: %s", l.Host, p.StatusCode, p.Location(), p.Body)
	}
	// The second login that comes of it is replayed too: that is the end of it.
	second := l.idp.SignIn(t, thief.Client, p.Location(), "bob")
	again := copyOf(t, thief, l.URL)
	if p := thief.Open(second); p.StatusCode != 303 {
		t.Errorf("%s: the second login: %d %s", l.Host, p.StatusCode, p.Body)
	}
	p = again.Open(second)
	l.refusedWith(t, p, 401, "login_code_refused")
	if n := l.idp.Count("token") - tokens; n != 1 {
		t.Errorf("%s: %d redemptions", l.Host, n)
	}
	// A script's replay gets no redirection.
	p = copyOf(t, again, l.URL).Fetch(back)
	if p.StatusCode != 401 {
		t.Errorf("%s: a script's replay: %d", l.Host, p.StatusCode)
	}
	testenv.Evidence(t, "%s: code replayed -> %s, redeemed once each", l.Host, "login_code_refused")
}

// parameters come twice, or are nonsense.
func (l *lab) parameters(t *testing.T) {
	for _, extra := range []string{"code=x", "iss=" + url.QueryEscape(l.idp.Issuer()), "error=access_denied", "error=a&error=b", "%63ode=x", "error_description=a&error_description=b", "x=%zz"} {
		v := newVisitor(t)
		back := l.begin(t, v, "/app/x", "alice")
		before := l.idp.Count("token")
		p := v.Open(back + "&" + extra)
		l.refusedWith(t, p, 401, "login_state_invalid")
		if l.idp.Count("token") != before {
			t.Errorf("%s: %s: a code was redeemed", l.Host, extra)
		}
	}
	// Two states: it is nobody's callback.
	v := newVisitor(t)
	back := l.begin(t, v, "/app/x", "alice")
	before := l.idp.Count("token")
	p := v.Fetch(back + "&state=" + url.QueryEscape(query(t, back).Get("state")))
	if p.StatusCode != 401 || l.idp.Count("token") != before {
		t.Errorf("%s: two states: %d", l.Host, p.StatusCode)
	}
}
