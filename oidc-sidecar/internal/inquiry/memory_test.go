package inquiry

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

func TestUntil(t *testing.T) {
	const now = 1000
	all := declarative.Inquiry{CacheTokens: true, CacheIntrospection: true, CacheUserInfo: true, CacheTTL: 60}
	with := func(ttl, least, most int64) declarative.Inquiry {
		i := all
		i.CacheTTL, i.CacheMin, i.CacheMax = ttl, least, most
		return i
	}
	for _, tt := range []struct {
		name   string
		config declarative.Inquiry
		ends   []int64
		want   int64
	}{
		{"no end", all, nil, 1060},
		{"an end", all, []int64{1300}, 1300},
		{"two", all, []int64{1300, 1200}, 1200},
		{"ended", all, []int64{1000}, 0},
		{"ended long ago", all, []int64{-5, 1300}, 0},
		{"an end of zero", all, []int64{0}, 0},
		{"at most", with(60, 0, 30), []int64{1300}, 1030},
		{"at most, no end", with(60, 0, 30), nil, 1030},
		{"at most, but sooner", with(60, 0, 30), []int64{1010}, 1010},
		{"at least", with(60, 90, 0), nil, 1090},
		{"at least, but never beyond", with(60, 90, 0), []int64{1010}, 1010},
		{"at least of what has ended", with(60, 90, 0), []int64{1000}, 0},
		{"no time", with(0, 0, 0), nil, 0},
		{"no time, but at least", with(0, 5, 0), nil, 1005},
		{"nothing is remembered", declarative.Inquiry{CacheTTL: 60}, []int64{1300}, 0},
	} {
		e := ends{}
		for _, at := range tt.ends {
			e.sooner(at)
		}
		for _, m := range []bundle.Method{bundle.Introspection, bundle.UserInfo, bundle.RefreshToken, bundle.Password, bundle.ClientCredentials} {
			if got := until(&tt.config, m, e, now); got != tt.want {
				t.Errorf("%s, %v: %d, want %d", tt.name, m, got, tt.want)
			}
		}
	}
}

// A token that has no time left, or never says, is not taken for one that lasts.
func TestExpiresIn(t *testing.T) {
	for _, opaque := range []bool{true, false} {
		for _, life := range []time.Duration{0, -time.Minute} {
			w := newWorld(t, "")
			w.idp.Set(func(o *idp.Options) { o.AccessLifetime, o.OpaqueAccess = life, opaque })
			for n := range 2 {
				a := w.ask(bundle.ClientCredentials, "machine:"+machineSecret)
				if a.Session != nil && a.Session.Until != 0 || a.Until != 0 || a.Session == nil && life == 0 {
					t.Fatalf("%v: %v %+v", life, a.Code, a.Session)
				}
				if got := w.idp.Count("token"); got != n+1 {
					t.Errorf("%v: asked %d times", life, got)
				}
			}
		}
	}
	w := newWorld(t, "cache_ttl: 40")
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess, o.OmitExpiresIn = true, true })
	if s := w.good(bundle.ClientCredentials, "machine:"+machineSecret); s.Until != w.now().Unix()+40 {
		t.Errorf("until %d", s.Until)
	}
}

// Every method, on and off, to the second.
func TestRemembered(t *testing.T) {
	for _, tt := range []struct {
		method        bundle.Method
		endpoint, off string
		life          int64
	}{
		{bundle.Introspection, "introspect", "cache_introspection: false", 300},
		{bundle.UserInfo, "userinfo", "cache_user_info: false", 60},
		{bundle.Password, "token", "cache_tokens: false", 300},
		{bundle.ClientCredentials, "token", "cache_tokens: false", 300},
	} {
		for _, off := range []bool{false, true} {
			settings := ""
			if off {
				settings = tt.off
			}
			w := newWorld(t, settings)
			w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
			value, wrong := w.tokens("openid").Access, "made-up"
			switch tt.method {
			case bundle.Password:
				value, wrong = alice, "alice:x"
			case bundle.ClientCredentials:
				value, wrong = "machine:"+machineSecret, "machine:x"
			}
			count := func(want int) {
				t.Helper()
				if got := w.idp.Count(tt.endpoint); got != want {
					t.Fatalf("%v, off %v: asked %d times, want %d", tt.method, off, got, want)
				}
			}
			w.good(tt.method, value)
			if off {
				if s := w.good(tt.method, value); s.Until != 0 {
					t.Errorf("until %d", s.Until)
				}
				count(2)
				if a := w.ask(tt.method, wrong); a.Code == 0 || a.Until != 0 {
					t.Errorf("%v until %d", a.Code, a.Until)
				}
				w.ask(tt.method, wrong)
				count(4)
				continue
			}
			w.ask(tt.method, wrong)
			w.seconds(9)
			w.ask(tt.method, wrong)
			count(2)
			w.seconds(1)
			w.ask(tt.method, wrong)
			count(3)
			w.seconds(tt.life - 11)
			w.good(tt.method, value)
			count(3)
			w.seconds(1)
			w.ask(tt.method, value)
			count(4)
		}
	}
}

