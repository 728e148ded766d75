package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// known is what is known of a token, and remembered once its signature held: how
// it reads, and under which keys it holds. It says nothing of time, issuer or
// anybody's right to pass; those are judged at every request.
type known struct {
	token  *jose.Token
	claims claims.Set
	proofs [maxProofs]string // hashes of trust records, versions of credentials
	proved int               // how many there are
	// established is until when no session is asked for in the token's name, by the
	// instance that did last.
	established   int64
	establishedBy string
}

// knownSize is roughly what a known token takes beside its texts.
const knownSize = 256

// maxProofs bounds under how many keys one token is remembered.
const maxProofs = 4

func (k *known) proves(id string) bool {
	for _, p := range k.proofs[:k.proved] {
		if p == id {
			return true
		}
	}
	return false
}

// verdictOf is the sidecar's judgement of this request's token under one set of
// keys.
type verdictOf struct {
	by      string // the trust record or credential, as in keySet.name
	verdict wire.Verdict
}

// keySet is what a signature may hold under.
type keySet struct {
	name       string // of the trust record or the credential
	credential bool   // which of the two it is
	id         string // hash or version: changes with the keys
	keys       []bundle.Key
	remote     bool // an unknown kid is worth a question
}

// maxCandidates bounds how many keys are tried where a token names none.
const maxCandidates = 4

// prove establishes that the token's signature holds: remembered, by the
// proxy's verify_signature, or by the sidecar. The code is reason.Allowed when
// it does.
func (r *run) prove(p *bundle.Plugin, set *keySet) (reason.Code, *Question) {
	tok := r.try.known.token
	if r.try.known.proves(set.id) {
		return reason.Allowed, nil
	}
	if code := jose.CheckSignature(tok.Alg, tok.Signature()); code != reason.Unspecified {
		return code, nil
	}
	if r.try.verdict.by == set.name {
		switch r.try.verdict.verdict {
		case wire.Valid:
			r.remember(set.id)
			return reason.Allowed, nil
		case wire.Invalid:
			return reason.SignatureInvalid, nil
		}
	}
	if tok.Alg.Family() == jose.HMAC {
		return reason.Unspecified, r.question(p, wire.Verify, set)
	}
	candidates, code := candidates(set.keys, tok)
	if code != reason.Unspecified {
		if code != reason.KeyUnknown || !set.remote {
			return code, nil
		}
		if r.try.asked&(1<<wire.Keys) == 0 {
			return reason.Unspecified, r.question(p, wire.Keys, set)
		}
		if r.try.failed != reason.Unspecified {
			return r.try.failed, nil // what the sidecar said about the kid
		}
		return code, nil
	}
	for _, key := range candidates {
		verdict := wire.Unjudged
		if tok.Alg.Native() && key.DER != "" {
			verdict = r.engine.verifier.Verify(tok.Alg, key.DER, tok.SigningInput, tok.Signature())
		}
		switch verdict {
		case wire.Valid:
			r.remember(set.id)
			return reason.Allowed, nil
		case wire.Invalid:
		default:
			return reason.Unspecified, r.question(p, wire.Verify, set)
		}
	}
	return reason.SignatureInvalid, nil
}

// candidates returns the keys that the token may be signed with: those with its
// kid, else those without any. A kid that is there but for another algorithm, or
// unusable, has its own code.
func candidates(keys []bundle.Key, tok *jose.Token) ([]*bundle.Key, reason.Code) {
	var found []*bundle.Key
	code := reason.KeyUnknown
	collect := func(id string) {
		for i := range keys {
			k := &keys[i]
			switch {
			case tok.KeyID != "" && k.ID != id:
			case k.Unusable != "":
				code = reason.CredentialUnusable
			case !k.Allows(tok.Alg):
				if code == reason.KeyUnknown {
					code = reason.AlgorithmMismatch
				}
			case len(found) < maxCandidates:
				found = append(found, k)
			}
		}
	}
	collect(tok.KeyID)
	if tok.KeyID != "" && code == reason.KeyUnknown && len(found) == 0 {
		collect("")
	}
	if len(found) > 0 {
		return found, reason.Unspecified
	}
	return nil, code
}

// question puts a question about a key set together.
func (r *run) question(p *bundle.Plugin, kind wire.Kind, set *keySet) *Question {
	tok := r.try.known.token
	q := &Question{Question: wire.Question{
		Kind: kind, Instance: p.ID, Generation: r.bundle.Generation,
		KeyID: tok.KeyID, Alg: tok.Alg,
	}}
	if set.credential {
		q.Credential = set.name
	} else {
		q.Trust = set.name
	}
	if kind == wire.Verify {
		q.Input, q.Signature = tok.SigningInput, tok.Signature()
	}
	q.Identity = identify(q)
	return q
}

