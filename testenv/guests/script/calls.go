package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// maps are the SDK's functions for header maps, by the numbers of the maps.
var maps = [4]struct {
	all          func() ([][2]string, error)
	set          func([][2]string) error
	get          func(string) (string, error)
	add, replace func(string, string) error
	remove       func(string) error
}{
	{proxywasm.GetHttpRequestHeaders, proxywasm.ReplaceHttpRequestHeaders, proxywasm.GetHttpRequestHeader,
		proxywasm.AddHttpRequestHeader, proxywasm.ReplaceHttpRequestHeader, proxywasm.RemoveHttpRequestHeader},
	{proxywasm.GetHttpRequestTrailers, proxywasm.ReplaceHttpRequestTrailers, proxywasm.GetHttpRequestTrailer,
		proxywasm.AddHttpRequestTrailer, proxywasm.ReplaceHttpRequestTrailer, proxywasm.RemoveHttpRequestTrailer},
	{proxywasm.GetHttpResponseHeaders, proxywasm.ReplaceHttpResponseHeaders, proxywasm.GetHttpResponseHeader,
		proxywasm.AddHttpResponseHeader, proxywasm.ReplaceHttpResponseHeader, proxywasm.RemoveHttpResponseHeader},
	{proxywasm.GetHttpResponseTrailers, proxywasm.ReplaceHttpResponseTrailers, proxywasm.GetHttpResponseTrailer,
		proxywasm.AddHttpResponseTrailer, proxywasm.ReplaceHttpResponseTrailer, proxywasm.RemoveHttpResponseTrailer},
}

var counters = map[uint32]proxywasm.MetricCounter{}

// call makes one call through the SDK and returns what it gave.
func call(p *plugin, name string, a []string) ([]string, error) {
	switch name {
	case "log":
		proxywasm.LogInfo(p.name + "|(" + a[1] + ")")
		return nil, nil
	case "get_header_map_value":
		return str(maps[number(a[0])].get(a[1]))
	case "get_header_map_pairs":
		list, err := maps[number(a[0])].all()
		return []string{shown(list)}, err
	case "set_header_map_pairs":
		return nil, maps[number(a[0])].set(pairs(a[1]))
	case "add_header_map_value":
		return nil, maps[number(a[0])].add(a[1], a[2])
	case "replace_header_map_value":
		return nil, maps[number(a[0])].replace(a[1], a[2])
	case "remove_header_map_value":
		return nil, maps[number(a[0])].remove(a[1])
	case "get_buffer_bytes":
		get := map[string]func(int, int) ([]byte, error){"0": proxywasm.GetHttpRequestBody, "1": proxywasm.GetHttpResponseBody,
			"4": proxywasm.GetHttpCallResponseBody}[a[0]]
		return quoted(get(int(number(a[1])), int(number(a[2]))))
	case "set_buffer_bytes":
		set := map[string]func([]byte) error{"0": proxywasm.ReplaceHttpRequestBody, "1": proxywasm.ReplaceHttpResponseBody}[a[0]]
		return nil, set([]byte(a[3]))
	case "get_property":
		return quoted(proxywasm.GetProperty(strings.Split(a[0], ".")))
	case "set_property":
		return nil, proxywasm.SetProperty(strings.Split(a[0], "."), []byte(a[1]))
	case "get_shared_data":
		v, cas, err := proxywasm.GetSharedData(a[0])
		out, err := quoted(v, err)
		if err == nil {
			p.vars["cas"] = strconv.Itoa(int(cas))
		}
		return out, err
	case "set_shared_data":
		return nil, proxywasm.SetSharedData(a[0], []byte(a[1]), number(a[2]))
	case "register_shared_queue":
		return num(proxywasm.RegisterSharedQueue(a[0]))
	case "resolve_shared_queue":
		return num(proxywasm.ResolveSharedQueue(a[0], a[1]))
	case "enqueue_shared_queue":
		return nil, proxywasm.EnqueueSharedQueue(number(a[0]), []byte(a[1]))
	case "dequeue_shared_queue":
		return quoted(proxywasm.DequeueSharedQueue(number(a[0])))
	case "http_call":
		_, err := proxywasm.DispatchHttpCall(a[0], pairs(a[1]), []byte(a[2]), pairs(a[3]), number(a[4]), func(n, _, _ int) {
			p.answered(n > 0)
		})
		return nil, err
	}
	return more(name, a)
}

func more(name string, a []string) ([]string, error) {
	switch name {
	case "send_local_response":
		return nil, proxywasm.SendHttpResponse(number(a[0]), pairs(a[3]), []byte(a[2]), int32(number(a[4])))
	case "continue_stream":
		if a[0] == "1" {
			return nil, proxywasm.ResumeHttpResponse()
		}
		return nil, proxywasm.ResumeHttpRequest()
	case "set_tick_period_milliseconds":
		return nil, proxywasm.SetTickPeriodMilliSeconds(number(a[0]))
	case "set_effective_context":
		return nil, proxywasm.SetEffectiveContext(number(a[0]))
	case "call_foreign_function":
		return quoted(proxywasm.CallForeignFunction(a[0], []byte(a[1])))
	case "define_metric":
		m := proxywasm.DefineCounterMetric(a[1])
		counters[uint32(m)] = m
		return num(uint32(m), nil)
	case "increment_metric":
		counters[number(a[0])].Increment(uint64(number(a[1])))
		return nil, nil
	case "get_metric":
		return num(counters[number(a[0])].Value(), nil)
	}
	return nil, errors.New("the guest has no such call")
}

// answered is what the answer to an HTTP call does: the SDK has a function for each.
func (p *plugin) answered(ok bool) {
	if !ok {
		p.vars["failed"] = "1"
	}
	p.run("http_call_response", p.id, true)
}

func shown(list [][2]string) string {
	var out []string
	for _, p := range list {
		if strings.HasPrefix(p[0], "x-envoy-") {
			continue
		}
		out = append(out, p[0]+": "+p[1])
	}
	slices.Sort(out)
	return "[" + strings.Join(out, "; ") + "]"
}
