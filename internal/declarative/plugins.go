package declarative

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scope is the entity that a plugin is nested in.
type scope struct {
	service *Service
	route   *Route
}

// harmless are plugins of Kong's that guard nothing: without them a request is
// neither let through nor refused by mistake. Every other foreign plugin is an
// error, whatever the options say.
var harmless = map[string]bool{
	"cors": true, "correlation-id": true,
	"rate-limiting": true, "rate-limiting-advanced": true, "response-ratelimiting": true,
	"request-transformer": true, "request-transformer-advanced": true,
	"response-transformer": true, "response-transformer-advanced": true,
	"proxy-cache": true, "proxy-cache-advanced": true,
	"http-log": true, "file-log": true, "tcp-log": true, "udp-log": true, "syslog": true, "loggly": true,
	"kafka-log": true, "statsd": true, "statsd-advanced": true, "datadog": true,
	"prometheus": true, "zipkin": true, "opentelemetry": true,
}

// GuardsNothing reports whether a plugin is of the closed list that can be left out:
// without it no request is let through, or refused, by mistake.
func GuardsNothing(plugin string) bool { return harmless[plugin] }

// own are the plugins that are run.
var own = []string{"jwt", "key-auth", "basic-auth", "openid-connect", "application-registration", "acl"}

// PluginNames returns the plugins that are run.
func PluginNames() []string { return slices.Clone(own) }

// guards are plugins that people expect, with what to do instead.
var guards = map[string]string{
	"hmac-auth":             "signed requests are not supported",
	"oauth2":                "Kong's own OAuth 2 server is not supported: use openid-connect with an identity provider",
	"session":               "sessions are not supported",
	"ip-restriction":        "restrict addresses in front of the gateway",
	"mtls-auth":             "client certificates are not supported",
	"bot-detection":         "restrict user agents in front of the gateway",
	"key-auth-enc":          "use key-auth, which keeps nothing but hashes of keys",
	"ldap-auth":             "directories are not asked: use openid-connect with an identity provider that asks them",
	"ldap-auth-advanced":    "directories are not asked: use openid-connect with an identity provider that asks them",
	"oauth2-introspection":  "use openid-connect with the method introspection",
	"post-function":         "Lua cannot run here",
	"pre-function":          "Lua cannot run here",
	"request-size-limiting": "limit the size of requests in front of the gateway",
	"request-termination":   "have the upstream answer these requests",
	"request-validator":     "have the upstream look at the requests",
}

// plugin reads a plugin instance.
func (p *parser) plugin(v at, s scope) {
	pl := &Plugin{Service: s.service, Route: s.route, scoped: s.service != nil || s.route != nil}
	enabled := true
	var config, shared, group, where at
	var protocols []string
	known := p.entity(v, &pl.Entity, fields{
		"name":          p.text(&pl.Name, notEmpty),
		"instance_name": p.text(&pl.InstanceName, notEmpty, entityName),
		"enabled":       p.bool(&enabled),
		"protocols": func(v at) {
			where = v
			p.texts(&protocols, oneOf("http", "https", "grpc", "grpcs", "ws", "wss"))(v)
		},
		"config": func(v at) { config = v },
		"_config": func(v at) {
			name, _ := p.string(v)
			var ok bool
			if shared, ok = p.pluginConfigs[name]; !ok {
				p.fail(v, "is %q, which _plugin_configs does not have", name)
			}
		},
		"ordering":       p.refuseUnless("plugins run in Kong's static order"),
		"condition":      p.refuse("bind the plugin to a route instead"),
		"partials":       p.refuseUnless("write the shared part as a YAML anchor or in _plugin_configs"),
		"consumer_group": func(v at) { group = v },
		"consumer":       p.reference(&pl.consumer),
		"service":        p.reference(&pl.service),
		"route":          p.reference(&pl.route),
	})
	if p.beside {
		delete(known, "_config")
	}
	if !p.record(v, known) {
		return
	}
	pl.config, pl.shared = config, shared
	// Kong passes a plugin over whose protocols are not the request's, and lets the request
	// through without it.
	if where.node != nil && enabled && slices.Contains(own, pl.Name) && !(slices.Contains(protocols, "http") && slices.Contains(protocols, "https")) {
		p.note(noEffect, where, "has no effect: the plugin guards requests of every protocol, also of those that Kong would let pass without it")
	}
	if pl.consumer.set && slices.Contains(own, pl.Name) {
		p.report(invalid, pl.consumer.at.line(), pl.consumer.at.path,
			"binds %s to a consumer: authentication plugins run before there is one, and Kong refuses this too", pl.Name)
	}
	if group.node != nil && slices.Contains(own, pl.Name) {
		p.note(unsupported, group, "is not supported: authentication plugins run before there is a consumer")
	}
	if pl.scoped && (pl.service.set && s.service != nil || pl.route.set && s.route != nil) {
		p.fail(v, "is nested in an entity and names one: expected one of the two")
	}
	switch pl.Name {
	case "":
		if !p.failedAt(v.path) {
			p.fail(v, "has no name")
		}
		return
	case "jwt":
		pl.JWT = p.jwtConfig(v, config, shared)
	case "openid-connect":
		pl.OIDC = p.oidcConfig(v, config, shared)
		if pl.OIDC.Login != nil {
			pl.OIDC.Login.InstanceName = pl.InstanceName
		}
	case "acl":
		pl.ACL = p.aclConfig(v, config, shared)
	case "application-registration":
		pl.Registration = p.registrationConfig(v, config, shared)
	case "key-auth":
		pl.KeyAuth = p.keyAuthConfig(v, config, shared)
	case "basic-auth":
		pl.BasicAuth = p.basicAuthConfig(v, config, shared)
	default:
		p.foreign(v, pl.Name, enabled)
		return
	}
	if !enabled {
		p.note(disabled, v, "%s is not enabled and guards nothing", pl.Name)
		return
	}
	p.file.Plugins = append(p.file.Plugins, pl)
}

