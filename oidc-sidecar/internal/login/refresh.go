package login

import (
	"container/list"
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// Times of refreshing.
const (
	// refreshEarly is how many seconds before its end a token is renewed, and never
	// more than a fifth of its life.
	refreshEarly = 60
	// refreshPause is how long nobody tries again after the issuer could not be asked.
	refreshPause = 5 * time.Second
	maxLiveBytes = 64 << 20
)

// refreshAt is when the access token is to be renewed, 0 for never.
func (rec *record) refreshAt() int64 {
	if rec.Expires == 0 {
		return 0
	}
	early := int64(refreshEarly)
	if rec.Life > 0 {
		early = min(early, rec.Life/5)
	}
	return rec.Expires - early
}

// due reports whether the access token is to be renewed, and whether it has ended.
func (rec *record) due(now time.Time) (due, expired bool) {
	if rec.Expires == 0 {
		return false, false
	}
	return now.Unix() >= rec.refreshAt(), now.Unix() >= rec.Expires
}

// live keeps the newest record of sessions that were refreshed: browsers come with
// older cookies for a while, and a refresh token that is good once must not be sent
// twice. It is bounded in bytes; the least recently used go first.
type live struct {
	mu      sync.Mutex // guards what follows
	limit   int
	used    int
	entries map[string]*list.Element // of *liveEntry, by id
	order   *list.List               // the newest first
}

type liveEntry struct {
	id     string
	rec    *record // nil while there is only a flight
	flight *renewal
	pause  time.Time // nobody tries before
	size   int
}

// renewal is a refresh that is under way.
type renewal struct {
	done chan struct{}
	rec  *record
	code reason.Code
}

func newLive(limit int) *live {
	return &live{limit: limit, entries: map[string]*list.Element{}, order: list.New()}
}

// entry returns the entry of a session, made if it is not there; mu is held.
func (l *live) entry(id string) *liveEntry {
	if e := l.entries[id]; e != nil {
		l.order.MoveToFront(e)
		return e.Value.(*liveEntry)
	}
	e := &liveEntry{id: id, size: 256}
	l.entries[id] = l.order.PushFront(e)
	l.used += e.size
	return e
}

// put sets the record of an entry and makes room; mu is held.
func (l *live) put(e *liveEntry, rec *record) {
	size := 512 + len(rec.Access) + len(rec.IDToken) + len(rec.Refresh) + len(rec.UserInfo)
	l.used += size - e.size
	e.rec, e.size = rec, size
	for at := l.order.Back(); at != nil && l.used > l.limit; {
		old := at.Value.(*liveEntry)
		at = at.Prev()
		if old != e && old.flight == nil {
			l.remove(old)
		}
	}
}

func (l *live) remove(e *liveEntry) {
	l.order.Remove(l.entries[e.id])
	delete(l.entries, e.id)
	l.used -= e.size
}

// newest returns the newest record of a session that came by a cookie.
func (l *live) newest(sent *record) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[sent.ID]; e != nil {
		if have := e.Value.(*liveEntry); have.rec != nil && have.rec.Generation > sent.Generation {
			l.order.MoveToFront(e)
			return have.rec
		}
	}
	return sent
}

// touch notes that a session's cookies were written anew.
func (l *live) touch(rec *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[rec.ID]; e != nil {
		if have := e.Value.(*liveEntry); have.rec != nil && have.rec.Generation == rec.Generation {
			have.rec = rec
		}
	}
}

// drop forgets a session.
func (l *live) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		l.remove(e.Value.(*liveEntry))
	}
}

// refreshed returns the session with new tokens, waiting for a refresh that is under
// way.
func (s *Service) refreshed(ctx context.Context, in *Instance, p *provider.Provider, rec *record) (*record, reason.Code) {
	f, newer := s.fly(in, p, rec)
	if newer != nil {
		return newer, reason.Unspecified
	}
	if f == nil {
		return nil, reason.IssuerUnavailable
	}
	select {
	case <-f.done:
		return f.rec, f.code
	case <-ctx.Done():
		return nil, reason.IssuerUnavailable
	}
}