// identify names a question. The parts are what the answer depends on; the
// token that comes along with a Lookup is not among them, so that requests of
// one consumer with different tokens wait for one answer.
func identify(q *Question) string {
	parts := []string{q.Kind.String(), q.Instance, q.Key, q.Trust, q.Credential}
	if q.Kind == wire.Keys {
		parts = append(parts, q.KeyID)
	}
	if q.Kind == wire.Verify {
		parts = append(parts, q.Input, q.Signature)
	}
	if q.presented != "" {
		parts = append(parts, q.presented)
	}
	return strings.Join(parts, "\x00")
}

// take draws from an answer what this request needs. Another request may have
// asked the same question with another token: its verdict is not ours.
func (r *run) take(asked *Question, answer *wire.Answer) {
	r.try.failed = answer.Code
	switch asked.Kind {
	case wire.Lookup:
		r.try.credential = answer.Credential
	case wire.APIKey, wire.Password:
		if answer.Code == reason.Unspecified {
			r.try.credential = answer.Credential
		}
	case wire.Keys:
		r.try.trust = answer.Trust
		if answer.Credential != nil {
			r.try.credential = answer.Credential
		}
	case wire.Consumer:
		r.try.consumer = answer.Consumer
	case wire.Establish:
		r.try.setCookies = answer.SetCookies
		return
	case wire.Open:
		r.takeSession(asked, answer)
		return
	case wire.Inquire:
		r.takeInquiry(asked, answer)
		return
	case wire.Begin, wire.Callback, wire.Logout:
		r.respond(answer)
		return
	}
	if answer.Verdict == wire.Unjudged || r.try.known == nil {
		return
	}
	tok := r.try.known.token
	if asked.Input != tok.SigningInput || asked.Signature != tok.Signature() {
		return
	}
	switch {
	case asked.Kind == wire.Lookup:
		r.try.verdict = verdictOf{asked.Key, answer.Verdict}
	case asked.Kind == wire.Verify && asked.Credential != "":
		r.try.verdict = verdictOf{asked.Credential, answer.Verdict}
	case asked.Kind == wire.Verify:
		r.try.verdict = verdictOf{asked.Trust, answer.Verdict}
	}
}

// sightings are fingerprints of tokens that came lately and are not remembered yet.
// A token that the proxy can verify is remembered when it comes a second time: those
// that come once, of a flood or of clients that fetch one for each request, cost no
// memory and drive out nothing.
type sightings [1 << 15]uint64

// again reports whether the fingerprint was among them, and makes it so.
func (s *sightings) again(print uint64) bool {
	at := &s[(print^print>>17^print>>34)%uint64(len(s))]
	if *at == print {
		return true
	}
	*at = print
	return false
}

// remember keeps the token with the proof that it holds.
func (r *run) remember(id string) {
	k := r.try.known
	if k.proved == maxProofs {
		return
	}
	k.proofs[k.proved] = id
	if k.proved++; k.proved > 1 {
		return // it is in the cache
	}
	if k == &r.engine.fresh && !r.engine.seen.again(fingerprint(k.token.Raw)) {
		return
	}
	r.keepToken(tokenIdle)
}

// tokenIdle is for how many seconds nobody has to have come with a token for another one
// to take its place.
const tokenIdle = 30

// keepToken puts the token that is being judged into the cache, as long as it lives, if
// there is room for it beside those that have been used within the last idle seconds.
func (r *run) keepToken(idle int64) {
	k := r.try.known
	tok := k.token
	size := len(tok.Raw) + tok.Header.Doc.Size() + tok.Claims.Size() + knownSize
	if !r.engine.tokens.room(size, r.now-idle) {
		return
	}
	until := r.now + verdictLifetime
	if exp, ok := k.claims.ExpiresAt(); ok && exp < until {
		until = exp
	}
	if until <= r.now {
		return
	}
	kept := *k
	kept.token = k.token.Clone()
	kept.claims = claims.Read(kept.token.Claims.Root())
	r.try.known = &kept
	r.engine.tokens.put(fingerprint(kept.token.Raw), &kept, until, size)
	if e := r.engine.tokens.newest; e != nil {
		e.used = r.now
	}
}
