package plugin

import (
	"strings"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// vm is the one VM of this module instance.
type vm struct {
	memory arena
	source string // the configuration it runs with, "" before on_configure
	config Config
	engine *policy.Engine
	calls  callouts
	sync   syncer
	stats  metrics
	logs   logger
	pairs  []abi.Pair // scratch of a request's headers
}

func newVM() *vm { return &vm{} }

// onConfigure takes over the plugin configuration. A VM that is shared by two
// plugins with different configurations would judge one's requests by the
// other's rules, so the second is refused: give each its own vm_id.
func (v *vm) onConfigure(size uint32) (ok bool) {
	defer v.caught(func() { ok = false })
	v.memory.begin()
	src := ""
	if size > 0 {
		text, status := hostBuffer(abi.PluginConfiguration, size)
		if status != abi.OK {
			v.logs.write(abi.Critical, "sallyport: the plugin configuration cannot be read: "+status.String())
			return false
		}
		src = strings.Clone(text)
	}
	if v.engine != nil {
		if src != v.source {
			v.logs.write(abi.Critical, "sallyport: two configurations in one VM: give each filter its own vm_id")
			return false
		}
		return true
	}
	config, err := parseConfig(src)
	if err != nil {
		v.logs.write(abi.Critical, "sallyport: "+err.Error())
		return false
	}
	if status := hostSetTick(firstTick); status != abi.OK {
		v.logs.write(abi.Critical, "sallyport: the proxy grants no ticks: "+status.String())
		return false
	}
	v.source, v.config, v.logs.limit = src, config, config.LogLines
	v.engine = policy.New(&signatures{}, policy.Config{
		CredentialGrace: config.CredentialGrace, KeyGrace: config.KeyGrace, CacheBytes: config.CacheBytes,
	})
	return true
}

// onTick polls for changes and hands the counters to the proxy.
func (v *vm) onTick() {
	defer v.caught(func() {})
	v.memory.begin()
	if v.engine == nil {
		return
	}
	v.poll()
	v.stats.flush()
	v.logs.tick()
}

// caught recovers from a panic, which would otherwise take down the VM and with
// it every request on this worker.
func (v *vm) caught(then func()) {
	if p := recover(); p != nil {
		text := "panic"
		if err, ok := p.(error); ok { // a runtime.Error: it holds no data of a request
			text = err.Error()
		}
		hostLog(abi.Critical, "sallyport: caught: "+text)
		then()
	}
}

// onRequestHeaders judges a request.
func (v *vm) onRequestHeaders(id uint32) (action abi.Action) {
	defer v.caught(func() { action = v.apply(id, policy.Denial(reason.Internal), "", false) })
	v.memory.begin()
	if v.engine == nil {
		return v.apply(id, policy.Denial(reason.BundleMissing), "", false)
	}
	req, code := v.request()
	if code != reason.Unspecified {
		return v.apply(id, policy.Denial(code), req.Route, false)
	}
	return v.apply(id, v.engine.Start(req), req.Route, false)
}

// request reads what the policy needs: the time, the route and the headers, one
// hostcall each.
func (v *vm) request() (policy.Request, reason.Code) {
	now, status := hostNow()
	if status != abi.OK {
		return policy.Request{}, reason.HostFailure
	}
	req := policy.Request{Now: int64(now / 1e9)}
	switch req.Route, status = hostProperty("xds\x00route_name"); status {
	case abi.OK:
		req.RouteState = policy.RouteChosen
	case abi.NotFound:
		req.RouteState = policy.RouteNone
	default:
		return req, reason.HostFailure
	}
	text, status := hostPairs(abi.HTTPRequestHeaders)
	if status != abi.OK {
		return req, reason.HostFailure
	}
	var ok bool
	clear(v.pairs)
	if v.pairs, ok = abi.DecodePairs(v.pairs[:0], text); !ok || len(v.pairs) == 0 {
		return req, reason.HostFailure
	}
	req.Headers = v.pairs
	return req, reason.Unspecified
}

// signatures is the policy's Verifier: the proxy's verify_signature.
type signatures struct {
	message []byte // scratch
	absent  bool   // the proxy has no such function
}

// Verify implements policy.Verifier. Anything but a clear yes or no is Unjudged.
func (s *signatures) Verify(alg jose.Alg, der, input, signature string) wire.Verdict {
	if s.absent {
		return wire.Unjudged
	}
	if alg.Family() == jose.ECDSA {
		signature = string(jose.AppendECDSA(nil, signature))
	}
	s.message = abi.VerifySignature{Hash: alg.Hash(), PublicKey: der, Signature: signature, Text: input}.Append(s.message[:0])
	result, status := hostCallForeign(abi.VerifySignatureFunction, s.message)
	switch {
	case status == abi.NotFound:
		s.absent = true
		return wire.Unjudged
	case status != abi.OK:
		return wire.Unjudged
	case abi.DecodeVerifyResult(result):
		return wire.Valid
	}
	return wire.Invalid
}
