package plugin

import (
	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// apply carries out a step for the stream id, which is the effective context.
// resumed says that the stream is paused and has to be continued by a call.
func (v *vm) apply(id uint32, s *policy.Step, route string, resumed bool) abi.Action {
	switch s.Kind {
	case policy.Ask:
		asked, pending := s.Question, s.Pending
		code := v.ask(id, s, route)
		if code == reason.Unspecified {
			return abi.Pause
		}
		now, status := hostNow()
		if status != abi.OK {
			v.deny(policy.Denial(reason.HostFailure), route)
			return abi.Pause
		}
		return v.apply(id, v.engine.Resume(pending, asked, wire.Answer{}, code, int64(now/1e9)), route, resumed)
	case policy.Allow:
		code := s.Reason // continuing may begin another request, and take over the step
		v.responses.keep(id, s.Edits.Response)
		if v.edit(&s.Edits) && (!resumed || hostContinueStream(abi.StreamHTTPRequest) == abi.OK) {
			v.stats.count(code)
			return abi.Continue
		}
		s = policy.Denial(reason.HostFailure)
	}
	v.deny(s, route)
	return abi.Pause
}

// edit changes the request headers; false when the proxy refused any change,
// for then the upstream might see a caller's word as ours.
func (v *vm) edit(e *policy.Edits) bool {
	for _, name := range e.Remove {
		if hostRemoveHeader(abi.HTTPRequestHeaders, name) != abi.OK {
			return false
		}
	}
	for i, h := range e.Set {
		write := hostReplaceHeader
		if i < e.New { // which costs a proxy less
			write = hostAddHeader
		}
		if write(abi.HTTPRequestHeaders, h.Key, h.Value) != abi.OK {
			return false
		}
	}
	return true
}

// deny sends a response. Should the proxy refuse even that, the request stays
// paused until it times out.
func (v *vm) deny(s *policy.Step, route string) {
	v.stats.count(s.Reason)
	v.logs.denied(s, route)
	r := &s.Response
	if r.Status == 0 { // a zero Step
		r = &policy.Denial(s.Reason).Response
	}
	headers := abi.AppendPairs(make([]byte, 0, 256), r.Headers)
	if status := hostSendLocalResponse(uint32(r.Status), "sallyport_"+s.Reason.Error(), r.Body, headers); status != abi.OK {
		v.logs.write(abi.Error, "sallyport: the proxy refuses a response: "+status.String())
	}
}
