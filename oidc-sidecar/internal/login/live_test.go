package login

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// sum is what a store holds, counted anew.
func (l *live) sum() (n int) {
	for at := l.order.Front(); at != nil; at = at.Next() {
		n += at.Value.(*liveEntry).size
	}
	return n
}

func TestLiveBounds(t *testing.T) {
	l := newLive(64 << 10)
	land := func(i int, rec *record, code reason.Code) {
		id := fmt.Sprint(i)
		l.mu.Lock()
		f := &renewal{done: make(chan struct{})}
		l.entry(id).flight = f
		l.mu.Unlock()
		l.land(id, f, rec, code, time.Time{})
		<-f.done
	}
	for i := range 1000 {
		rec := &record{ID: fmt.Sprint(i), Generation: 1, Access: strings.Repeat("x", i%5000)}
		land(i, rec, reason.Unspecified)
		if l.used > l.limit || l.used != l.sum() || len(l.entries) != l.order.Len() {
			t.Fatalf("after %d: %d bytes of %d, counted %d", i, l.used, l.limit, l.sum())
		}
	}
	if l.newest(&record{ID: "999"}).Generation != 1 || l.newest(&record{ID: "1"}).Generation != 0 {
		t.Error("the least recently used are not those that go")
	}
	// Issuers that are away make entries, too.
	for i := range 10_000 {
		land(i, nil, reason.IssuerUnavailable)
	}
	if l.used > l.limit || l.used != l.sum() {
		t.Errorf("%d bytes of %d, counted %d", l.used, l.limit, l.sum())
	}
	// And sessions that are over leave none.
	before := len(l.entries)
	for i := 20_000; i < 21_000; i++ {
		land(i, nil, reason.RefreshRefused)
	}
	if len(l.entries) > before {
		t.Errorf("%d entries of dead sessions", len(l.entries)-before)
	}
	// What is in the air is not forgotten: it must not be begun twice.
	l = newLive(10 << 10)
	l.mu.Lock()
	l.entry("flying").flight = &renewal{}
	l.mu.Unlock()
	for i := range 100 {
		land(i, &record{ID: fmt.Sprint(i), Generation: 1, Access: strings.Repeat("x", 2000)}, reason.Unspecified)
	}
	l.drop("flying")
	if e := l.entries["flying"]; e == nil || e.Value.(*liveEntry).flight == nil {
		t.Error("a flight is forgotten")
	}
}

// refreshing is a service with a provider and a session whose token has ended.
func refreshing(t *testing.T) (*Service, *Instance, *provider.Provider, *idp.Server, *wire.Request) {
	t.Helper()
	s := idp.Start(t)
	s.AddClient(idp.Client{ID: "app", Secret: "secret"})
	s.AddUser(idp.User{Name: "alice", Password: "alice"})
	in := instance(t, func(c *declarative.OIDCConfig) { c.IssuerURL = s.Issuer() })
	c := provider.Config{ID: "t", Issuer: s.Issuer(), Timeout: 5 * time.Second}
	p := provider.New(c, provider.NewClient(c), slog.New(slog.DiscardHandler), time.Now, func() {})
	t.Cleanup(p.Client().CloseIdleConnections)
	go p.Run(t.Context())
	<-p.Tried()
	svc := service(t, time.Now)
	// The refresh token comes by the password, which this provider takes.
	ts, err := svc.tokenRequest(t.Context(), in, p, &p.Current().Metadata, 0, map[string][]string{
		"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	rec := in.newRecord(sourceCode, time.Now())
	rec.Issuer, rec.Subject, rec.ClientID = s.Issuer(), "alice", "app"
	rec.Access, rec.IDToken, rec.Refresh, rec.Expires, rec.Life = ts.Access, ts.ID, ts.Refresh, time.Now().Unix()-1, 1
	r := &wire.Request{Scheme: "http"}
	lines, code := in.seal(rec, r, time.Now())
	if code != reason.Unspecified {
		t.Fatal(code)
	}
	r.Cookies = cookiesOf(lines)
	s.Forget()
	return svc, in, p, s, r
}

// TestOneRefresh: hundreds come at once with a session whose one-time refresh token is
// good once; the provider is asked once.
func TestOneRefresh(t *testing.T) {
	svc, in, p, s, r := refreshing(t)
	var wait sync.WaitGroup
	var bad atomic.Int64
	for range 300 {
		wait.Go(func() {
			for range 5 {
				if a := svc.Open(t.Context(), in, p, r); a.Session == nil || a.Code != reason.Unspecified {
					bad.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if n := s.Count("token"); n != 1 || bad.Load() != 0 {
		t.Errorf("the provider was asked %d times, %d were refused", n, bad.Load())
	}
}

// TestLogoutWhileRefreshing: whoever logs out while new tokens are on their way is
// logged out, whatever comes.
func TestLogoutWhileRefreshing(t *testing.T) {
	svc, in, p, s, r := refreshing(t)
	release := s.Hold("token")
	answers := make(chan wire.Answer, 20)
	for range cap(answers) {
		go func() { answers <- svc.Open(t.Context(), in, p, r) }()
	}
	s.Await(t, "token", 1)
	if a := svc.Logout(t.Context(), in, p, r); a.Code != reason.LoggedOut {
		t.Fatal(a.Code)
	}
	release()
	for range cap(answers) {
		if a := <-answers; a.Session != nil || a.Code != reason.SessionRevoked {
			t.Errorf("%v: a session that was logged out", a.Code)
		}
	}
	if a := svc.Open(t.Context(), in, p, r); a.Session != nil || s.Count("token") != 1 {
		t.Errorf("%v, asked %d times", a.Code, s.Count("token"))
	}
	svc.live.mu.Lock()
	defer svc.live.mu.Unlock()
	if len(svc.live.entries) != 0 || svc.live.used != 0 {
		t.Errorf("%d entries are left, %d bytes", len(svc.live.entries), svc.live.used)
	}
}

// TestUnjudged: tokens that nobody can judge are kept and not used, and the refresh
// token is not sent a second time.
func TestUnjudged(t *testing.T) {
	svc, in, p, s, r := refreshing(t)
	for i := range 4 { // the issuer may not be asked for keys any more
		p.LookupOwn(t.Context(), fmt.Sprint("strange-", i))
	}
	s.FlowFault(idp.IDUnknownKid, idp.IDOtherSubject)
	for range 5 {
		a := svc.Open(t.Context(), in, p, r)
		if a.Session != nil || a.Code != reason.KeysThrottled && a.Code != reason.IssuerUnavailable {
			t.Fatalf("%v %+v", a.Code, a.Session)
		}
	}
	if n := s.Count("token"); n != 1 {
		t.Errorf("the refresh token was sent %d times", n)
	}
	svc.live.mu.Lock()
	for _, e := range svc.live.entries {
		e.Value.(*liveEntry).pause = time.Time{}
	}
	svc.live.mu.Unlock()
	if a := svc.Open(t.Context(), in, p, r); a.Session != nil || s.Count("token") != 1 {
		t.Errorf("judged again: %v, sent %d times", a.Code, s.Count("token"))
	}
}
