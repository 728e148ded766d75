package logins

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// TestRefresh: tokens that end are renewed, once, and nobody notices; a session ends
// when the provider says so, and not when it says nothing.
func TestRefresh(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"r", "upstream_id_token_header: X-ID-Token"},
			way{"fixed", "refresh_tokens: false"},
		), nil, stack.Options{})
		for name, test := range map[string]func(*testing.T, *rig){
			"expired": refreshExpired, "before expiry": refreshEarly, "rotation": refreshRotation, "cookies": refreshCookies,
			"invalid_grant": refreshRefused, "the user is gone": refreshUserGone, "trouble": refreshTrouble,
			"another subject": refreshOtherSubject, "no ID token": refreshNoIDToken, "refresh_tokens false": refreshOff,
		} {
			t.Run(name, func(t *testing.T) {
				r.idp.FlowFault()
				test(t, r)
			})
		}
	})
}

// refreshExpired: one refresh; the upstream gets the new token, old cookies open the
// renewed session.
func refreshExpired(t *testing.T, r *rig) {
	v := r.expired(t, "/r/page", "alice")
	before, old := r.refreshes(), r.copyOf(t, v)
	p, first := r.ask(t, v, "/r/page", 200)
	if !slices.Equal(setCookies(p), []string{"session"}) {
		t.Errorf("the passing response sets %v", setCookies(p))
	}
	_, again := r.ask(t, v, "/r/page", 200)
	_, older := r.ask(t, old, "/r/page", 200)
	token := first.Header("Authorization")
	if exp := claimsOf(t, token)["exp"].(float64); int64(exp) <= time.Now().Unix() {
		t.Errorf("the upstream received a token that has ended")
	}
	if again.Header("Authorization") != token || older.Header("Authorization") != token {
		t.Errorf("requests after the refresh have other tokens")
	}
	if n := r.refreshes() - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	if call := r.idp.Calls("token"); call[len(call)-1].AuthMethod != "client_secret_basic" || call[len(call)-1].Status != 200 {
		t.Errorf("the refresh: %+v", call[len(call)-1])
	}
}

// refreshEarly: a token that is about to end is renewed in the background, and used
// meanwhile.
func refreshEarly(t *testing.T, r *rig) {
	r.idp.Set(func(o *idp.Options) { o.AccessLifetime = 10 * time.Second })
	v := r.entered(t, "/r/page", "alice")
	r.idp.Set(func(o *idp.Options) { o.AccessLifetime = 5 * time.Minute })
	_, first := r.ask(t, v, "/r/page", 200)
	token := first.Header("Authorization")
	exp := int64(claimsOf(t, token)["exp"].(float64))
	asked := r.idp.Count("token")
	release := r.idp.Hold("token")
	defer release()
	// From four fifths of its life on the refresh is under way, and held.
	testenv.Eventually(t, 15*time.Second, "a refresh in the background", func() bool {
		_, seen := r.ask(t, v, "/r/page", 200)
		if seen.Header("Authorization") != token {
			t.Error("the token has changed while the refresh is held")
		}
		return r.idp.Count("token") > asked
	})
	if now := time.Now().Unix(); now >= exp {
		t.Errorf("the refresh began %d s after the end of the token", now-exp)
	}
	release()
	testenv.Eventually(t, 5*time.Second, "the new token", func() bool {
		_, seen := r.ask(t, v, "/r/page", 200)
		return seen.Header("Authorization") != token
	})
	if n := r.idp.Count("token") - asked; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// refreshRotation: each refresh token is used once, the newest last.
func refreshRotation(t *testing.T, r *rig) {
	for _, rotate := range []bool{true, false} {
		r.idp.Set(func(o *idp.Options) { o.Rotate = rotate })
		restore := r.shortLived()
		v := r.entered(t, "/r/page", "alice")
		first := r.copyOf(t, v)
		before := len(r.idp.Calls("token"))
		for range 3 { // every one of them has ended when it comes
			r.ask(t, v, "/r/page", 200)
		}
		restore()
		r.ask(t, first, "/r/page", 200) // with the cookies of the sign-in
		calls, sent := r.idp.Calls("token")[before:], map[string]bool{}
		for _, c := range calls {
			sent[c.Form.Get("refresh_token")] = true
			if c.Status != 200 {
				t.Errorf("rotate %v: a refresh is refused: %s %s", rotate, c.Error, c.Detail)
			}
		}
		if want := map[bool]int{true: 4, false: 1}[rotate]; len(calls) != 4 || len(sent) != want {
			t.Errorf("rotate %v: %d refreshes with %d tokens, want 4 with %d", rotate, len(calls), len(sent), want)
		}
	}
	r.idp.Set(func(o *idp.Options) { o.Rotate = true })
}

// refreshCookies: new cookies come with the passing response, beside the upstream's
// own, and what is remembered of a session never sets any.
func refreshCookies(t *testing.T, r *rig) {
	r.settled(t, "/r/cookies")
	v := r.expired(t, "/r/cookies", "alice")
	line := r.cookieLine(v)
	all := map[string]int{}
	const requests = 24
	for i := range requests {
		p := visitor.New(t).Fetch(r.URL+"/r/cookies", line) // the old cookies each time
		if p.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, p.StatusCode, p.Body)
		}
		for _, name := range setCookies(p) {
			all[name]++
		}
	}
	// Each worker asks once, for the session is good for minutes then.
	if all["upstream"] != requests || all["second"] != requests || all["session"] < 1 || all["session"] > 2 {
		t.Errorf("%d responses set %v", requests, all)
	}
	testenv.Evidence(t, "%s: %d requests with old cookies: set-cookie by name %v", r.Host, requests, all)
}

