package login

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// settle waits until no refresh of a session is under way.
func (w *world) settle(b browser) {
	w.t.Helper()
	rec, code := w.in.unseal(b.request("/"))
	if code != reason.Unspecified {
		w.t.Fatal(code)
	}
	testenv.Eventually(w.t, 10*time.Second, "the end of a refresh", func() bool {
		w.svc.live.mu.Lock()
		defer w.svc.live.mu.Unlock()
		e := w.svc.live.entries[rec.ID]
		return e == nil || e.Value.(*liveEntry).flight == nil
	})
}

// From a fifth of a token's life before its end, at most a minute, it is renewed in
// the background.
func TestRefreshEarly(t *testing.T) {
	for life, early := range map[time.Duration]time.Duration{
		10 * time.Second: 2 * time.Second, 5 * time.Minute: time.Minute, 10 * time.Minute: time.Minute,
		24 * time.Hour: time.Minute, 4 * time.Second: 0,
	} {
		t.Run(life.String(), func(t *testing.T) {
			w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0")
			w.idp.Set(func(o *idp.Options) { o.AccessLifetime, o.RefreshLifetime = life, 48*time.Hour })
			b := w.signIn("alice")
			first := w.opened(b)
			n := w.tokenCalls()
			w.advance(life - early - time.Second)
			if w.opened(b); w.tokenCalls() != n {
				t.Fatal("refreshed too early")
			}
			release := w.idp.Hold("token")
			defer release()
			w.advance(time.Second)
			if early == 0 { // it has ended: nothing but the refresh helps
				release()
				if s := w.opened(b); s.Token == first.Token {
					t.Error("a token that has ended is used")
				}
				return
			}
			for range 3 {
				if s := w.opened(b); s.Token != first.Token || len(s.SetCookies) != 0 {
					t.Error("the valid token is not used while the refresh is under way")
				}
			}
			w.idp.Await(t, "token", n+1)
			release()
			w.settle(b)
			s := w.opened(b)
			if s.Token == first.Token || len(s.SetCookies) != 1 || w.tokenCalls() != n+1 {
				t.Errorf("after the refresh: %d cookies, %d refreshes", len(s.SetCookies), w.tokenCalls()-n)
			}
		})
	}
}

// In trouble the valid token is used to its end, nobody asks again within five
// seconds, and the session is there when the provider is.
func TestRefreshTrouble(t *testing.T) {
	for _, fault := range []idp.Fault{
		idp.Token500, idp.TokenHTML, idp.TokenHangUp, idp.TokenRedirect, idp.TokenError("temporarily_unavailable"),
		idp.TokenError("invalid_client"), idp.TokenNoAccess, idp.TokenWrongType, idp.TokenDuplicate,
	} {
		t.Run(string(fault), func(t *testing.T) {
			w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0")
			w.idp.Set(func(o *idp.Options) { o.Rotate = false }) // some faults come after the token was used
			b := w.signIn("alice")
			first := w.opened(b)
			w.idp.FlowFault(fault)
			w.seconds(250) // of 300
			n := w.tokenCalls()
			for i, step := range []struct{ wait, tries int64 }{{0, 1}, {4, 0}, {1, 1}, {4, 0}} {
				w.seconds(step.wait)
				if s := w.opened(b); s.Token != first.Token || s.Until != w.now().Unix()+1 {
					t.Errorf("step %d: good for %d s", i, s.Until-w.now().Unix())
				}
				w.settle(b)
				if got := w.tokenCalls() - n; int64(got) != step.tries {
					t.Errorf("step %d: %d tries, want %d", i, got, step.tries)
				}
				n = w.tokenCalls()
			}
			w.seconds(60)
			w.closed(b, reason.IssuerUnavailable)
			w.closed(b, reason.IssuerUnavailable)
			w.idp.FlowFault()
			w.seconds(5)
			if s := w.opened(b); s.Token == first.Token {
				t.Error("the old token is used")
			}
		})
	}
}