// TestOnce: many come with one token while the issuer thinks; it is asked once, whether
// or not the answer is remembered.
func TestOnce(t *testing.T) {
	for _, settings := range []string{"", "cache_introspection: false"} {
		w := newWorld(t, settings)
		token := w.tokens("openid").Access
		release := w.idp.Hold("introspect")
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				if a := w.ask(bundle.Introspection, token); a.Session == nil || a.Session.Token != token {
					t.Errorf("%v", a.Code)
				}
			})
		}
		w.idp.Await(t, "introspect", 1)
		w.svc.mu.Lock()
		if n := len(w.svc.flights); n != 1 {
			t.Errorf("%d questions are under way", n)
		}
		w.svc.mu.Unlock()
		release()
		wait.Wait()
		if n := w.idp.Count("introspect"); settings == "" && n != 1 {
			t.Errorf("asked %d times", n)
		}
	}
}

// A flood of tokens that are none drives no good one out.
func TestRefusalsDriveNothingOut(t *testing.T) {
	w := newWorld(t, "")
	w.svc.good, w.svc.bad = newStore(4, 1<<20), newStore(4, 1<<20)
	token := w.tokens("openid").Access
	w.good(bundle.Introspection, token)
	for i := range 20 {
		w.bad(bundle.Introspection, fmt.Sprint("made-up-", i), reason.TokenInactive)
	}
	before := w.idp.Count("introspect")
	w.good(bundle.Introspection, token)
	if w.idp.Count("introspect") != before || len(w.svc.bad.entries) != 4 {
		t.Errorf("asked anew; %d refusals", len(w.svc.bad.entries))
	}
}

func TestGate(t *testing.T) {
	g := newGate()
	enter := func(issuer string, m bundle.Method) (n int) {
		for g.enter(issuer, m) {
			n++
		}
		return n
	}
	if n := enter("a", bundle.Introspection); n != ownRoom+sharedRoom {
		t.Errorf("one method gets %d", n)
	}
	for _, m := range []bundle.Method{bundle.UserInfo, bundle.RefreshToken, bundle.Password, bundle.ClientCredentials} {
		if n := enter("a", m); n != ownRoom {
			t.Errorf("%v gets %d beside a flood", m, n)
		}
	}
	if n := enter("b", bundle.Introspection); n != ownRoom+sharedRoom {
		t.Errorf("another issuer gets %d", n)
	}
	g.leave("a", bundle.Introspection)
	if n := enter("a", bundle.Password); n != 1 {
		t.Errorf("what was given back is taken %d times", n)
	}
	for range 5 {
		g.leave("a", bundle.Password)
	}
	for range ownRoom + sharedRoom {
		g.leave("b", bundle.Introspection)
	}
	if g.busy["b"] != nil || g.busy["a"] == nil {
		t.Errorf("%v", g.busy)
	}
}

// Whoever floods one method is told that we are overloaded; the others go on.
func TestFlood(t *testing.T) {
	w := newWorld(t, "")
	token := w.tokens("openid").Access
	release := w.idp.Hold("introspect")
	var wait sync.WaitGroup
	for i := range ownRoom + sharedRoom {
		wait.Go(func() { w.ask(bundle.Introspection, fmt.Sprint("made-up-", i)) })
	}
	w.idp.Await(t, "introspect", ownRoom+sharedRoom)
	if n := w.bad(bundle.Introspection, "one more", reason.Overloaded); n != 0 {
		t.Errorf("remembered for %d s", n)
	}
	w.good(bundle.UserInfo, token)
	w.good(bundle.Password, alice)
	release()
	wait.Wait()
	w.good(bundle.Introspection, token)
}

// What a logout names is forgotten, and what is on its way is not remembered.
func TestForget(t *testing.T) {
	w := newWorld(t, "")
	token := w.tokens("openid").Access
	name := endpoint.SubjectKey(w.idp.Issuer(), "alice-1")
	count := func(want int) {
		t.Helper()
		if got := w.idp.Count("introspect"); got != want {
			t.Fatalf("asked %d times, want %d", got, want)
		}
	}
	w.good(bundle.Introspection, token)
	w.svc.Forget([]string{endpoint.SubjectKey(w.idp.Issuer(), "bob-2")})
	w.good(bundle.Introspection, token)
	count(1)
	w.svc.Forget([]string{name})
	release := w.idp.Hold("introspect")
	done := make(chan wire.Answer)
	go func() { done <- w.ask(bundle.Introspection, token) }()
	w.idp.Await(t, "introspect", 2)
	w.svc.Forget([]string{name})
	release()
	if a := <-done; a.Session == nil || a.Session.Until != 0 {
		t.Errorf("%v %+v", a.Code, a.Session)
	}
	w.good(bundle.Introspection, token)
	count(3)
	w.good(bundle.Introspection, token)
	count(3)
	// By the provider's session, too, where the answer names one.
	w.idp.AddUser(idp.User{Name: "alice", Password: alicePassword, Subject: "alice-1", AccessClaims: map[string]any{"sid": "s1"}})
	token = w.tokens("openid").Access
	w.good(bundle.Introspection, token)
	w.svc.Forget([]string{endpoint.ProviderKey(w.idp.Issuer(), "app", "s1")})
	w.good(bundle.Introspection, token)
	count(2)
}
