package adminapi

import (
	"github.com/sallyport-auth/sallyport/internal/declarative"
)

var services = &kind{
	name: "services", one: "service", named: "name",
	settle: func(doc document, f *fields) {
		raw, ok := doc["url"].(string)
		if !ok {
			return // what is no text is refused where the document is read
		}
		protocol, host, port, path, wrong := declarative.SplitURL(raw)
		if wrong != "" {
			f.fail("url", wrong)
			return
		}
		delete(doc, "url")
		doc["protocol"], doc["host"], doc["port"], doc["path"] = protocol, host, port, nil
		if port == 0 {
			doc["port"] = defaultPort(protocol)
		}
		if path != "" {
			doc["path"] = path
		}
	},
	show: func(_ *call, doc document) document {
		protocol, _ := doc["protocol"].(string)
		return complete(doc, document{
			"name": nil, "protocol": "http", "host": nil, "port": defaultPort(protocol), "path": nil, "retries": 5,
			"connect_timeout": 60000, "write_timeout": 60000, "read_timeout": 60000, "enabled": true, "tags": nil,
			"tls_verify": nil, "tls_verify_depth": nil, "ca_certificates": nil, "client_certificate": nil,
			"created_at": nil, "updated_at": nil,
		})
	},
	file: func(f *declarative.File) (list []fileEntity) {
		for _, s := range f.Services {
			if s.Beside {
				continue
			}
			list = append(list, fileEntity{id: s.ID, name: s.Name, tags: s.Tags, doc: func() document { return serviceDocument(s) }})
		}
		return list
	},
}

func defaultPort(protocol string) int {
	if protocol == "https" || protocol == "grpcs" {
		return 443
	}
	return 80
}

// text returns a text as JSON has it, null for an empty one.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func serviceDocument(s *declarative.Service) document {
	doc := document{
		"id": s.ID, "name": text(s.Name), "protocol": s.Protocol, "host": s.Host, "port": s.Port, "path": text(s.PathPrefix),
		"retries": s.Retries, "connect_timeout": s.ConnectTimeout, "write_timeout": s.WriteTimeout, "read_timeout": s.ReadTimeout,
		"enabled": s.Enabled, "tags": anyOf(s.Tags),
	}
	if !s.Verify {
		doc["tls_verify"] = false
	}
	for _, ca := range s.CAs {
		list, _ := doc["ca_certificates"].([]any)
		doc["ca_certificates"] = append(list, ca.ID)
	}
	return doc
}
