package envoyconf

import (
	"regexp"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// routes writes the table as one virtual host: Envoy never falls back from one
// to another.
func routes(f *declarative.File, port string, trusted bool) obj {
	var out list
	for _, e := range f.Table().Entries {
		out = append(out, route(e, trusted))
	}
	if out == nil {
		out = list{}
	}
	return obj{
		"name", "sallyport",
		"virtual_hosts", list{append(obj{
			"name", "all", "domains", list{"*"}, "routes", out,
			"request_headers_to_add", forwarded(port, trusted),
		}, unbelieved(trusted)...)},
	}
}

// route writes one entry.
func route(e *routing.Entry, trusted bool) obj {
	out := obj{"name", e.Name, "match", match(e)}
	if e.NoUpstream {
		return append(out, "direct_response", obj{"status", 426})
	}
	action := obj{
		"cluster", e.Cluster,
		"timeout", "0s", // a request may last; what is bounded is silence
		"idle_timeout", ms(max(e.ReadTimeout, e.WriteTimeout)),
	}
	switch {
	case e.Rewrite.Regex != nil:
		action = append(action, "regex_rewrite", obj{
			"pattern", obj{"regex", e.Rewrite.Regex.String()}, "substitution", e.Rewrite.Substitution})
	case e.Rewrite.Set:
		action = append(action, "prefix_rewrite", e.Rewrite.Prefix)
	}
	switch {
	case e.PreserveHost:
	case e.HostHeader != "":
		action = append(action, "host_rewrite_literal", e.HostHeader)
	default:
		action = append(action, "auto_host_rewrite", true)
	}
	if e.Retries > 0 {
		action = append(action, "retry_policy", obj{"retry_on", "connect-failure", "num_retries", e.Retries})
	}
	out = append(out, "route", action)
	switch {
	case trusted && e.Prefix != "": // the first proxy may know which prefix its clients used
		return append(out, "request_headers_to_add", list{
			setDefault("x-forwarded-prefix", strings.ReplaceAll(e.Prefix, "%", "%%")),
		})
	case e.Prefix != "":
		return append(out, "request_headers_to_add", list{
			set("x-forwarded-prefix", strings.ReplaceAll(e.Prefix, "%", "%%")),
		})
	case !trusted:
		return append(out, "request_headers_to_remove", list{"x-forwarded-prefix"})
	}
	return out
}

// forwarded are the headers that tell an upstream what the client asked for, as
// Kong sets them beside X-Forwarded-For and -Proto, which Envoy keeps itself.
func forwarded(port string, trusted bool) list {
	value := func(name, own string) string {
		if trusted {
			return "%REQ(" + name + "?" + own + ")%"
		}
		return "%REQ(" + own + ")%"
	}
	headers := list{
		set("x-forwarded-host", value("X-FORWARDED-HOST", ":AUTHORITY")),
		set("x-forwarded-path", "%PATH(NQ:PATH)%"),
	}
	add := set
	if trusted {
		add = setDefault
	}
	return append(headers, add("x-forwarded-port", port), add("x-real-ip", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"))
}

// unbelieved removes what only a trusted proxy may say and we do not say
// ourselves.
func unbelieved(trusted bool) obj {
	if trusted {
		return nil
	}
	return obj{"request_headers_to_remove", list{"forwarded"}}
}

func set(name, value string) obj {
	return obj{"header", obj{"key", name, "value", value}, "append_action", "OVERWRITE_IF_EXISTS_OR_ADD"}
}

func setDefault(name, value string) obj {
	return obj{"header", obj{"key", name, "value", value}, "append_action", "ADD_IF_ABSENT"}
}

// match writes what an entry matches on. Everything but the path is a header to
// Envoy; hosts too, because with a virtual host each a request would never be
// tried against the routes of another.
func match(e *routing.Entry) obj {
	var out obj
	switch {
	case e.Path.Regex != nil:
		out = obj{"safe_regex", obj{"regex", e.Path.Regex.String()}}
	case e.Path.Exact != "":
		out = obj{"path", e.Path.Exact}
	default:
		out = obj{"prefix", e.Path.Prefix}
	}
	var headers list
	if e.PlainOnly {
		headers = append(headers, header("x-forwarded-proto", obj{"exact", "http"}))
	}
	if len(e.Hosts) > 0 {
		headers = append(headers, header(":authority", hosts(e.Hosts)))
	}
	if len(e.Methods) > 0 {
		headers = append(headers, header(":method", anyOf(e.Methods, "")))
	}
	for _, h := range e.Headers {
		headers = append(headers, header(h.Name, headerValue(h)))
	}
	if headers != nil {
		out = append(out, "headers", headers)
	}
	return out
}

func header(name string, value obj) obj { return obj{"name", name, "string_match", value} }

func hosts(list []routing.Host) obj {
	if len(list) == 1 {
		h := list[0]
		switch {
		case h.Suffix != "":
			return obj{"suffix", h.Suffix, "ignore_case", true}
		case h.Prefix != "":
			return obj{"prefix", h.Prefix, "ignore_case", true}
		}
		return obj{"exact", h.Exact, "ignore_case", true}
	}
	var parts []string
	for _, h := range list {
		switch {
		case h.Suffix != "":
			parts = append(parts, ".*"+regexp.QuoteMeta(h.Suffix))
		case h.Prefix != "":
			parts = append(parts, regexp.QuoteMeta(h.Prefix)+".*")
		default:
			parts = append(parts, regexp.QuoteMeta(h.Exact))
		}
	}
	return obj{"safe_regex", obj{"regex", "(?is:" + strings.Join(parts, "|") + ")"}}
}

// anyOf matches one of several values; flags are of RE2.
func anyOf(values []string, flags string) obj {
	if len(values) == 1 && flags == "" {
		return obj{"exact", values[0]}
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return obj{"safe_regex", obj{"regex", "(?" + flags + ":" + strings.Join(quoted, "|") + ")"}}
}

func headerValue(h routing.Header) obj {
	switch {
	case h.Regex == nil && len(h.Exact) == 1:
		return obj{"exact", h.Exact[0], "ignore_case", true}
	case h.Regex == nil:
		return anyOf(h.Exact, "is")
	}
	parts := []string{h.Regex.String()}
	for _, v := range h.Exact {
		parts = append(parts, "(?is:"+regexp.QuoteMeta(v)+")")
	}
	return obj{"safe_regex", obj{"regex", strings.Join(parts, "|")}}
}
