package login

import (
	"container/list"
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
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
	came   *arrival
	flight *renewal
	pause  time.Time // nobody tries before
	size   int
}

// arrival are tokens of a refresh that nobody has judged yet. They count for nothing,
// but the refresh token among them may be the only one that is still good.
type arrival struct {
	tokens *endpoint.Tokens
	at     time.Time
	after  int64 // the generation that they renew
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
	e := &liveEntry{id: id}
	l.entries[id] = l.order.PushFront(e)
	l.weigh(e)
	return e
}

// weigh notes the size of an entry that has changed and makes room; mu is held.
func (l *live) weigh(e *liveEntry) {
	size := 512
	if r := e.rec; r != nil {
		size += len(r.Access) + len(r.IDToken) + len(r.Refresh) + len(r.UserInfo)
	}
	if c := e.came; c != nil {
		size += len(c.tokens.Access) + len(c.tokens.ID) + len(c.tokens.Refresh)
	}
	l.used += size - e.size
	e.size = size
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

// keep notes tokens that came by a refresh.
func (l *live) keep(id string, came *arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(id)
	e.came = came
	l.weigh(e)
}

// land ends a flight: with a record that holds, or until a time for the next one, or
// with a session that is no more.
func (l *live) land(id string, f *renewal, rec *record, code reason.Code, pause time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.rec, f.code = rec, code
	e := l.entry(id)
	e.flight = nil
	switch {
	case code == reason.Unspecified:
		e.rec, e.came = rec, nil
		l.weigh(e)
	case code.Ours():
		e.pause = pause
	default:
		l.remove(e)
	}
	close(f.done)
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
		have := e.Value.(*liveEntry)
		if have.flight != nil { // which nobody may begin a second time
			have.rec, have.came = nil, nil
			l.weigh(have)
			return
		}
		l.remove(have)
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
	came := e.came
	if came != nil && came.after != rec.Generation {
		came = nil
	}
	go s.refresh(in, p, rec, came, f)
	return f, nil
}

// refresh asks for new tokens (RFC 6749 §6, OIDC Core §12), unless some have come that
// could not be judged. They are kept before they are judged: a token that is good once
// has been used, and must not be lost because the issuer's keys are away. Nobody gets
// to see them before they have been judged.
func (s *Service) refresh(in *Instance, p *provider.Provider, old *record, came *arrival, f *renewal) {
	ctx, cancel := context.WithTimeout(context.Background(), p.Config().Timeout)
	defer cancel()
	code := reason.Unspecified
	if came == nil {
		s.fault("refresh-before-send")
		metadata := p.Current().Metadata
		t, err := s.tokenRequest(ctx, in, p, &metadata, old.Client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}})
		s.fault("refresh-after-send")
		if err != nil {
			code = s.refreshFailed(p, err)
		} else {
			came = &arrival{t, s.now(), old.Generation}
			s.live.keep(old.ID, came)
		}
	}
	var next *record
	if came != nil {
		copied := *old
		next = &copied
		next.Generation++
		code = s.judgeRefreshed(ctx, in, p, old, next, came)
	}
	if code == reason.Unspecified && s.isRevoked(next) {
		code = reason.SessionRevoked // logged out meanwhile
	}
	if code != reason.Unspecified {
		next = nil
	}
	if code != reason.Unspecified && !code.Ours() {
		// No new tokens: the session has ended, in every browser it was copied to.
		s.logger.Info("a session ends at its refresh", "issuer", p.Config().Name(), "reason", code.Error())
		if err := s.revoke(old); err != nil {
			code = reason.Internal
		}
	}
	s.live.land(old.ID, f, next, code, s.now().Add(refreshPause))
}

func (s *Service) refreshFailed(p *provider.Provider, err error) reason.Code {
	s.logger.Warn("a session cannot be refreshed", "issuer", p.Config().Name(), "error", err)
	var r *endpoint.Refusal
	if errors.As(err, &r) && r.Code == "invalid_grant" {
		return reason.RefreshRefused
	}
	return reason.IssuerUnavailable // the session stays for when the issuer is back
}

// judgeRefreshed judges what a refresh has brought and puts it into a record: the ID
// token, where there is one, has to be of the same person and issuer (OIDC Core §12.2),
// and so have an access token that can be read, and userinfo.
func (s *Service) judgeRefreshed(ctx context.Context, in *Instance, p *provider.Provider, old, next *record, came *arrival) reason.Code {
	t := came.tokens
	if code := s.take(ctx, in, p, next, t, came.at); code != reason.Unspecified {
		return code
	}
	if t.ID != "" {
		tok, code := in.rules().Judge(ctx, p, t.ID, endpoint.Expectation{
			Clients: []string{next.ClientID}, Access: t.Access, MaxAge: -1, Now: s.now().Unix(), Subject: old.Subject,
		})
		if code != reason.Unspecified {
			return code
		}
		if claimText(tok, "iss") != old.Issuer {
			return reason.IssuerUnknown
		}
	}
	if next.speaksOf() != old.speaksOf() {
		return reason.SubjectMismatch
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

// speaksOf returns the subject by whose name the session goes: that of the access token
// where it can be read, which need not be that of the ID token (OIDC Core §8).
func (rec *record) speaksOf() string {
	if !rec.Opaque {
		if tok, code := jose.Parse(rec.Access); code == reason.Unspecified {
			if sub := claimText(tok, "sub"); sub != "" {
				return sub
			}
		}
	}
	return rec.Subject
}

// revoke ends a session everywhere.
func (s *Service) revoke(rec *record) error {
	key := sessionKey(rec.ID)
	if err := s.revoked.Revoke(key, s.now(), rec.last()); err != nil {
		s.logger.Error("a session cannot be noted as ended", "error", err)
		return err
	}
	s.live.drop(rec.ID)
	s.ended([]string{key})
	return nil
}
