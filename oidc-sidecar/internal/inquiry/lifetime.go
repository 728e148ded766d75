package inquiry

import (
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// ends is the end of an answer as the answer itself has it.
type ends struct {
	at    int64 // Unix seconds
	known bool
}

// sooner takes another end into account.
func (e *ends) sooner(at int64) {
	if !e.known || at < e.at {
		e.at, e.known = at, true
	}
}

// caches reports whether answers of a method are remembered.
func caches(i *declarative.Inquiry, m bundle.Method) bool {
	switch m {
	case bundle.Introspection:
		return i.CacheIntrospection
	case bundle.UserInfo:
		return i.CacheUserInfo
	case bundle.IDToken:
		return true // what is judged here costs nobody anything
	}
	return i.CacheTokens
}

// until is until when an answer may be remembered, 0 for not at all. Nothing makes it
// later than what the answer says, and an answer that has ended is not remembered.
func until(i *declarative.Inquiry, m bundle.Method, e ends, now int64) int64 {
	if !caches(i, m) || e.known && e.at <= now {
		return 0
	}
	life := i.CacheTTL
	if e.known {
		life = e.at - now
	}
	if i.CacheMax > 0 {
		life = min(life, i.CacheMax)
	}
	life = max(life, i.CacheMin)
	if e.known {
		life = min(life, e.at-now)
	}
	if life <= 0 {
		return 0
	}
	return now + life
}

// refused is a refusal. Those that are our trouble, and those that time or the issuer's
// next key may turn, are asked for anew.
func (s *Service) refused(q *question, code reason.Code) result {
	r := result{code: code}
	switch {
	case code.Ours(), code == reason.KeyUnknown, code == reason.TokenNotYetValid:
	case caches(q.inquiry(), q.method) && q.inquiry().CacheNegative > 0:
		r.until = s.now().Unix() + q.inquiry().CacheNegative
	}
	return r
}

// noEndpoint is how long, in seconds, it is remembered that an issuer has no endpoint
// for a method.
const noEndpoint = 60