// refreshInBackground begins a refresh, if none is under way.
func (s *Service) refreshInBackground(in *Instance, p *provider.Provider, rec *record) {
	s.fly(in, p, rec)
}

// fly begins a refresh of a session or joins the one that is under way. newer is not
// nil when it has been refreshed since; flight is nil when nobody may try yet.
func (s *Service) fly(in *Instance, p *provider.Provider, rec *record) (f *renewal, newer *record) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	e := s.live.entry(rec.ID)
	switch {
	case e.rec != nil && e.rec.Generation > rec.Generation:
		return nil, e.rec
	case e.flight != nil:
		return e.flight, nil
	case s.now().Before(e.pause):
		return nil, nil
	}
	f = &renewal{done: make(chan struct{})}
	e.flight = f
	go s.refresh(in, p, rec, f)
	return f, nil
}

// refresh asks for new tokens (RFC 6749 §6, OIDC Core §12). Nobody sees them before
// they have been judged. Where they cannot be, the refresh token among them is kept
// all the same: the one before it may have been good once.
func (s *Service) refresh(in *Instance, p *provider.Provider, old *record, f *renewal) {
	ctx, cancel := context.WithTimeout(context.Background(), p.Config().Timeout)
	defer cancel()
	s.fault("refresh-before-send")
	metadata := p.Current().Metadata
	t, err := s.tokenRequest(ctx, in, p, &metadata, old.Client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}})
	s.fault("refresh-after-send")
	next := *old
	next.Generation++
	code := reason.Unspecified
	if err != nil {
		code = s.refreshFailed(p, err)
	} else if code = s.take(ctx, in, p, &next, t, s.now()); code == reason.Unspecified {
		code = s.judgeRefreshed(ctx, in, p, old, &next, t)
	}
	ok := code == reason.Unspecified
	if !ok && !code.Ours() {
		// No new tokens: the session has ended, in every browser it was copied to.
		if err := s.revoke(in, old); err != nil {
			code = reason.Internal
		}
	}
	s.live.mu.Lock()
	e := s.live.entry(old.ID)
	e.flight = nil
	switch {
	case ok:
		s.live.put(e, &next)
		f.rec = &next
	case code.Ours():
		e.pause = s.now().Add(refreshPause)
		if err == nil && next.Refresh != old.Refresh {
			unspent := *old
			unspent.Generation, unspent.Refresh = next.Generation, next.Refresh
			s.live.put(e, &unspent)
		}
	default: // it has ended
		s.live.remove(e)
	}
	f.code = code
	s.live.mu.Unlock()
	close(f.done)
}

func (s *Service) refreshFailed(p *provider.Provider, err error) reason.Code {
	s.logger.Warn("a session cannot be refreshed", "issuer", p.Config().Name(), "error", err)
	var r *refusal
	if errors.As(err, &r) && r.code == "invalid_grant" {
		return reason.RefreshRefused
	}
	return reason.IssuerUnavailable // the session stays for when the issuer is back
}

// judgeRefreshed judges the ID token of a refresh, where there is one, and userinfo.
func (s *Service) judgeRefreshed(ctx context.Context, in *Instance, p *provider.Provider, old, next *record, t *tokens) reason.Code {
	if t.id != "" {
		if _, code := s.judge(ctx, in, p, t.id, expectation{
			client: next.ClientID, access: t.access, maxAge: -1, now: s.now().Unix(), subject: old.Subject,
		}); code != reason.Unspecified {
			return code
		}
	}
	if in.UserInfo {
		info, code := s.userInfo(ctx, in, p, &p.Current().Metadata, next.Access, next.Subject)
		switch code {
		case reason.Unspecified:
			next.UserInfo = info
		case reason.SubjectMismatch:
			return code
		}
	}
	return reason.Unspecified
}

// revoke ends a session everywhere.
func (s *Service) revoke(in *Instance, rec *record) error {
	key := sessionKey(rec.ID)
	if err := s.revoked.Revoke(key, s.now(), in.end(rec)); err != nil {
		s.logger.Error("a session cannot be noted as ended", "error", err)
		return err
	}
	s.live.drop(rec.ID)
	s.ended([]string{key})
	return nil
}