// foreign reports a plugin that we do not run.
func (p *parser) foreign(v at, name string, enabled bool) {
	why := guards[name]
	switch {
	case !enabled:
	case harmless[name] && p.options.IgnoreUnsupported:
		p.note(leftOut, v, "the plugin %s is left out: it guards nothing", name)
	case harmless[name]:
		p.note(unsupported, v, "the plugin %s is not supported: it guards nothing; leave it out, or have it left out with --ignore-unsupported", name)
	case why != "":
		p.note(unsupported, v, "the plugin %s is not supported: %s", name, why)
	default:
		p.note(unsupported, v, "the plugin %q is not supported: expected jwt, key-auth, basic-auth, openid-connect, application-registration or acl", name)
	}
}

// collectPluginConfigs reads decK's _plugin_configs, which come before the
// plugins that refer to them.
func (p *parser) collectPluginConfigs(root at) map[string]at {
	found := map[string]at{}
	for i := 0; i+1 < len(root.node.Content); i += 2 {
		if root.node.Content[i].Value != "_plugin_configs" {
			continue
		}
		p.members(at{root.node.Content[i+1], "_plugin_configs"}, func(name string, _, value at) {
			found[name] = value
		})
	}
	return found
}

// places are where the fields of a plugin's config stand.
type places struct {
	plugin at
	fields map[string]at
}

// of returns where a field stands, the plugin for one that is absent.
func (w places) of(name string) at {
	if v, ok := w.fields[name]; ok {
		return v
	}
	return w.plugin
}

// config reads a plugin's config with known members: those of _config first,
// then the plugin's own, which win.
func (p *parser) config(v, config, shared at, known fields) places {
	where := places{v, map[string]at{}}
	for name, read := range known {
		known[name] = func(v at) {
			where.fields[name] = v
			read(v)
		}
	}
	own := map[string]bool{}
	if config.node != nil {
		if c, ok := p.resolve(config); ok && c.node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(c.node.Content); i += 2 {
				own[c.node.Content[i].Value] = true
			}
		}
	}
	if shared.node != nil {
		rest := fields{}
		for name, read := range known {
			rest[name] = read
			if own[name] {
				rest[name] = p.ignore
			}
		}
		p.record(shared, rest)
	}
	if config.node != nil {
		p.record(config, known)
	}
	return where
}

// parseHTTPURL reads an absolute URL with a host and without user, query and
// fragment left open to doubt.
func parseHTTPURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, &url.Error{Op: "parse", URL: s, Err: url.InvalidHostError(u.Host)}
	}
	return u, nil
}

// claimName is a check for a claim's name.
func claimName(s string) string {
	if wrong := notEmpty(s); wrong != "" {
		return wrong
	}
	return printable(s)
}

// lower returns the list in lower case, without repetitions.
func lower(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.ToLower(s); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// headerName is a check for a header that a credential is read from.
func headerName(s string) string {
	if !isToken(s) {
		return "is no header name"
	}
	return ""
}
