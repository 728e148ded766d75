package policy

import (
	"slices"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// caller is who the caller is, as far as the chain has found out.
type caller struct {
	authenticated bool
	anonymous     bool
	consumer      *bundle.Consumer
	credential    string     // what X-Credential-Identifier says
	groups        []string   // that a claim lists, for acl
	request       []abi.Pair // headers that plugins make of claims and tokens
	response      []abi.Pair // headers for the response that is to come

	// judged: a plugin has accepted a token of the request. token is the one of whatever
	// was accepted instead, by a plugin that takes tokens from the headers reads.
	judged bool
	token  string
	reads  []string
	beside string // the ID token of the request that was judged
}

// chain runs the plugins that are left. A plugin without an anonymous consumer
// has to accept the request (AND); one with it is stepped over when an earlier
// one did, and turns a bad credential into the anonymous consumer (OR). Our own
// trouble is never turned into anonymous access.
func (r *run) chain() *Step {
	for r.next < len(r.route.Chain) {
		p := r.route.Chain[r.next]
		if p.ACL != nil {
			if code := r.acl(p.ACL); code != reason.Allowed {
				return r.deny(code, p)
			}
			r.next++
			continue
		}
		common := p.Common()
		switch {
		case common.SkipPreflight && r.facts.method == "OPTIONS":
		case common.Anonymous != nil && r.who.authenticated:
		default:
			code, question := r.run(p)
			switch {
			case question != nil:
				return r.ask(question)
			case code == reason.Allowed:
				r.authenticated()
			case code.Ours() || common.Anonymous == nil || r.try.response != nil:
				return r.deny(code, p)
			default:
				r.who = caller{anonymous: true, consumer: common.Anonymous}
			}
		}
		r.next++
		r.try = attempt{}
	}
	return r.allow()
}

// authenticated takes over who the plugin has found the caller to be. Nothing of
// an anonymous consumer stays; of an earlier plugin what this one says nothing of.
func (r *run) authenticated() {
	if r.who.anonymous {
		r.who = caller{}
	}
	r.who.authenticated = true
	if r.try.consumer != nil {
		r.who.consumer = r.try.consumer
	}
	if r.try.identifier != "" {
		r.who.credential = r.try.identifier
	}
	if s := r.try.subject; s != nil {
		if groups := groupsOf(s, r.plugin().OIDC.Identity.GroupsClaim); groups != nil {
			r.who.groups = groups
		}
		r.who.take(s, &r.plugin().OIDC.Identity, r.onlyAuthorization())
	}
	if r.try.beside != "" {
		r.who.beside = r.try.beside
	}
	switch p := r.plugin(); {
	case p.JWT != nil, ofTokens(r.try.method):
		r.who.judged = true
	case p.OIDC != nil && r.try.subject != nil && slices.ContainsFunc(p.OIDC.Methods, ofTokens):
		r.who.token, r.who.reads = r.try.subject.token, p.OIDC.HeaderNames
	}
	for _, c := range r.try.setCookies {
		r.who.response = append(r.who.response, abi.Pair{Key: "set-cookie", Value: headerValue(c)})
	}
}

// onlyAuthorization returns the value of the Authorization header unless there are
// several: an upstream may read another of them than we do.
func (r *run) onlyAuthorization() string {
	if r.facts.copies > 1 {
		return ""
	}
	return r.facts.authorization
}

// take makes headers of a subject's claims and tokens. A token that is the
// Authorization header already stays where it is.
func (w *caller) take(s *subject, id *bundle.Identity, authorization string) {
	s.headers(id, authorization, func(name, value string) {
		if value != "" {
			w.request = append(w.request, abi.Pair{Key: name, Value: headerValue(value)})
		}
	}, func(name, value string) {
		if value != "" {
			w.response = append(w.response, abi.Pair{Key: name, Value: headerValue(value)})
		}
	})
}

// cookies returns the cookies that are meant for the response: whoever is refused keeps
// a session that has been renewed.
func (w *caller) cookies() (list []abi.Pair) {
	for _, h := range w.response {
		if h.Key == "set-cookie" {
			list = append(list, h)
		}
	}
	return list
}

// run lets one plugin judge: a code, or a question that has to be answered first.
func (r *run) run(p *bundle.Plugin) (reason.Code, *Question) {
	switch {
	case p.JWT != nil:
		return r.jwt(p)
	case p.KeyAuth != nil:
		return r.keyAuth(p)
	case p.BasicAuth != nil:
		return r.basicAuth(p)
	case p.OIDC != nil:
		return r.oidc(p)
	}
	return reason.Internal, nil
}

// allow lets the request through: identity headers of the caller's making are
// removed, ours are set.
func (r *run) allow() *Step {
	e := r.engine
	set := e.edits[:0]
	add := func(name, value string) {
		if value != "" {
			set = append(set, abi.Pair{Key: name, Value: headerValue(value)})
		}
	}
	code := reason.Unprotected
	switch {
	case r.who.authenticated:
		code = reason.Allowed
		add(identity.Credential, r.who.credential)
	case r.who.anonymous:
		code = reason.AllowedAnonymous
		add(identity.Anonymous, "true")
	case len(r.route.Chain) > 0:
		code = reason.Preflight
	}
	if c := r.who.consumer; c != nil {
		add(identity.ConsumerID, c.ID)
		add(identity.ConsumerCustomID, c.CustomID)
		add(identity.ConsumerUsername, c.Username)
	}
	remove := r.facts.spoofed
	fresh := 0 // identity headers that nobody has sent need not be looked for again
	if len(remove) == 0 {
		fresh = len(set)
	}
	for _, p := range r.route.Chain {
		if p.OIDC != nil {
			named(r.headers, &p.OIDC.Identity, func(name string) { remove = append(remove, name) })
			if len(p.OIDC.Hide) > 0 {
				remove = r.hide(p.OIDC, remove)
			}
		}
	}
	r.unjudged(func(name string) { remove = append(remove, name) })
	r.secretHeaders(func(name string) { remove = append(remove, name) })
	set = append(set, r.who.request...)
	if r.facts.cookie && len(e.own.sessions) > 0 {
		if rest, changed := e.own.withoutOwn(r.headers); changed {
			remove = append(remove, "cookie")
			add("cookie", rest)
		}
	}
	return e.become(Step{Kind: Allow, Reason: code, Edits: Edits{Remove: remove, Set: set, New: fresh, Response: r.who.response}})
}

// hide adds the headers that are to stay here, in each spelling that an upstream may
// read. Of an Authorization header that access tokens are sent in, that is user names and
// passwords.
func (r *run) hide(c *bundle.OIDC, remove []string) []string {
	const authorization = "authorization"
	sent := slices.ContainsFunc(c.Identity.Tokens, func(t bundle.TokenHeader) bool { return !t.Response && t.Header == authorization })
	for h := r.headers.Cursor(); h.Next(); {
		for _, name := range c.Hide {
			if sameHeader(h.Key, name) && (name != authorization || !sent || hasBasic(h.Value)) {
				remove = append(remove, h.Key)
			}
		}
	}
	return remove
}

// ofTokens reports whether a method judges the bearer token of a request.
func ofTokens(m bundle.Method) bool {
	return m == bundle.Bearer || m == bundle.Introspection || m == bundle.UserInfo
}

// unjudged yields the headers with tokens that nobody has looked at, because something
// else came along and was enough: behind a plugin that takes bearer tokens, or ID
// tokens, an upstream believes those that reach it.
func (r *run) unjudged(yield func(name string)) {
	for _, p := range r.route.Chain {
		if p.OIDC == nil || p.OIDC.Inquiry == nil || p.OIDC.Inquiry.IDTokenHeader == "" {
			continue
		}
		name := p.OIDC.Inquiry.IDTokenHeader
		for h := r.headers.Cursor(); h.Next(); {
			if sameHeader(h.Key, name) && (h.Key != name || h.Value != r.who.beside) {
				yield(h.Key)
			}
		}
	}
	if len(r.who.reads) == 0 || r.who.judged {
		return
	}
	for h := r.headers.Cursor(); h.Next(); {
		for _, name := range r.who.reads {
			if h.Key != name {
				continue
			}
			strange := false
			var values headerValues
			values.add(h.Value, func(token string) { strange = strange || token != r.who.token })
			if strange {
				yield(name)
			}
		}
	}
}

// headerValue makes a string safe as a header value: control characters, which
// could end the header, become question marks. check refuses names that hold
// any, so this is a second lock on the same door.
func headerValue(s string) string {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			b := []byte(s)
			for j, c := range b {
				if c < 0x20 || c == 0x7f {
					b[j] = '?'
				}
			}
			return string(b)
		}
	}
	return s
}
