package declarative

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Parse reads a declarative file, YAML or JSON. problems holds every finding; the
// file is nil when one of them is an error.
func Parse(name string, src []byte, options Options) (file *File, problems Problems) {
	p := &parser{
		options: options.withDefaults(),
		name:    name,
		said:    map[Problem]bool{},
		file:    &File{Name: name, Source: source(src, options.Further)},
	}
	p.parse(src)
	p.problems.sort()
	if len(p.problems.Errors()) > 0 {
		return nil, p.problems
	}
	return p.file, p.problems
}

func (p *parser) parse(src []byte) {
	if len(src) > maxFile {
		p.report(invalid, 0, "", "is larger than %d MiB", maxFile>>20)
		return
	}
	root, err := load(src)
	if err != nil {
		text, line := yamlError(err)
		p.report(NotYAML, line, "", "is not YAML: %s", text)
		return
	}
	if root == nil {
		p.report(invalid, 0, "", "is empty: expected _format_version, services, …")
		return
	}
	p.topLevel(at{root, ""})
	p.readFurther()
	p.resolveAll()
}

// load parses one YAML document. The library is kept from taking the process
// with it: a panic of its is a broken file.
func load(src []byte) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, err
		case len(doc.Content) == 0 || root != nil && doc.Content[0].Tag == "!!null":
		case root != nil:
			return nil, fmt.Errorf("yaml: line %d: a second document begins: expected one (Kubernetes objects go through sallyport convert)", doc.Content[0].Line)
		default:
			root = doc.Content[0]
		}
	}
}

// yamlError takes the line out of a message of the library.
func yamlError(err error) (text string, line int) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if i := strings.Index(text, "line "); i >= 0 {
		_, _ = fmt.Sscanf(text[i:], "line %d", &line)
	}
	// An unquoted value that begins with * is read as an alias, and quoted in the
	// message: it may be a secret.
	if before, _, found := strings.Cut(text, "unknown anchor '"); found {
		text = before + "a value that begins with * names an anchor that is not there: quote it if it is text"
	}
	if strings.HasSuffix(text, "found character that cannot start any token") {
		text += ": lines are indented by blanks, not by tabs, and a text that begins with @ or ` is quoted"
	}
	return text, line
}

// topLevel reads the document. The format version comes first: it decides how
// paths are read.
func (p *parser) topLevel(root at) {
	if root.node.Kind != yaml.MappingNode {
		p.fail(root, "is %s: expected a mapping", kindName(root.node))
		return
	}
	version := ""
	for i := 0; i+1 < len(root.node.Content); i += 2 {
		if root.node.Content[i].Value == "apiVersion" {
			p.fail(root, "is a Kubernetes object: sallyport convert makes a declarative file of Ingresses, KongPlugins and KongConsumers")
			return
		}
		if root.node.Content[i].Value == "_format_version" {
			if value, ok := p.resolve(at{root.node.Content[i+1], "_format_version"}); ok {
				version = value.node.Value
			}
		}
	}
	switch version {
	case "3.0":
	case "1.1", "2.1":
		p.oldPaths = true
	case "":
		p.report(invalid, root.line(), "_format_version", `is missing: expected "1.1", "2.1" or "3.0"`)
	default:
		p.report(invalid, root.line(), "_format_version", `is %q: expected "1.1", "2.1" or "3.0"`, version)
	}
	p.pluginConfigs = p.collectPluginConfigs(root)
	p.hashed = p.hashedPasswords(root)
	known := fields{
		"_format_version": p.ignore,
		"_transform":      p.ignore, // read beforehand
		"_info":           p.ignore, // decK's defaults and select tags
		"_workspace":      p.ignore,
		"_plugin_configs": p.ignore, // read beforehand
		"_sallyport":      p.settings,

		"services":    p.list(func(v at) { p.service(v) }),
		"routes":      p.list(func(v at) { p.route(v, nil) }),
		"upstreams":   p.list(p.upstream),
		"targets":     p.list(func(v at) { p.target(v, nil) }),
		"plugins":     p.list(func(v at) { p.plugin(v, scope{}) }),
		"consumers":   p.list(p.consumer),
		"jwt_secrets": p.list(func(v at) { p.jwtSecret(v, nil) }),
		"acls":        p.list(func(v at) { p.acl(v, nil) }),

		"keyauth_credentials":   p.list(func(v at) { p.apiKey(v, nil) }),
		"basicauth_credentials": p.list(func(v at) { p.password(v, nil) }),

		"certificates":    p.list(p.certificate),
		"snis":            p.list(func(v at) { p.sni(v, nil) }),
		"ca_certificates": p.list(p.caCertificate),
	}
	for name, why := range refusedCollections {
		known[name] = p.refuseCollection(why)
	}
	p.record(root, known)
}

