package login

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// longLived makes tokens outlive everything else.
func longLived(w *world) {
	w.idp.Set(func(o *idp.Options) { o.AccessLifetime, o.RefreshLifetime = 30*24*time.Hour, 60*24*time.Hour })
}

// A session that nobody uses for so long ends; one in use does not, because its
// cookies are written anew from a tenth of the time on.
func TestIdle(t *testing.T) {
	for name, settings := range map[string]string{
		"idling":  "session_idling_timeout: 900\nsession_rolling_timeout: 0",
		"rolling": "session_idling_timeout: 0\nsession_rolling_timeout: 900",
		"both":    "session_idling_timeout: 900\nsession_rolling_timeout: 4000",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings)
			longLived(w)
			b := w.signIn("alice")
			old := b.copy()
			w.seconds(89)
			if s := w.opened(b); len(s.SetCookies) != 0 {
				t.Errorf("cookies are written anew after 89 s")
			}
			w.seconds(1)
			s := w.opened(b)
			if len(s.SetCookies) != 1 {
				t.Fatalf("cookies set after 90 s: %q", s.SetCookies)
			}
			b.take(s.SetCookies)
			if again := w.opened(b); len(again.SetCookies) != 0 {
				t.Error("the new cookies are written anew at once")
			}
			w.seconds(899 - 90)
			w.opened(old)
			w.seconds(1)
			w.closed(old, reason.SessionExpired)
			w.seconds(89) // 989 s, and 899 s after they were written
			b.take(w.opened(b).SetCookies)
			for range 10 { // much longer than the bound, in use
				w.seconds(800)
				b.take(w.opened(b).SetCookies)
			}
			w.seconds(900)
			w.closed(b, reason.SessionExpired)
		})
	}
}

// Nothing makes a session outlive its absolute bound.
func TestAbsolute(t *testing.T) {
	w := newWorld(t, "session_absolute_timeout: 3600\nsession_idling_timeout: 900\nsession_rolling_timeout: 0")
	longLived(w)
	b := w.signIn("alice")
	end := w.now().Add(time.Hour)
	for w.now().Before(end.Add(-time.Minute)) {
		w.seconds(59)
		s := w.opened(b)
		if s.Until > end.Unix() {
			t.Fatalf("%v before its end a session is good for %d s", end.Sub(w.now()), s.Until-w.now().Unix())
		}
		b.take(s.SetCookies)
	}
	w.ns.Store(end.Add(-time.Second).UnixNano())
	if s := w.opened(b); s.Until != end.Unix() {
		t.Errorf("a second before its end a session is good for %d s", s.Until-w.now().Unix())
	}
	w.seconds(1)
	w.closed(b, reason.SessionExpired)
}

// Zero is no bound.
func TestNoBounds(t *testing.T) {
	w := newWorld(t, "session_absolute_timeout: 0\nsession_idling_timeout: 0\nsession_rolling_timeout: 0")
	w.idp.Set(func(o *idp.Options) { o.AccessLifetime = 365 * 24 * time.Hour })
	b := w.signIn("alice")
	w.advance(300 * 24 * time.Hour)
	if s := w.opened(b); len(s.SetCookies) != 0 || s.Until != w.now().Unix()+cacheFor {
		t.Errorf("set-cookie %q, good for %d s", s.SetCookies, s.Until-w.now().Unix())
	}
}

// Filters remember a session no longer than until something about it has to happen.
func TestUntil(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		life     time.Duration // of the access token
		after    int64         // seconds
		want     int64         // seconds
	}{
		"the most":            {"session_idling_timeout: 0\nsession_rolling_timeout: 0", time.Hour, 0, 300},
		"a tenth of idling":   {"session_idling_timeout: 900", time.Hour, 0, 90},
		"at least a second":   {"session_idling_timeout: 10", time.Hour, 0, 1},
		"a tenth of rolling":  {"session_idling_timeout: 0\nsession_rolling_timeout: 600", time.Hour, 0, 60},
		"the shorter":         {"session_idling_timeout: 900\nsession_rolling_timeout: 600", time.Hour, 0, 60},
		"the refresh":         {"session_idling_timeout: 0\nsession_rolling_timeout: 0", 5 * time.Minute, 200, 40},
		"no refresh":          {"session_idling_timeout: 0\nsession_rolling_timeout: 0\nrefresh_tokens: false", 5 * time.Minute, 200, 100},
		"the absolute bound":  {"session_idling_timeout: 0\nsession_rolling_timeout: 0\nsession_absolute_timeout: 30", time.Hour, 10, 20},
		"a refresh under way": {"session_idling_timeout: 0\nsession_rolling_timeout: 0", 5 * time.Minute, 250, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.settings)
			w.idp.Set(func(o *idp.Options) { o.AccessLifetime = c.life })
			b := w.signIn("alice")
			w.seconds(c.after)
			release := w.idp.Hold("token")
			defer release()
			if s := w.opened(b); s.Until-w.now().Unix() != c.want {
				t.Errorf("good for %d s, want %d", s.Until-w.now().Unix(), c.want)
			}
		})
	}
}
