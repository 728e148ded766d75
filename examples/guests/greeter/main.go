// Command greeter is a guest for the examples: it tells the upstream who greets,
// adds a header to each response, and refuses requests for /secret. Built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o greeter.wasm ./examples/guests/greeter
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

// plugin is one configuration of the guest: the name that it greets by.
type plugin struct {
	types.DefaultPluginContext
	name string
}

// OnPluginStart implements types.PluginContext.
func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	if size == 0 {
		return types.OnPluginStartStatusOK
	}
	name, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("the configuration cannot be read: %v", err)
		return types.OnPluginStartStatusFailed
	}
	p.name = string(name)
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext.
func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

// stream is one request with its response.
type stream struct {
	types.DefaultHttpContext
	plugin *plugin
}

// OnHttpRequestHeaders implements types.HttpContext. What cannot be read or
// changed is refused.
func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	path, err := proxywasm.GetHttpRequestHeader(":path")
	if err != nil || path == "/secret" {
		return s.refuse(403, "not for you\n")
	}
	if err := proxywasm.ReplaceHttpRequestHeader("x-greeter", s.plugin.name); err != nil {
		return s.refuse(503, "")
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeader("x-greeting", "hello from "+s.plugin.name); err != nil {
		proxywasm.LogErrorf("no greeting: %v", err)
	}
	return types.ActionContinue
}

func (s *stream) refuse(status uint32, body string) types.Action {
	if err := proxywasm.SendHttpResponse(status, nil, []byte(body), -1); err != nil {
		proxywasm.LogErrorf("no response: %v", err)
	}
	return types.ActionPause
}