// invalid_grant ends the session for every copy of its cookies, and tells the
// filters.
func TestRefreshRefused(t *testing.T) {
	for _, expired := range []bool{false, true} {
		t.Run(fmt.Sprint(expired), func(t *testing.T) {
			w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0")
			b := w.signIn("alice")
			id := w.opened(b).ID
			w.idp.FlowFault(idp.RefreshInvalidGrant)
			if expired {
				w.seconds(300)
				w.closed(b, reason.RefreshRefused)
			} else {
				w.seconds(250)
				w.opened(b)
				w.settle(b)
			}
			w.closed(b, reason.SessionRevoked)
			if w.mu.Lock(); !slices.Contains(w.ended, id) {
				t.Errorf("filters are told of %q, not of %q", w.ended, id)
			}
			w.mu.Unlock()
		})
	}
}

// Nothing of a refresh is used before all of it has been judged: whoever comes in
// between gets the old tokens or waits.
func TestRefreshIsJudgedFirst(t *testing.T) {
	w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0\nsearch_user_info: true")
	w.in.UserInfo = true
	b := w.signIn("alice")
	first := w.opened(b)
	w.idp.FlowFault(idp.UserinfoOtherSub)
	release := w.idp.Hold("userinfo")
	defer release()
	n := w.idp.Count("userinfo")
	w.seconds(250)
	w.opened(b)
	w.idp.Await(t, "userinfo", n+1) // the tokens are there, and not judged
	if s := w.opened(b); s.Token != first.Token {
		t.Error("a token is used before it is known whose it is")
	}
	release()
	w.settle(b)
	w.closed(b, reason.SessionRevoked)
}

// What cannot be judged for want of the issuer's keys is not used before it can be,
// and not asked for again: the refresh token that brought it is spent.
func TestRefreshThatCannotBeJudged(t *testing.T) {
	for name, c := range map[string]struct {
		faults []idp.Fault
		want   reason.Code
	}{
		"right":           {[]idp.Fault{idp.OnRefresh(idp.IDKidLate)}, reason.Unspecified},
		"another subject": {[]idp.Fault{idp.OnRefresh(idp.IDKidLate), idp.RefreshOtherSubject}, reason.SubjectMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0")
			b := w.signIn("alice")
			first := w.opened(b)
			n := w.tokenCalls()
			w.idp.FlowFault(c.faults...)
			w.idp.MisbehaveWithKeys(idp.Error500)
			w.seconds(300)
			w.closed(b, reason.KeysThrottled) // the fetch has failed
			w.seconds(5)
			w.closed(b, reason.KeysThrottled)
			w.idp.MisbehaveWithKeys("")
			w.seconds(60)
			if c.want != reason.Unspecified {
				w.closed(b, c.want)
			} else if s := w.opened(b); s.Token == first.Token || !strings.Contains(s.Claims, "alice-1") {
				t.Errorf("the session is of %s", s.Claims)
			}
			if got := w.tokenCalls() - n; got != 1 {
				t.Errorf("%d refreshes, want 1", got)
			}
		})
	}
}

// A hundred requests at once, with the first cookies and with newer ones, cost one
// refresh; what they get is one session.
func TestRefreshOnce(t *testing.T) {
	w := newWorld(t, "session_idling_timeout: 0\nsession_rolling_timeout: 0\nsearch_user_info: true")
	w.in.UserInfo = true
	b := w.signIn("alice")
	for round := range 5 {
		n := w.tokenCalls()
		w.seconds(300)
		var mu sync.Mutex
		tokens, latest := map[string]int{}, []string(nil)
		var work sync.WaitGroup
		for range 100 {
			work.Go(func() {
				a := w.svc.Open(t.Context(), w.in, w.provider, b.request("/page"))
				mu.Lock()
				defer mu.Unlock()
				if a.Session == nil {
					tokens[a.Code.Error()]++
					return
				}
				tokens[a.Session.Token]++
				latest = a.Session.SetCookies
			})
		}
		work.Wait()
		if len(tokens) != 1 || w.tokenCalls()-n != 1 {
			t.Fatalf("round %d: %d tokens, %d refreshes: %v", round, len(tokens), w.tokenCalls()-n, tokens)
		}
		if round%2 == 0 {
			b.take(latest)
		}
	}
}
