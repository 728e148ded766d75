package policy

import (
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// ErrOlder is why a bundle is not taken over: within one installation the
// generation only grows.
var ErrOlder = errors.New("policy: the bundle is older than the one in use")

// Bundle returns the bundle in use, nil before the first.
func (e *Engine) Bundle() *bundle.Bundle { return e.bundle }

// Place returns where the engine stands: the feed and number of the last change
// taken in, and the ETag of the bundle in use.
func (e *Engine) Place() (feed string, seq uint64, etag string) {
	return e.place.feed, e.place.seq, e.place.etag
}

// SetBundle takes over a bundle, whole.
func (e *Engine) SetBundle(b *bundle.Bundle, etag string, now int64) error {
	if old := e.bundle; old != nil && old.Epoch == b.Epoch && b.Generation < old.Generation {
		return ErrOlder
	}
	if e.bundle != nil && e.bundle.Epoch != b.Epoch {
		e.forget()
	}
	e.bundle = b
	e.own = namesOf(b)
	e.place.etag = etag
	e.Contact(now)
	return nil
}

// Contact notes a sign of life of the sidecar.
func (e *Engine) Contact(now int64) { e.contact = now }

// Apply takes in changes: credentials that were added, changed or removed are
// forgotten, and everything is when changes are missing.
func (e *Engine) Apply(c wire.Changes) {
	if c.Feed != e.place.feed || c.Reset || c.Seq < e.place.seq {
		e.forget()
	} else {
		for _, key := range c.Credentials {
			e.credentials.drop(key)
			e.credentials.drop(base64Mark + key)
			e.unknown.drop(key)
		}
		e.secrets.forget(c.Credentials)
		e.dropConsumers(c.Consumers)
		e.dropSessions(c.Revoked)
	}
	e.place.feed, e.place.seq = c.Feed, c.Seq
}

// forget drops credentials. What is remembered of tokens stays: it names the
// keys it rests on by their content.
func (e *Engine) forget() {
	e.credentials.clear()
	e.unknown.clear()
	e.consumers.clear()
	e.secrets.clear()
	e.sessions.clear()
	e.inquiries.clear()
	e.refusals.clear()
}

// dropConsumers forgets what is known of the consumers with these names and ids,
// whichever of them was asked for, and the credentials that are theirs: they bring the
// consumer along.
func (e *Engine) dropConsumers(values []string) {
	if len(values) == 0 {
		return
	}
	changed := make(map[string]bool, len(values))
	for _, v := range values {
		changed[v] = true
	}
	of := func(c *bundle.Consumer) bool { return c != nil && changed[c.ID] }
	for key, entry := range e.consumers.entries {
		by, value, _ := strings.Cut(key, "\x00")
		// Of names in any case nobody knows how they were written when they were asked for.
		if changed[value] || of(entry.value) || strings.Contains(by, bundle.UsernameAnyCase) {
			e.consumers.drop(key)
		}
	}
	for key, entry := range e.credentials.entries {
		if of(entry.value.Consumer) {
			e.credentials.drop(key)
		}
	}
	for at, entry := range e.secrets.good.entries {
		if of(entry.value.credential.Consumer) {
			e.secrets.good.drop(at)
		}
	}
}

// dropSessions forgets the sessions that one of the keys belongs to.
func (e *Engine) dropSessions(keys []string) {
	if len(keys) == 0 {
		return
	}
	ended := make(map[string]bool, len(keys))
	for _, k := range keys {
		ended[k] = true
	}
	for at, entry := range e.sessions.entries {
		for _, k := range entry.value.wire.Keys {
			if ended[k] {
				e.sessions.drop(at)
				break
			}
		}
	}
	for at, entry := range e.inquiries.entries {
		for _, k := range entry.value.session.wire.Keys {
			if ended[k] {
				e.inquiries.drop(at)
				break
			}
		}
	}
}

// learn keeps what an answer says for later requests, unless changes that the
// sidecar did not know of when it answered have been taken in since.
func (e *Engine) learn(p *bundle.Plugin, asked *Question, answer *wire.Answer, now int64) {
	if answer.Feed != e.place.feed || answer.Seq < e.place.seq {
		return
	}
	if asked.presented != "" {
		e.secrets.learn(asked.Kind, asked.presented, answer, now)
		return
	}
	if c := answer.Credential; c != nil {
		if key := asked.Key + asked.Credential; c.Key == key { // one of the two is set
			size := 512 + len(key) + c.Consumer.Size()
			for _, k := range c.Keys {
				size += len(k.DER) + 64
			}
			e.credentials.put(strings.Clone(credentialKey(p, key)), c, now+credentialLifetime, size)
			e.unknown.drop(key)
		}
	}
	if asked.Kind == wire.Lookup && answer.Code == reason.CredentialUnknown {
		e.unknown.put(strings.Clone(asked.Key), struct{}{}, now+unknownLifetime, len(asked.Key))
	}
	switch asked.Kind {
	case wire.Consumer:
		if answer.Code == reason.Unspecified && answer.Consumer != nil || answer.Code == reason.ConsumerMissing {
			key, life := consumerKey(asked.By, asked.Value), int64(credentialLifetime)
			if answer.Consumer == nil {
				life = unknownLifetime
			}
			e.consumers.put(strings.Clone(key), answer.Consumer, now+life, 128+len(key)+answer.Consumer.Size())
		}
	case wire.Open:
		e.learnSession(asked, answer, now)
	case wire.Inquire:
		e.learnInquiry(asked, answer, now)
	}
	if t := answer.Trust; t != nil && asked.Kind == wire.Keys && t.ID == asked.Trust && e.bundle != nil {
		e.replaceTrust(t)
	}
}

// replaceTrust puts a newer trust record in the place of the bundle's. The
// bundle that follows has it too.
func (e *Engine) replaceTrust(t *bundle.Trust) {
	for i, old := range e.bundle.Trust {
		if old.ID == t.ID {
			e.bundle.Trust[i] = t
		}
	}
	for _, p := range e.bundle.Plugins {
		if p.OIDC != nil && p.OIDC.TrustID == t.ID {
			p.OIDC.Trust = t
		}
	}
}

// learnSession remembers a session until the sidecar wants to be asked again. What
// the answer sets as cookies is for those who asked, and never replayed.
func (e *Engine) learnSession(asked *Question, answer *wire.Answer, now int64) {
	if answer.Session == nil || answer.Session.ID == "" || answer.Code != reason.Unspecified || len(asked.Request.Cookies) == 0 {
		return
	}
	kept := *answer.Session
	kept.SetCookies = nil
	key := string(sessionKey(nil, asked.Instance, asked.Request.Scheme, asked.Request.Cookies))
	s := readSession(key, &kept)
	if s == nil || kept.Until <= now {
		return
	}
	e.sessions.put(fingerprint(asked.Request.Cookies[0].Value), s, min(kept.Until, now+sessionLifetime), s.size())
}
