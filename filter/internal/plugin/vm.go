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
	// responses are headers for responses that are to come.
	responses responses
	logs      logger
	req       policy.Request // of the stream whose headers are being judged
}

func newVM() *vm { return &vm{} }

// onConfigure takes over the plugin configuration. A VM that is shared by two
// plugins with different configurations would judge one's requests by the
// other's rules, so the second is refused: give each its own vm_id.
func (v *vm) onConfigure(size uint32) (ok bool) {
	v.memory.begin()
	defer v.end(func() { ok = false })
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
	v.memory.begin()
	defer v.end(func() {})
	if v.engine == nil {
		return
	}
	v.poll()
	v.stats.flush()
	v.logs.tick()
}

// end is deferred by every callback. A panic would otherwise take down the VM and
// with it every request on this worker.
func (v *vm) end(then func()) {
	v.memory.end()
	if p := recover(); p != nil {
		caught(p)
		then()
	}
}

func caught(p any) {
	text := "panic"
	if err, ok := p.(error); ok { // a runtime.Error: it holds no data of a request
		text = err.Error()
	}
	hostLog(abi.Critical, "sallyport: caught: "+text)
}

// onRequestHeaders judges a request.
func (v *vm) onRequestHeaders(id uint32) (action abi.Action) {
	v.memory.begin()
	defer v.end(func() { action = v.apply(id, policy.Denial(reason.Internal), "", false) })
	if v.engine == nil {
		return v.apply(id, policy.Denial(reason.BundleMissing), "", false)
	}
	if code := v.read(); code != reason.Unspecified {
		return v.apply(id, policy.Denial(code), v.req.Route, false)
	}
	return v.apply(id, v.engine.Start(&v.req), v.req.Route, false)
}

// read reads what the policy needs: the time, the route and the headers, one
// hostcall each.
func (v *vm) read() reason.Code {
	req := &v.req
	*req = policy.Request{}
	now, status := hostNow()
	if status != abi.OK {
		return reason.HostFailure
	}
	req.Now = int64(now / 1e9)
	switch req.Route, status = hostProperty("xds\x00route_name"); status {
	case abi.OK:
		req.RouteState = policy.RouteChosen
	case abi.NotFound:
		req.RouteState = policy.RouteNone
	default:
		return reason.HostFailure
	}
	headers, status := hostPairs(abi.HTTPRequestHeaders)
	if status != abi.OK {
		return reason.HostFailure
	}
	req.Headers = abi.Pairs(headers)
	return reason.Unspecified
}

// signatures is the policy's Verifier: the proxy's verify_signature.
type signatures struct {
	message, ecdsa []byte // scratch
	absent         bool   // the proxy has no such function
}

// Verify implements policy.Verifier. Anything but a clear yes or no is Unjudged.
func (s *signatures) Verify(alg jose.Alg, der, input, signature string) wire.Verdict {
	if s.absent {
		return wire.Unjudged
	}
	if alg.Family() == jose.ECDSA {
		s.ecdsa = jose.AppendECDSA(s.ecdsa[:0], signature)
		signature = string(s.ecdsa)
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
