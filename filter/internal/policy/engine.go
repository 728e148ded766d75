package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Verifier checks a signature with a public key, as the proxy's
// verify_signature does.
type Verifier interface {
	// Verify returns Valid or Invalid for an algorithm that is Native, and
	// Unjudged when it could not find out; the sidecar is asked then. der is a
	// SubjectPublicKeyInfo; signature has passed jose.CheckSignature.
	Verify(alg jose.Alg, der, input, signature string) wire.Verdict
}

// Config holds the bounds. Zero fields take the defaults of the comments.
type Config struct {
	CredentialGrace int64 // seconds that credentials are used without contact to the sidecar (60)
	KeyGrace        int64 // seconds that issuers' public keys are (24 h)
	CacheBytes      int   // for verdicts, as much for sessions; a quarter of it for credentials, and for API keys and passwords (8 MiB)
}

func (c Config) withDefaults() Config {
	if c.CredentialGrace == 0 {
		c.CredentialGrace = 60
	}
	if c.KeyGrace == 0 {
		c.KeyGrace = 24 * 3600
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 8 << 20
	}
	return c
}

// Lifetimes in the caches, in seconds.
const (
	verdictLifetime    = 300 // and never past exp
	credentialLifetime = 300 // should a change ever be missed
	unknownLifetime    = 60
	sessionLifetime    = 300 // and never past what the sidecar says
)

// Engine is the machine with what it knows: bundle and caches. It serves one
// VM and is not safe for concurrent use.
type Engine struct {
	verifier Verifier
	config   Config

	bundle *bundle.Bundle
	// place is how much of the sidecar's changes is taken in.
	place struct {
		feed string
		seq  uint64
		etag string
	}
	contact int64 // Unix seconds of the sidecar's last sign of life

	tokens      *cache[uint64, *known] // by fingerprint
	credentials *cache[string, *bundle.Credential]
	unknown     *cache[string, struct{}] // keys that no credential has
	sessions    *cache[uint64, *session]
	consumers   *cache[string, *bundle.Consumer] // nil for a value that no consumer has
	inquiries   *cache[uint64, *judged]          // by the hash of their keys
	refusals    *cache[uint64, *judged]          // the same, of those that were refused
	secrets     secrets                          // API keys and passwords
	own         ownNames                         // cookies of ours
	key         []byte                           // scratch: what a session is looked for by
	serial      uint64                           // of questions that nobody shares

	parser  jose.Parser
	fresh   known // the token that is being judged, where it is not remembered
	lent    bool  // the parser's memory belongs to the request that is being judged
	seen    sightings
	bearer  subject // of the token that is being judged
	scratch run     // of the request that is being judged
	step    Step
	edits   [6]abi.Pair
}

// New returns an engine without a bundle: it denies everything with
// BundleMissing.
func New(verifier Verifier, config Config) *Engine {
	config = config.withDefaults()
	return &Engine{
		verifier:    verifier,
		config:      config,
		tokens:      newCache[uint64, *known](config.CacheBytes),
		credentials: newCache[string, *bundle.Credential](config.CacheBytes / 4),
		unknown:     newCache[string, struct{}](config.CacheBytes / 16),
		sessions:    newCache[uint64, *session](config.CacheBytes),
		inquiries:   newCache[uint64, *judged](config.CacheBytes / 2),
		refusals:    newCache[uint64, *judged](config.CacheBytes / 16),
		consumers:   newCache[string, *bundle.Consumer](config.CacheBytes / 8),
		secrets:     newSecrets(config.CacheBytes / 4),
	}
}

// run is the judgement of one request. It holds everything that has to survive
// a question.
type run struct {
	engine  *Engine
	bundle  *bundle.Bundle // the generation it began with
	now     int64
	headers abi.Pairs
	facts   facts
	route   *bundle.Route
	next    int // index in the chain
	who     caller
	try     attempt
}

