package adminapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

var plugins = &kind{
	name: "plugins", one: "plugin", named: "instance_name",
	references: map[string]string{"service": "services", "route": "routes", "consumer": "consumers"},
	settle:     settlePlugin,
	show: func(_ *call, doc document) document {
		return complete(doc, document{
			"instance_name": nil, "service": nil, "route": nil, "consumer": nil, "enabled": true, "config": document{},
			"protocols": []any{"grpc", "grpcs", "http", "https"}, "tags": nil, "created_at": nil, "updated_at": nil,
		})
	},
	file: func(f *declarative.File) (list []fileEntity) {
		for _, p := range f.Plugins {
			if p.Beside {
				continue
			}
			e := fileEntity{id: p.EntityID(), name: p.InstanceName, plugin: p.Name, tags: p.Tags, doc: func() document { return pluginDocument(p) }}
			if p.Service != nil {
				e.service = p.Service.ID
			}
			if p.Route != nil {
				e.route = p.Route.ID
			}
			list = append(list, e)
		}
		return list
	},
}

func pluginDocument(p *declarative.Plugin) document {
	doc := document{"id": p.EntityID(), "name": p.Name, "instance_name": text(p.InstanceName), "enabled": true, "tags": anyOf(p.Tags)}
	if p.Service != nil {
		doc["service"] = document{"id": p.Service.ID}
	}
	if p.Route != nil {
		doc["route"] = document{"id": p.Route.ID}
	}
	// One that is too large to be shown is shown as none.
	config, _ := p.Config()
	doc["config"] = maps.Clone(config)
	return doc
}

// hidden is what is shown in the place of a secret.
var hidden = redact.Secret{}.String()

// hide puts hidden in the place of what is secret in a plugin's configuration, and
// returns the fields.
func hide(doc document) (fields []string) {
	config, _ := doc["config"].(map[string]any)
	name, _ := doc["name"].(string)
	for field, value := range config {
		if !declarative.SecretField(name, field) || value == nil {
			continue
		}
		fields = append(fields, field)
		list, isList := value.([]any)
		if !isList {
			config[field] = hidden
			continue
		}
		masked := make([]any, len(list))
		for i := range list {
			masked[i] = hidden
		}
		config[field] = masked
	}
	slices.Sort(fields)
	return fields
}

// settlePlugin refuses a plugin without a name, and a configuration in which what is shown in the place of a secret would
// become the secret: one that was read and is written back.
func settlePlugin(doc document, f *fields) {
	if doc["name"] == nil {
		f.fail("name", "is missing: expected that of a plugin, such as openid-connect")
	}
	config, _ := doc["config"].(map[string]any)
	name, _ := doc["name"].(string)
	for field, value := range config {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, v := range list {
			if v == any(hidden) && declarative.SecretField(name, field) {
				f.fail("config."+plain(field), "is what is shown in the place of the secret: write the secret, or PATCH without the field")
			}
		}
	}
}

// showPlugin shows a plugin, with its secrets to a caller with the role for it; the audit
// log tells.
func (c *call) showPlugin(doc document) (any, error) {
	doc = plugins.show(c, doc)
	if c.who.roles&credentials == 0 {
		hide(doc)
		return doc, nil
	}
	config, _ := doc["config"].(map[string]any)
	secret := document{"name": doc["name"], "config": maps.Clone(config)}
	shown := hide(secret)
	if len(shown) == 0 {
		return doc, nil
	}
	return doc, c.tell("plugins", fmt.Sprint(doc["id"]), strings.Join(shown, ", "))
}

// tell writes into the audit log that a secret is shown.
func (c *call) tell(kind, id, what string) error {
	if c.Registry == nil {
		c.Logger.Info("a secret of the file is shown", "kind", kind, "id", id, "what", what, "actor", c.who.actor.Name, "remote", c.who.actor.Remote)
		return nil
	}
	return c.Registry.Record(c.r.Context(), c.who.actor, "read secret", kind, id, what)
}