// refreshRefused: invalid_grant ends the session, for copies of the cookies too, and
// the next page begins a login.
func refreshRefused(t *testing.T, r *rig) {
	v := r.expired(t, "/r/page", "alice")
	copied := r.copyOf(t, v)
	r.idp.FlowFault(idp.RefreshInvalidGrant)
	before := r.refreshes()
	p, _ := r.ask(t, v, "/r/page", 401)
	r.reason(t, p, "refresh_refused")
	if !slices.Equal(setCookies(p), []string{"-session"}) || len(v.Cookies(r.URL)) != 0 {
		t.Errorf("the refusal sets %v, the browser keeps %v", setCookies(p), v.Cookies(r.URL))
	}
	r.idp.FlowFault()
	p, _ = r.ask(t, copied, "/r/page", 401)
	r.reason(t, p, "session_revoked")
	if n := r.refreshes() - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	if p := r.login(t, v, "/r/page", "alice"); p.StatusCode != 200 {
		t.Errorf("the next login: %d", p.StatusCode)
	}
}

// refreshUserGone: an end that the provider has decided on, for a page.
func refreshUserGone(t *testing.T, r *rig) {
	r.idp.AddUser(idp.User{Name: "carol", Password: "carol"})
	v := r.expired(t, "/r/page", "carol")
	r.idp.RemoveUser("carol")
	p := v.Open(r.URL + "/r/page")
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
		t.Errorf("a page of somebody who is gone: %d to %q", p.StatusCode, p.Location())
	}
}

// refreshTrouble: whatever goes wrong on the way is 503, keeps the cookies, and
// passes.
func refreshTrouble(t *testing.T, r *rig) {
	v := r.expired(t, "/r/page", "alice")
	for _, fault := range []idp.Fault{idp.Refresh500, idp.OnRefresh(idp.TokenHangUp)} {
		r.idp.FlowFault(fault)
		testenv.Eventually(t, 10*time.Second, "a try that fails", func() bool {
			before := r.refreshes()
			p, _ := r.ask(t, v, "/r/page", 503)
			if p.Header.Get("Retry-After") == "" || len(setCookies(p)) != 0 {
				t.Errorf("%s: Retry-After %q, set-cookie %v", fault, p.Header.Get("Retry-After"), setCookies(p))
			}
			r.reason(t, p, "issuer_unavailable")
			return r.refreshes() > before // nobody tries for a while after one has failed
		})
		if p := v.Open(r.URL + "/r/page"); p.StatusCode != 503 || !strings.Contains(p.Body, "<title>") {
			t.Errorf("%s: a page: %d %s", fault, p.StatusCode, p.Body)
		}
	}
	r.idp.FlowFault()
	testenv.Eventually(t, 15*time.Second, "a refresh when the provider is back", func() bool {
		p := v.Fetch(r.URL + "/r/page")
		return p.StatusCode == 200
	})
}

// refreshOtherSubject: tokens about somebody else end the session.
func refreshOtherSubject(t *testing.T, r *rig) {
	v := r.expired(t, "/r/page", "alice")
	copied := r.copyOf(t, v)
	r.idp.FlowFault(idp.RefreshOtherSubject)
	p, _ := r.ask(t, v, "/r/page", 401)
	r.reason(t, p, "subject_mismatch")
	p, _ = r.ask(t, copied, "/r/page", 401)
	r.reason(t, p, "session_revoked")
}

// refreshNoIDToken: the old ID token stays where a refresh brings none.
func refreshNoIDToken(t *testing.T, r *rig) {
	r.idp.Set(func(o *idp.Options) { o.RefreshWithoutIDToken = true })
	defer r.idp.Set(func(o *idp.Options) { o.RefreshWithoutIDToken = false })
	restore := r.shortLived()
	v := r.entered(t, "/r/page", "alice")
	_, first := r.ask(t, v, "/r/page", 200)
	restore()
	_, second := r.ask(t, v, "/r/page", 200)
	if id := first.Header("X-ID-Token"); id == "" || second.Header("X-ID-Token") != id || first.Header("Authorization") == second.Header("Authorization") {
		t.Errorf("ID tokens %q and %q", id, second.Header("X-ID-Token"))
	}
	r.idp.Set(func(o *idp.Options) { o.RefreshWithoutIDToken = false })
	w := r.expired(t, "/r/page", "alice")
	_, third := r.ask(t, w, "/r/page", 200)
	if third.Header("X-ID-Token") == "" || third.Header("X-ID-Token") == first.Header("X-ID-Token") {
		t.Error("a refreshed ID token is not used")
	}
}

// refreshOff: without refreshes the session ends with its token.
func refreshOff(t *testing.T, r *rig) {
	r.idp.Set(func(o *idp.Options) { o.AccessLifetime = 2 * time.Second })
	v := r.entered(t, "/fixed/page", "alice")
	r.idp.Set(func(o *idp.Options) { o.AccessLifetime = 5 * time.Minute })
	before := r.refreshes()
	last := r.copyOf(t, v)
	testenv.Eventually(t, 15*time.Second, "the end of the token", func() bool {
		p, err := v.Try("GET", r.URL+"/fixed/page")
		return err == nil && p.StatusCode == 401
	})
	p, _ := r.ask(t, last, "/fixed/page", 401)
	r.reason(t, p, "session_expired")
	if p := v.Open(r.URL + "/fixed/page"); p.StatusCode != 302 {
		t.Errorf("a page: %d", p.StatusCode)
	}
	if r.refreshes() != before {
		t.Error("there was a refresh")
	}
}
