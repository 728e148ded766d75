package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// secret is an API key, or a user name with its password, as a request has it, and what
// the sidecar said of it: a credential, or a code.
type secret struct {
	kind       wire.Kind
	text       string
	credential *bundle.Credential
	code       reason.Code
}

// secretSize is roughly what a remembered secret takes beside its text.
const secretSize = 512

// secrets remembers them by fingerprint. Those that hold and those that do not are kept
// apart, so that no flood of wrong ones drives out a good one.
type secrets struct{ good, bad *cache[uint64, *secret] }

func newSecrets(limit int) secrets {
	return secrets{newCache[uint64, *secret](limit), newCache[uint64, *secret](limit / 4)}
}

// find returns what is remembered of a secret, nil for nothing. Fingerprints may be
// equal; texts are compared whole.
func (s *secrets) find(kind wire.Kind, text string, now int64) *secret {
	at := print64(kind, text)
	for _, c := range [...]*cache[uint64, *secret]{s.good, s.bad} {
		if hit := c.get(at, now); hit != nil && hit.value.kind == kind && jose.Same(hit.value.text, text) {
			return hit.value
		}
	}
	return nil
}

// learn keeps an answer: a credential as long as it may be used without asking again,
// a refusal for as long as one of a new credential may take to be noticed otherwise.
func (s *secrets) learn(kind wire.Kind, text string, answer *wire.Answer, now int64) {
	at := print64(kind, text)
	found := &secret{kind: kind, text: strings.Clone(text), credential: answer.Credential, code: answer.Code}
	switch c := answer.Credential; {
	case c == nil && (answer.Code == reason.CredentialUnknown || answer.Code == reason.PasswordWrong):
		s.good.drop(at)
		s.bad.put(at, found, now+unknownLifetime, secretSize/2+len(text))
	case c == nil || answer.Code != reason.Unspecified:
	case c.Expires != 0 && c.Expires <= now:
		found.credential, found.code = nil, reason.CredentialExpired
		s.good.drop(at)
		s.bad.put(at, found, now+unknownLifetime, secretSize/2+len(text))
	default:
		until := now + credentialLifetime
		if c.Expires != 0 {
			until = min(until, c.Expires)
		}
		s.bad.drop(at)
		s.good.put(at, found, until, secretSize+len(text)+c.Consumer.Size())
	}
}

// forget drops what rests on the credentials with these ids, by kind, and all refusals:
// a credential that is new may be one of them.
func (s *secrets) forget(changed []string) {
	ids := map[string]bool{}
	for _, name := range changed {
		if strings.HasPrefix(name, bundle.KeyPrefix) || strings.HasPrefix(name, bundle.BasicPrefix) {
			ids[name] = true
		}
	}
	if len(ids) == 0 {
		return
	}
	for at, e := range s.good.entries {
		prefix := bundle.KeyPrefix
		if e.value.kind == wire.Password {
			prefix = bundle.BasicPrefix
		}
		if ids[prefix+e.value.credential.ID] {
			s.good.drop(at)
		}
	}
	s.bad.clear()
}

func (s *secrets) clear() {
	s.good.clear()
	s.bad.clear()
}

// print64 is what a secret is looked for by (FNV-1a).
func print64(kind wire.Kind, text string) uint64 {
	f := uint64(14695981039346656037) ^ uint64(kind)
	for i := range len(text) {
		f = (f ^ uint64(text[i])) * 1099511628211
	}
	return f
}

// presented returns the credential behind a secret: remembered, from the answer to this
// request's own question, or not yet. text is the secret as it was sent; fill puts it
// into a question that has it as presented. What is returned holds at this moment and has a consumer.
func (r *run) presented(p *bundle.Plugin, kind wire.Kind, text string, fill func(*Question)) (*bundle.Credential, reason.Code, *Question) {
	e := r.engine
	if r.now-e.contact > e.config.CredentialGrace {
		return nil, reason.SidecarUnreachable, nil
	}
	cred := r.try.credential
	if cred == nil {
		if hit := e.secrets.find(kind, text, r.now); hit != nil {
			if hit.credential == nil {
				return nil, hit.code, nil
			}
			cred = hit.credential
		}
	}
	if cred == nil {
		if r.try.asked&(1<<kind) != 0 {
			if r.try.failed == reason.Unspecified {
				return nil, reason.SidecarAnswer, nil // neither found nor not found
			}
			return nil, r.try.failed, nil
		}
		q := &Question{Question: wire.Question{Kind: kind, Instance: p.ID, Generation: r.bundle.Generation}}
		q.presented = strings.Clone(text) // the request's memory is scratch
		fill(q)
		q.Identity = identify(q)
		return nil, reason.Unspecified, q
	}
	switch {
	case cred.Expires != 0 && cred.Expires <= r.now:
		return nil, reason.CredentialExpired, nil
	case cred.Consumer == nil:
		return nil, reason.ConsumerUnknown, nil
	}
	return cred, reason.Unspecified, nil
}
