// Command probe is a guest for tests. Its configuration is its name, N. It writes
// each callback into the log and adds N to the header x-trace of requests and
// responses; x-state tells what the probes before it have set as a property. The
// request header x-do-N is a list of what it shall do: deny, deny-body, pause,
// hold, hold-response, deny-response, trap, spin.
package main

import (
	"slices"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

// plugin is one configuration of the guest.
type plugin struct {
	types.DefaultPluginContext
	name     string
	requests proxywasm.MetricCounter
	sizes    proxywasm.MetricHistogram
	paused   []uint32
}

// OnPluginStart implements types.PluginContext. The name "refuse" is refused.
func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	name, err := proxywasm.GetPluginConfiguration()
	if err != nil || string(name) == "refuse" {
		return types.OnPluginStartStatusFailed
	}
	p.name = string(name)
	if config, err := proxywasm.GetVMConfiguration(); err == nil {
		id, err := proxywasm.GetProperty([]string{"plugin_vm_id"})
		must(err)
		proxywasm.LogInfo("probe " + p.name + ": VM " + string(id) + " has " + string(config))
	}
	p.requests = proxywasm.DefineCounterMetric("probe.requests")
	p.sizes = proxywasm.DefineHistogramMetric("probe.sizes")
	must(proxywasm.SetTickPeriodMilliSeconds(10))
	return types.OnPluginStartStatusOK
}

// OnTick implements types.PluginContext: paused requests go on.
func (p *plugin) OnTick() {
	for _, id := range p.paused {
		must(proxywasm.SetEffectiveContext(id))
		proxywasm.LogInfo("probe " + p.name + ": resumes")
		must(proxywasm.ResumeHttpRequest())
	}
	p.paused = nil
}

// NewHttpContext implements types.PluginContext.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{plugin: p, id: id} }

// stream is one request with its response.
type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	do     []string
}

func (s *stream) told(what string) bool { return slices.Contains(s.do, what) }

func (s *stream) log(what string) { proxywasm.LogInfo("probe " + s.plugin.name + ": " + what) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

var spun int

// OnHttpRequestHeaders implements types.HttpContext.
func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	s.log("request headers")
	s.plugin.requests.Increment(1)
	if list, err := proxywasm.GetHttpRequestHeader("x-do-" + s.plugin.name); err == nil {
		s.do = strings.Fields(list)
	}
	state, _ := proxywasm.GetProperty([]string{"probe_state"}) // there is none at first
	must(proxywasm.ReplaceHttpRequestHeader("x-state", string(state)))
	must(proxywasm.SetProperty([]string{"probe_state"}, append(state, s.plugin.name...)))
	must(proxywasm.AddHttpRequestHeader("x-trace", s.plugin.name))
	switch {
	case s.told("trap"):
		panic("told to")
	case s.told("spin"):
		for spun != 1 {
			spun += 2
		}
	case s.told("deny"):
		return s.deny()
	case s.told("pause"):
		s.plugin.paused = append(s.plugin.paused, s.id)
		return types.ActionPause
	case s.told("hold"):
		must(proxywasm.RemoveHttpRequestHeader("content-length"))
	}
	return types.ActionContinue
}

func (s *stream) deny() types.Action {
	must(proxywasm.SendHttpResponse(403, [][2]string{{"x-denied-by", s.plugin.name}}, []byte("denied by "+s.plugin.name), -1))
	return types.ActionPause
}

// OnHttpRequestBody implements types.HttpContext.
func (s *stream) OnHttpRequestBody(size int, end bool) types.Action {
	if end {
		s.log("request body ends")
		s.plugin.sizes.Record(uint64(size))
	}
	switch {
	case s.told("deny-body"):
		return s.deny()
	case !s.told("hold"):
	case !end:
		return types.ActionPause
	default:
		body, err := proxywasm.GetHttpRequestBody(0, size)
		must(err)
		must(proxywasm.ReplaceHttpRequestBody(append(body, s.plugin.name...)))
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	s.log("response headers")
	must(proxywasm.AddHttpResponseHeader("x-trace", s.plugin.name))
	if s.told("deny-response") {
		return s.deny()
	}
	if s.told("hold-response") {
		must(proxywasm.RemoveHttpResponseHeader("content-length"))
	}
	return types.ActionContinue
}

// OnHttpResponseBody implements types.HttpContext.
func (s *stream) OnHttpResponseBody(size int, end bool) types.Action {
	if end {
		s.log("response body ends")
	}
	if !s.told("hold-response") {
		return types.ActionContinue
	}
	if !end {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpResponseBody(0, size)
	if err != nil && size > 0 {
		panic(err)
	}
	must(proxywasm.ReplaceHttpResponseBody(append(body, s.plugin.name...)))
	return types.ActionContinue
}

// OnHttpStreamDone implements types.HttpContext.
func (s *stream) OnHttpStreamDone() { s.log("log") }
