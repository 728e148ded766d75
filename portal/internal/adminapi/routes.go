package adminapi

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

var routes = &kind{
	name: "routes", one: "route", named: "name",
	references: map[string]string{"service": "services"},
	settle:     func(document, *fields) {},
	show: func(_ *call, doc document) document {
		grpc := contains(doc["protocols"], "grpc") || contains(doc["protocols"], "grpcs")
		return complete(doc, document{
			"name": nil, "service": nil, "protocols": []any{"http", "https"}, "methods": nil, "hosts": nil, "paths": nil, "headers": nil,
			"strip_path": !grpc, "preserve_host": false, "regex_priority": 0, "https_redirect_status_code": 426, "path_handling": "v0",
			"request_buffering": true, "response_buffering": true, "snis": nil, "sources": nil, "destinations": nil, "tags": nil,
			"created_at": nil, "updated_at": nil,
		})
	},
	file: func(f *declarative.File) (list []fileEntity) {
		for _, r := range f.Routes {
			if r.Beside {
				continue
			}
			list = append(list, fileEntity{id: r.ID, name: r.Name, service: r.Service.ID, tags: r.Tags, doc: func() document { return routeDocument(r) }})
		}
		return list
	},
}

func routeDocument(r *declarative.Route) document {
	doc := document{
		"id": r.ID, "name": text(r.Name), "service": document{"id": r.Service.ID}, "protocols": anyOf(r.Protocols), "methods": anyOf(r.Methods),
		"hosts": anyOf(r.Hosts), "strip_path": r.StripPath, "preserve_host": r.PreserveHost, "regex_priority": r.RegexPriority,
		"https_redirect_status_code": r.HTTPSRedirectStatus, "tags": anyOf(r.Tags),
	}
	var paths []any
	for _, p := range r.Paths {
		if p.Regex != nil {
			paths = append(paths, "~"+p.Expr)
		} else {
			paths = append(paths, p.Prefix)
		}
	}
	if paths != nil {
		doc["paths"] = paths
	}
	headers := document{}
	for _, h := range r.Headers {
		values := append([]string{}, h.Values...)
		for _, expr := range h.Regex {
			values = append(values, "~*"+strings.TrimPrefix(expr, "~*"))
		}
		headers[h.Name] = anyOf(values)
	}
	if len(headers) > 0 {
		doc["headers"] = headers
	}
	return doc
}
