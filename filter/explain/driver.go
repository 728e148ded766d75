package explain

import (
	"fmt"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// driver runs the machine.
type driver struct {
	bundle  string
	request *policy.Request
	ask     Ask
	port    int64
	answers map[string]reply // by the question as it is encoded
	secrets *secrets
}

// reply is what the sidecar said.
type reply struct {
	answer  wire.Answer
	failure reason.Code
}

// exchange is a question with its answer.
type exchange struct {
	question wire.Question
	reply
}

// outcome is how a run of the machine ended, and what it did on the way.
type outcome struct {
	step     *policy.Step
	bundle   *bundle.Bundle // as it was at the end: new keys are in it
	asked    []exchange
	verified []verification
}

// maxQuestions is how many a run may ask: three for each plugin of a chain are enough.
const maxQuestions = 16

// run judges the request, under a bundle that change has changed. Only the first run
// may ask what a browser's request asks, because such an answer has effects; later
// ones get the same answer, and are cut short where there is none.
func (d *driver) run(change func(*bundle.Bundle), first bool) (*outcome, error) {
	b, err := bundle.Decode(d.bundle) // anew, because answers change it
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(b)
	}
	out := &outcome{bundle: b}
	engine := policy.New(&native{calls: &out.verified}, policy.Config{})
	if err := engine.SetBundle(b, "", d.request.Now); err != nil {
		return nil, err
	}
	out.step = engine.Start(d.request)
	for out.step.Kind == policy.Ask {
		if len(out.asked) == maxQuestions {
			return nil, fmt.Errorf("the machine asked %d questions and did not come to an end", maxQuestions)
		}
		asked, pending := out.step.Question, out.step.Pending
		if asked.Request != nil {
			asked.Request.Port = d.port
		}
		r, ok := d.reply(asked, first)
		if !ok {
			return out, nil
		}
		out.asked = append(out.asked, exchange{asked.Question, r})
		out.step = engine.Resume(pending, asked, r.answer, r.failure, d.request.Now)
	}
	return out, nil
}

// reply returns the sidecar's answer, asking at most once.
func (d *driver) reply(q *policy.Question, first bool) (r reply, ok bool) {
	encoded := q.Encode()
	if r, ok = d.answers[string(encoded)]; ok {
		return r, true
	}
	if !first && (q.Kind.OfBrowser() || q.Kind == wire.Inquire) {
		return reply{}, false
	}
	text, failure := d.ask(encoded)
	r.failure = failure
	if failure == reason.Unspecified {
		if r.answer, ok = wire.DecodeAnswer(text); !ok {
			r.failure = reason.SidecarAnswer
		}
	}
	d.secrets.answer(&r.answer)
	d.answers[string(encoded)] = r
	return r, true
}

// alone lets the plugin at an index of the chain judge for itself. What it would make
// of an anonymous consumer is left out, so that its own reason shows.
func (d *driver) alone(index int) (*verdict, error) {
	var p *bundle.Plugin
	only := func(login bool) func(*bundle.Bundle) {
		return func(b *bundle.Bundle) {
			route := b.Routes[d.request.Route]
			p = route.Chain[index]
			route.Chain = route.Chain[index : index+1]
			p.Common().Anonymous, p.Common().SkipPreflight = nil, false
			if !login {
				p.OIDC.Login.Begin = false
			}
		}
	}
	out, err := d.run(only(true), false)
	if err != nil {
		return nil, err
	}
	v := &verdict{driver: d, outcome: out, plugin: p, code: out.step.Reason, cause: out.step.Reason}
	if v.code == reason.ContractMissing { // the plugin accepts; whether an application may pass is for the whole chain to say
		v.code, v.cause = reason.Allowed, reason.Allowed
	}
	begun := out.step.Kind == policy.Ask || len(out.asked) > 0 && out.asked[len(out.asked)-1].question.Kind == wire.Begin
	if begun { // why there was a login to begin shows where there is none
		bare, err := d.run(only(false), false)
		if err != nil {
			return nil, err
		}
		v.cause = bare.step.Reason
		if out.step.Kind == policy.Ask {
			v.outcome, v.code = bare, bare.step.Reason
		}
	}
	v.plugin = p
	return v, nil
}

// method returns the request's method.
func (d *driver) method() string {
	for h := d.request.Headers.Cursor(); h.Next(); {
		if h.Key == ":method" {
			return h.Value
		}
	}
	return ""
}
