package explain

import (
	"strings"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// Ask puts a question to the sidecar, in the encoding of the wire. It returns the body
// of the answer, or why there is none.
type Ask func(question []byte) (answer string, failure reason.Code)

// Run explains what becomes of a request under a declarative file and the bundle that
// a sidecar has made of it. The sidecar is asked what the filter would ask it, each
// question once, and does what it would do for the request: a callback redeems its
// code, a logout ends the session. An error says that the request cannot be sent.
func Run(f *declarative.File, encoded string, r Request, ask Ask) (*Trace, error) {
	a, err := arrive(r)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Decode(encoded)
	if err != nil {
		return nil, err
	}
	s := &secrets{}
	s.request(a)
	entry, route := choose(f, a)
	t := &Trace{Request: a.line(), Route: route, Chain: []Plugin{}}
	t.Request.URL = s.hide(t.Request.URL)
	if !a.readable { // the proxy's own answer
		t.Decision = Decision{Outcome: Refused, Status: 400, Reason: reason.RequestMalformed.Error()}
		t.Response = &Response{Status: 400, Headers: []Header{}}
		return t, nil
	}
	d := &driver{bundle: encoded, request: a.shown(entry), ask: ask, port: a.port, answers: map[string]reply{}, secrets: s}
	for _, p := range b.Plugins {
		for _, place := range policy.Places(d.request.Headers, p) {
			s.add(place.Token, policy.PasswordOf(place.Token))
		}
	}
	end, err := d.run(nil, true)
	if err != nil {
		return nil, err
	}
	if t.Chain, err = d.chain(b, end); err != nil {
		return nil, err
	}
	if b.Source == f.Source {
		lines(f, d.request.Route, t.Chain)
	}
	if end.step.Reason == reason.ContractMissing && end.step.Plugin == "" {
		t.Chain = append(t.Chain, absent())
	}
	t.Route.Why = firstOf(t.Route.Why, unrun[end.step.Reason])
	t.decide(end.step, entry, a, s)
	t.hide(s)
	return t, nil
}

// Unanswered reports whether the request was refused because nobody answered a question:
// what becomes of it elsewhere cannot be said.
func (t *Trace) Unanswered() bool { return t.Decision.Reason == reason.SidecarUnreachable.Error() }

// unrun says why a chain did not run, for the reasons that come before it.
var unrun = map[reason.Code]string{
	reason.RequestMalformed: "the request can be read in more than one way",
	reason.RouteStale:       "the sidecar's file has no such route: does it read another file?",
	reason.ChainBroken:      "the plugins of the route could not be compiled",
	reason.HTTPSRequired:    "the route takes https only",
	reason.ProtocolMismatch: "the route takes gRPC only",
	reason.HostFailure:      "the headers cannot be read",
}

// steps says what a step of a login is.
var steps = map[reason.Code]string{
	reason.LoginStarted:   "the browser is sent to the identity provider to sign in",
	reason.LoginCompleted: "the browser has a session and is sent back to where it came from",
	reason.LoginReturned:  "the browser comes back from a login that is complete already",
	reason.LoggedOut:      "the session has ended",
}

// decide enters how it ended.
func (t *Trace) decide(step *policy.Step, entry *routing.Entry, a *arrived, s *secrets) {
	t.Decision = Decision{Outcome: Refused, Reason: step.Reason.Error(), Plugin: step.Plugin, Note: step.Note}
	if step.Kind == policy.Allow {
		t.Decision.Outcome = Allowed
		t.Upstream = &Edits{Path: entry.Apply(a.path), Remove: step.Edits.Remove,
			Set: s.headers(step.Edits.Set), Response: s.headers(step.Edits.Response)}
		return
	}
	if step.Reason.Step() {
		t.Decision.Outcome, t.Decision.Means = Answered, steps[step.Reason]
	}
	t.Decision.Status = step.Response.Status
	t.Response = &Response{Status: step.Response.Status, Headers: s.headers(step.Response.Headers), Body: step.Response.Body}
}

func (s *secrets) headers(pairs []abi.Pair) []Header {
	list := []Header{}
	for _, p := range pairs {
		list = append(list, s.header(p.Key, p.Value))
	}
	return list
}

// hide takes secrets out of the texts that a request or an answer has a part in.
func (t *Trace) hide(s *secrets) {
	t.Decision.Note = s.hide(t.Decision.Note)
	if t.Upstream != nil {
		t.Upstream.Path = s.hide(t.Upstream.Path)
	}
	if t.Response != nil {
		t.Response.Body = s.hide(t.Response.Body)
	}
	for i := range t.Chain {
		p := &t.Chain[i]
		for j := range p.Credentials {
			c := &p.Credentials[j]
			c.KeyID, c.Issuer = s.hide(c.KeyID), s.hide(c.Issuer)
		}
		for j := range p.Checks {
			p.Checks[j].Detail = s.hide(p.Checks[j].Detail)
		}
		for j := range p.Questions {
			p.Questions[j].For, p.Questions[j].Answer = s.hide(p.Questions[j].For), s.hide(p.Questions[j].Answer)
		}
	}
}

// chain explains the plugins of the route, one by one.
func (d *driver) chain(b *bundle.Bundle, end *outcome) ([]Plugin, error) {
	list := []Plugin{}
	route := b.Routes[d.request.Route]
	if route == nil {
		return list, nil
	}
	_, over := unrun[end.step.Reason]
	accepted := false
	for i, p := range route.Chain {
		out := Plugin{Name: pluginName(p)}
		common := p.Common()
		if common == nil {
			out = permission(p, end, over)
			over = over || out.Outcome == Refused
			list = append(list, out)
			continue
		}
		switch {
		case over:
			out.Outcome = NotReached
		case common.SkipPreflight && d.method() == "OPTIONS":
			out.Outcome, out.Why = Skipped, "run_on_preflight is false, and this is OPTIONS"
		case common.Anonymous != nil && accepted:
			out.Outcome, out.Why = Skipped, "it has an anonymous consumer, and a plugin before it has accepted the request"
		default:
			v, err := d.alone(i)
			if err != nil {
				return nil, err
			}
			v.explain(&out)
			switch {
			case v.code.Passes():
				out.Outcome, accepted = Accepted, true
			case v.code.Step():
				out.Outcome, over = Answered, true
			case common.Anonymous != nil && !v.code.Ours() && !v.answered():
				out.Outcome, out.Why = Anonymous, "it refuses, and its anonymous consumer takes the caller's place"
			default:
				out.Outcome, over = Refused, true
				if v.code != v.cause {
					out.Why = "the login that it wants to begin cannot be begun"
				}
			}
		}
		list = append(list, out)
	}
	return list, nil
}

// pluginName is the name of a plugin as the file has it.
func pluginName(p *bundle.Plugin) string {
	switch {
	case p.JWT != nil:
		return "jwt"
	case p.KeyAuth != nil:
		return "key-auth"
	case p.BasicAuth != nil:
		return "basic-auth"
	case p.ACL != nil:
		return "acl"
	case p.Registration != nil:
		return "application-registration"
	}
	return "openid-connect"
}

// permission explains a plugin that authenticates nobody: how the request ended says
// what came of it.
func permission(p *bundle.Plugin, end *outcome, over bool) Plugin {
	out := Plugin{Name: pluginName(p), Outcome: NotReached}
	if over {
		return out
	}
	var who *bundle.Consumer
	for i := range end.asked { // the last who was found counts
		c := end.asked[i].answer.Consumer
		if cred := end.asked[i].answer.Credential; cred != nil {
			c = cred.Consumer
		}
		if c != nil {
			who = c
		}
	}
	check := groups(p.ACL, who)
	if p.Registration != nil {
		check = contract(p.Registration, who)
	}
	check.Result, out.Outcome, out.Reason = Passed, Accepted, reason.Allowed.Error()
	if end.step.Kind != policy.Allow && end.step.Plugin == out.Name {
		out.Outcome, out.Reason = Refused, end.step.Reason.Error()
		check.Result, check.Reason = Failed, out.Reason
	}
	out.Checks = []Check{check}
	return out
}

// absent stands for the plugin that an application would need on the route.
func absent() Plugin {
	code := reason.ContractMissing.Error()
	return Plugin{Name: "application-registration", Outcome: Refused, Reason: code,
		Why:    "it is not on the service, and no acl allows a group of the application: it passes nowhere else",
		Checks: []Check{{Name: checkContract, Detail: "none, for this service takes no applications", Result: Failed, Reason: code}}}
}

// groups is what the acl plugin asks for.
func groups(c *bundle.ACL, who *bundle.Consumer) Check {
	if c == nil {
		return Check{}
	}
	check := Check{Name: checkGroups, Detail: "allows " + strings.Join(c.Groups, ", ")}
	if c.Deny {
		check.Detail = "denies " + strings.Join(c.Groups, ", ")
	}
	if who != nil {
		check.Detail += "; " + consumer(who) + " has " + firstOf(strings.Join(who.Groups, ", "), "none")
	}
	return check
}

// contract is what the application-registration plugin asks for.
func contract(c *bundle.Registration, who *bundle.Consumer) Check {
	check := Check{Name: checkContract, Detail: "an application with a contract for " + c.Service}
	if c.Consumers {
		check.Detail += ", or a consumer that is none"
	}
	switch {
	case who == nil:
	case !who.Application:
		check.Detail += "; " + consumer(who) + " is no application"
	default:
		check.Detail += "; " + consumer(who) + " has " + firstOf(strings.Join(who.Contracts, ", "), "none")
	}
	return check
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