// refusedCollections are top-level keys of Kong's that are not supported. An
// empty list is no harm.
var refusedCollections = map[string]string{
	"consumer_groups":           "consumer groups are a Kong Enterprise entity",
	"consumer_group_plugins":    "consumer groups are a Kong Enterprise entity",
	"consumer_group_consumers":  "consumer groups are a Kong Enterprise entity",
	"vaults":                    "use {vault://env/NAME} or {vault://file/PATH}, which need no vault entity",
	"keys":                      "put a JWK set into the credential (jwks, jwks_uri)",
	"key_sets":                  "put a JWK set into the credential (jwks, jwks_uri)",
	"rbac_roles":                "the admin API has a token of its own",
	"rbac_endpoint_permissions": "the admin API has a token of its own",
	"filter_chains":             "the filter is loaded by Envoy or by sallyport serve",
	"partials":                  "write the shared part as a YAML anchor or in _plugin_configs",
	"plugins_partials":          "write the shared part as a YAML anchor or in _plugin_configs",
	"custom_plugins":            "Lua plugins cannot run here",
	"cloned_plugins":            "give the plugin another instance_name",
	"custom_entities":           "only the entities of the supported plugins are read",
	"licenses":                  "there is nothing to license",
	"service_packages":          "is an entity of Konnect",
	"_konnect":                  "is for Konnect's control plane",
	"hmacauth_credentials":      "the hmac-auth plugin is not supported",
	"oauth2_credentials":        "Kong's own OAuth 2 server is not supported: use openid-connect with an identity provider",
	"oauth2_tokens":             "Kong's own OAuth 2 server is not supported: use openid-connect with an identity provider",
	"mtls_auth_credentials":     "the mtls-auth plugin is not supported",
}

// refuseCollection reports a collection unless it is empty. Credentials and
// groups that no supported plugin reads can be left out on request: without the
// plugin they guard nothing.
func (p *parser) refuseCollection(why string) reader {
	return func(v at) {
		if v.node.Kind != yaml.ScalarNode && len(v.node.Content) == 0 {
			return
		}
		if p.options.IgnoreUnsupported && strings.Contains(why, "plugin is not supported") {
			p.note(leftOut, v, "is left out: %s", why)
			return
		}
		p.note(unsupported, v, "is not supported: %s", why)
	}
}

// entity returns the members that every entity has.
func (p *parser) entity(v at, e *Entity, more fields) fields {
	e.Line, e.Path, e.Beside = v.line(), v.path, p.beside
	more["id"] = p.text(&e.ID, isUUID)
	more["created_at"] = p.ignore
	more["updated_at"] = p.ignore
	if _, ok := more["tags"]; !ok {
		more["tags"] = p.tags(e)
	}
	return more
}

// tags reads the tags of an entity, which are there to be looked for in the admin API. In
// a file they may be anything, as they have no meaning to the traffic.
func (p *parser) tags(e *Entity) reader {
	if p.beside {
		return p.texts(&e.Tags, tag)
	}
	return func(v at) {
		for _, n := range v.node.Content {
			if v.node.Kind == yaml.SequenceNode && n.Kind == yaml.ScalarNode && n.Tag == "!!str" && tag(n.Value) == "" {
				e.Tags = append(e.Tags, n.Value)
			}
		}
	}
}

// tag is a check (typedefs.tag).
func tag(s string) string {
	if strings.ContainsAny(s, ",/") {
		return "holds a comma or a slash, which combine tags in a query"
	}
	if wrong := notEmpty(s); wrong != "" {
		return wrong
	}
	return printable(s)
}

// reference reads a name or id, or a mapping with one of them.
func (p *parser) reference(dst *ref) reader {
	return func(v at) {
		dst.at, dst.set = v, true
		if v.node.Kind == yaml.ScalarNode {
			p.text(&dst.value, notEmpty)(v)
			return
		}
		p.record(v, fields{
			"name":     p.text(&dst.value, notEmpty),
			"id":       p.text(&dst.value, notEmpty),
			"username": p.text(&dst.value, notEmpty),
		})
		if dst.value == "" {
			p.fail(v, "refers to nothing: expected a name or an id")
		}
	}
}
