// Command script is a guest for testenv/abi, made with the Go SDK: its configuration is
// the guest's part of a scenario, which it carries out and writes a record of into the
// log. testenv/guests/script-rust is the same with the Rust SDK.
package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(id uint32) types.PluginContext {
		return &plugin{id: id, vars: map[string]string{}, counts: map[string]int{}}
	})
}

// plugin is a scenario.
type plugin struct {
	types.DefaultPluginContext
	id     uint32
	name   string
	blocks []block
	vars   map[string]string
	counts map[string]int
}

type block struct {
	callback, given string
	end             bool
	nth             int
	ops             []string
}

// OnPluginStart implements types.PluginContext.
func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "id":
			p.name = words[1]
		case words[0] == "on":
			b := block{callback: words[1]}
			for _, w := range words[2:] {
				switch {
				case w == "end":
					b.end = true
				case w[0] == '#':
					b.nth, _ = strconv.Atoi(w[1:])
				case strings.HasPrefix(w, "if="):
					b.given = w[3:]
				}
			}
			p.blocks = append(p.blocks, b)
		default:
			last := &p.blocks[len(p.blocks)-1]
			last.ops = append(last.ops, strings.TrimSpace(line))
		}
	}
	if p.run("configure", p.id, true) == 0 && p.has("refuses") {
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) has(callback string) bool {
	for _, b := range p.blocks {
		if b.callback == callback {
			return true
		}
	}
	return false
}

// OnTick implements types.PluginContext.
func (p *plugin) OnTick() { p.run("tick", p.id, true) }

// OnQueueReady implements types.PluginContext.
func (p *plugin) OnQueueReady(uint32) { p.run("queue_ready", p.id, true) }

// OnPluginDone implements types.PluginContext.
func (p *plugin) OnPluginDone() bool {
	p.run("done", p.id, true)
	return true
}

// NewHttpContext implements types.PluginContext.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{p: p, id: id} }

type stream struct {
	types.DefaultHttpContext
	p  *plugin
	id uint32
}

func action(n int) types.Action {
	if n == 0 {
		return types.ActionContinue
	}
	return types.ActionPause
}

// OnHttpRequestHeaders implements types.HttpContext.
func (s *stream) OnHttpRequestHeaders(_ int, end bool) types.Action {
	return action(s.p.run("request_headers", s.id, end))
}

// OnHttpRequestBody implements types.HttpContext.
func (s *stream) OnHttpRequestBody(_ int, end bool) types.Action {
	return action(s.p.run("request_body", s.id, end))
}

// OnHttpRequestTrailers implements types.HttpContext.
func (s *stream) OnHttpRequestTrailers(int) types.Action {
	return action(s.p.run("request_trailers", s.id, true))
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *stream) OnHttpResponseHeaders(_ int, end bool) types.Action {
	return action(s.p.run("response_headers", s.id, end))
}

// OnHttpResponseBody implements types.HttpContext.
func (s *stream) OnHttpResponseBody(_ int, end bool) types.Action {
	return action(s.p.run("response_body", s.id, end))
}

// OnHttpResponseTrailers implements types.HttpContext.
func (s *stream) OnHttpResponseTrailers(int) types.Action {
	return action(s.p.run("response_trailers", s.id, true))
}

// OnHttpStreamDone implements types.HttpContext. It is the SDK's last callback of a
// stream.
func (s *stream) OnHttpStreamDone() {
	s.p.run("log", s.id, true)
	proxywasm.LogInfo(s.p.name + "|delete()")
}

// run carries out what the scenario has for a callback.
func (p *plugin) run(callback string, ctx uint32, end bool) (result int) {
	if !p.has(callback) {
		return 0
	}
	p.counts[callback]++
	// Pieces of a body in which nothing happens are a matter of the network.
	idle := !end && strings.HasSuffix(callback, "_body")
	if !idle {
		proxywasm.LogInfo(p.name + "|" + callback + "()")
	}
	p.vars["ctx"] = strconv.Itoa(int(ctx))
	for _, b := range p.blocks {
		if b.callback != callback || b.end && !end || b.nth > 0 && b.nth != p.counts[callback] ||
			b.given != "" && (p.vars[b.given] == "" || p.vars[b.given] == "0") {
			continue
		}
		for _, op := range b.ops {
			if text, ok := strings.CutPrefix(op, "return "); ok {
				result, _ = strconv.Atoi(text)
				continue
			}
			p.op(op)
		}
	}
	return result
}

// op carries out one operation and logs what came of it.
func (p *plugin) op(text string) {
	words := tokens(text)
	var args, names []string
	for i, w := range words[1:] {
		if w == ">" {
			names = words[i+2:]
			break
		}
		args = append(args, p.value(w))
	}
	if words[0] == "set" {
		p.vars[words[1]] = args[1]
		return
	}
	out, err := call(p, words[0], args)
	status := "OK"
	if err != nil {
		status = err.Error()
	}
	for i, n := range names {
		if i < len(out) {
			p.vars[n] = strings.Trim(out[i], `"`)
		}
	}
	if strings.HasPrefix(text, "~") {
		out = nil
	}
	proxywasm.LogInfo(strings.Join(append([]string{p.name + "|  " + text, "=", status}, out...), " "))
}

// value reads an argument: a text, pairs, a variable, or a number.
func (p *plugin) value(w string) string {
	switch w[0] {
	case '"':
		t, _ := strconv.Unquote(w)
		return t
	case '$':
		return p.vars[w[1:]]
	}
	return w
}

// tokens splits a line at spaces; quotes and brackets hold together.
func tokens(line string) (out []string) {
	for line = strings.TrimLeft(line, "~ "); line != ""; line = strings.TrimSpace(line) {
		n := strings.IndexByte(line, ' ')
		switch line[0] {
		case '"':
			q, _ := strconv.QuotedPrefix(line)
			n = len(q)
		case '[':
			n = strings.IndexByte(line, ']') + 1
		}
		if n < 0 {
			n = len(line)
		}
		out = append(out, line[:n])
		line = line[n:]
	}
	return out
}

func pairs(text string) (out [][2]string) {
	words := tokens(strings.Trim(text, "[]"))
	for i := 0; i+1 < len(words); i += 2 {
		k, _ := strconv.Unquote(words[i])
		v, _ := strconv.Unquote(words[i+1])
		out = append(out, [2]string{k, v})
	}
	return out
}

func number(text string) uint32 {
	n, _ := strconv.ParseInt(text, 0, 64)
	return uint32(n)
}

func quoted(b []byte, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("%q", b)}, nil
}

func str(s string, err error) ([]string, error) { return quoted([]byte(s), err) }

func num[T uint32 | uint64 | int64](n T, err error) ([]string, error) {
	return []string{fmt.Sprint(n)}, err
}