// Start judges a request. The step is valid until the engine's next call.
func (e *Engine) Start(req *Request) *Step {
	r := &e.scratch
	r.engine, r.bundle, r.route, r.now, r.headers, r.next = e, e.bundle, nil, req.Now, req.Headers, 0
	r.facts, r.who, r.try = facts{}, caller{}, attempt{}
	e.lent = false
	if code := r.choose(req); code != reason.Unspecified {
		return r.deny(code, nil)
	}
	return r.chain()
}

// choose finds the route's chain, or why there is none (D2).
func (r *run) choose(req *Request) reason.Code {
	if !r.facts.read(req.Headers) {
		return reason.HostFailure
	}
	switch req.RouteState {
	case RouteNone:
		return reason.RouteNotFound
	case RouteChosen:
	default:
		return reason.HostFailure
	}
	if !r.facts.wellFormed() {
		return reason.RequestMalformed
	}
	if req.Route == "" {
		return reason.RouteUnnamed
	}
	if r.bundle == nil {
		return reason.BundleMissing
	}
	r.route = r.bundle.Routes[req.Route]
	switch {
	case r.route == nil:
		return reason.RouteStale
	case r.route.Broken != "":
		return reason.ChainBroken
	case r.route.RequireHTTPS != 0:
		return reason.HTTPSRequired
	case r.route.GRPC && !r.facts.grpc:
		return reason.ProtocolMismatch
	}
	return reason.Unspecified
}

// Failure is why no answer came.
type Failure = reason.Code

// Resume goes on with a request whose question was answered. failure is
// reason.Unspecified when answer is the sidecar's, else why there is none;
// asked is the question that was answered, which may be another request's with
// the same Identity.
func (e *Engine) Resume(p *Pending, asked *Question, answer wire.Answer, failure Failure, now int64) *Step {
	if p == nil || p.run.engine != e || asked == nil || asked.Identity != p.question.Identity {
		return e.become(Step{Reason: reason.Internal})
	}
	r := &e.scratch
	*r = p.run
	p.run = run{} // used once: a second Resume finds another engine
	e.lent = false
	r.now = now
	if failure != reason.Unspecified && asked.Kind != wire.Establish {
		return r.deny(failure, r.plugin())
	}
	if failure == reason.Unspecified {
		e.learn(r.plugin(), asked, &answer, now)
		r.take(asked, &answer)
	}
	return r.chain()
}

// keep leaves the request that is being judged the memory of its token.
func (e *Engine) keep() {
	if e.lent {
		e.parser.Keep()
		e.lent = false
	}
}

// become sets the engine's one step.
func (e *Engine) become(s Step) *Step {
	e.step = s
	return &e.step
}

// plugin returns the plugin whose turn it is.
func (r *run) plugin() *bundle.Plugin { return r.route.Chain[r.next] }

// askedBit is the bit of a question in attempt.asked.
func askedBit(q *Question) uint32 {
	if q.Kind == wire.Inquire {
		return 1 << 16 << bundle.ParseMethod(q.Method)
	}
	return 1 << q.Kind
}

// ask returns the step that asks q. In one attempt a kind is asked once: whoever
// wants to ask again has an answer that does not say what it should.
func (r *run) ask(q *Question) *Step {
	bit := askedBit(q)
	if r.try.asked&bit != 0 {
		code := r.try.failed
		if code == reason.Unspecified {
			code = reason.SidecarAnswer
		}
		return r.deny(code, r.plugin())
	}
	r.try.asked |= bit
	p := &Pending{run: *r, question: q}
	p.run.headers = abi.Pairs(strings.Clone(string(r.headers))) // the caller's are scratch
	if s := r.try.subject; s != nil {
		own := *s // the engine's is used again
		p.run.try.subject = &own
	}
	if k := r.try.known; k == &r.engine.fresh {
		own := *k
		p.run.try.known = &own
	}
	r.engine.keep()
	p.run.facts = facts{}
	p.run.facts.read(p.run.headers)
	return r.engine.become(Step{Kind: Ask, Question: q, Pending: p, RequestID: p.run.facts.id})
}
