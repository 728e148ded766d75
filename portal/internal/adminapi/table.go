package adminapi

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/version"
)

// endpoints is the table: each path and method, who may, and what answers.
func endpoints() []endpoint {
	get := func(path string, who roles, out, summary string, handle func(*call) (int, any, error)) endpoint {
		return endpoint{method: http.MethodGet, path: path, roles: who, out: out, summary: summary, status: http.StatusOK, handle: handle}
	}
	list := []endpoint{
		get("/", anybody, "node", "What this is", node),
		get("/status", anybody, "status", "Whether the registry answers", status),
		get("/openapi.json", anybody, "object", "This document", func(c *call) (int, any, error) { return http.StatusOK, c.description, nil }),
	}
	for i := range list {
		list[i].local = true
	}
	for _, k := range []*kind{services, routes, plugins} {
		list = append(list, k.endpoints("/"+k.name)...)
	}
	list = append(list, routes.endpoints("/services/{service}/routes")...)
	list = append(list, plugins.endpoints("/services/{service}/plugins")...)
	list = append(list, plugins.endpoints("/routes/{route}/plugins")...)
	list = append(list, crud("/consumers/{consumer}/plugins", "plugin", admin|read, admin, admin, handlers{list: plugins.list, post: plugins.post}, "tags")...)
	list = append(list, get("/routes/{route}/service", admin|read|approve, "service", "The service of a route", serviceOf))

	const people = admin | read | credentials
	list = append(list, crud("/consumers", "consumer", people, admin, admin, handlers{
		list: listConsumers, post: createConsumer, get: getConsumer, put: putConsumer, patch: patchConsumer, delete: deleteConsumer,
	}, "username", "custom_id", "tags")...)
	for i := range allCredentials {
		list = append(list, allCredentials[i].endpoints(people)...)
	}

	const portal = admin | read | approve
	developers := handlers{list: listDevelopers, post: createDeveloper, get: getDeveloper, patch: patchDeveloper, delete: deleteDeveloper}
	applications := handlers{list: listApplications, post: createApplication, get: getApplication, patch: patchApplication, delete: deleteApplication}
	contracts := handlers{list: listContracts, get: getContract, patch: patchContract, delete: deleteContract}
	list = append(list, crud("/developers", "developer", portal, admin, admin|approve, developers, "q", "status")...)
	list = append(list, crud("/applications", "application", portal, admin, admin, applications, "q")...)
	list = append(list, crud("/developers/{developer}/applications", "application", portal, admin, admin, applications, "q")...)
	list = append(list, crud("/application_instances", "application_instance", portal, admin, admin|approve, contracts, "status")...)
	contracts.post = createContract
	for _, path := range []string{"/applications/{application}/application_instances", "/developers/{developer}/applications/{application}/application_instances"} {
		list = append(list, crud(path, "application_instance", portal, admin, admin|approve, contracts, "status")...)
	}
	list = append(list, crud("/services/{service}/application_instances", "application_instance", portal, admin, admin, handlers{list: listContracts}, "status")...)

	list = append(list, crud("/audit", "audit", admin|read, admin, admin, handlers{list: listAudits}, "actor", "action", "kind", "id", "since", "until")...)
	return append(list, crud("/admin_tokens", "admin_token", admin, admin, admin, handlers{list: listTokens, post: createToken, delete: deleteToken})...)
}

// handlers are what may be done with a collection; nil ones may not.
type handlers struct{ list, post, get, put, patch, delete func(*call) (int, any, error) }

// crud returns the endpoints of a collection: readers may look, writers make, replace and
// remove, and changers change.
func crud(path, schema string, readers, writers, changers roles, h handlers, filters ...string) (list []endpoint) {
	item := path + "/{" + strings.TrimPrefix(schema, "application_") + "}"
	if schema == "admin_token" {
		item = path + "/{token}"
	}
	one := strings.ReplaceAll(schema, "_", " ")
	add := func(e endpoint) {
		if e.handle != nil {
			list = append(list, e)
		}
	}
	add(endpoint{method: http.MethodGet, path: path, roles: readers, out: schema, list: true, filters: filters, status: 200, summary: "Lists", handle: h.list})
	add(endpoint{method: http.MethodPost, path: path, roles: writers, writes: true, in: schema, out: schema, status: 201, also: []int{409}, summary: "Makes an entity: " + one, handle: h.post})
	add(endpoint{method: http.MethodGet, path: item, roles: readers, out: schema, status: 200, summary: "Shows an entity: " + one, handle: h.get})
	add(endpoint{method: http.MethodPut, path: item, roles: writers, writes: true, in: schema, out: schema, status: 200, also: []int{409}, summary: "Replaces an entity, or makes it: " + one, handle: h.put})
	add(endpoint{method: http.MethodPatch, path: item, roles: changers, writes: true, in: schema, out: schema, status: 200, also: []int{409}, summary: "Changes an entity: " + one, handle: h.patch})
	add(endpoint{method: http.MethodDelete, path: item, roles: writers, writes: true, status: 204, summary: "Removes an entity: " + one, handle: h.delete})
	return list
}

// endpoints returns those of services, routes or plugins at one of their paths.
func (k *kind) endpoints(path string) []endpoint {
	const readers = admin | read | approve
	return crud(path, k.one, readers, admin, admin, handlers{
		list: k.list, post: k.post, get: k.get, put: k.put, patch: k.patch, delete: k.remove,
	}, "tags", "name")
}

// endpoints returns those of a kind of credential: below its consumer, and, for looking,
// of all consumers together.
func (k *credential) endpoints(readers roles) []endpoint {
	nested := crud("/consumers/{consumer}/"+k.nested, "credential", readers, admin, admin, handlers{
		list: k.listOf, post: k.post, get: k.getOf, put: k.put, patch: k.patch, delete: k.remove,
	}, "tags")
	all := crud("/"+k.all, "credential", readers, admin, admin, handlers{list: k.listAll, get: k.getAny}, "tags")
	list := append(nested, all...)
	for i := range list {
		e := &list[i]
		if e.in != "" {
			e.in = k.schema
		}
		if e.out != "" {
			e.out = k.schema
		}
		e.summary = strings.ReplaceAll(e.summary, "credential", k.schema)
	}
	return list
}

// node answers what Kong's root says, as far as it is true here.
func node(c *call) (int, any, error) {
	return http.StatusOK, map[string]any{
		"tagline": "Welcome to Sallyport", "version": version.String(), "registry": c.api.Registry != nil,
		"plugins": map[string]any{"available_on_server": declarative.PluginNames()},
	}, nil
}

// status answers whether what this API needs is there. As in Kong it is 200 in any case.
func status(c *call) (int, any, error) {
	database := map[string]any{"reachable": false, "kind": "off"}
	if c.api.Registry != nil {
		database["kind"] = "registry"
		database["reachable"] = c.Registry != nil && c.Registry.Ping(c.r.Context()) == nil
	}
	f := c.File()
	return http.StatusOK, map[string]any{
		"database": database, "configuration_hash": f.Source,
		"uptime_seconds": int64(c.Now().Sub(c.started).Seconds()),
	}, nil
}
