package adminapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/version"
)

// schema is one of OpenAPI 3.0.
type schema = map[string]any

func of(kind string, more ...any) schema {
	s := schema{"type": kind}
	for i := 0; i+1 < len(more); i += 2 {
		s[more[i].(string)] = more[i+1]
	}
	return s
}

func orNothing(s schema) schema {
	s = maps.Clone(s)
	s["nullable"] = true
	return s
}

// member is a member of an entity: how it is shown, and how it is written.
type member struct {
	name string
	// shown is nil for what is only written, written for what is only shown.
	shown, written schema
	required       bool // when an entity is made
}

// shape is an entity.
type shape struct {
	members []member
	hidden  []string // members that are not shown in every answer
}

var (
	textOf     = of("string")
	uuidOf     = of("string", "format", "uuid")
	wholeOf    = of("integer", "format", "int64")
	flagOf     = of("boolean")
	textsOf    = of("array", "items", textOf)
	tagsSchema = of("array", "items", of("string", "minLength", 1, "maxLength", 128, "pattern", `^[^,/]+$`), "maxItems", 50)
	anyObject  = of("object", "additionalProperties", true)
	idOf       = of("object", "properties", schema{"id": uuidOf}, "required", []string{"id"}, "additionalProperties", false)
	// refOf is a reference that is written: by id, or by another name.
	refOf     = schema{"oneOf": []any{of("string", "minLength", 1), of("object", "additionalProperties", textOf, "minProperties", 1)}}
	millis    = of("integer", "minimum", 1, "maximum", 1<<31-2)
	statusNow = of("integer", "enum", []int{0, 1, 2, 3}, "description", "0 approved, 1 requested, 2 rejected, 3 revoked")
)

func both(name string, s schema) member {
	return member{name: name, shown: orNothing(s), written: orNothing(s)}
}
func always(name string, s schema) member {
	return member{name: name, shown: s, written: s, required: true}
}
func shownOnly(name string, s schema) member { return member{name: name, shown: s, written: nil} }
func onlyWritten(name string, s schema) member {
	return member{name: name, written: s}
}

var (
	id       = member{name: "id", shown: uuidOf, written: orNothing(uuidOf)}
	tagList  = both("tags", tagsSchema)
	created  = shownOnly("created_at", orNothing(wholeOf))
	updated  = shownOnly("updated_at", orNothing(wholeOf))
	consumer = member{name: "consumer", shown: idOf, written: refOf}
)

// shapes are the entities by the names that the table has them by.
var shapes = map[string]shape{
	"service": {members: []member{
		id, both("name", textOf), onlyWritten("url", of("string")), both("protocol", of("string", "enum", []any{"http", "https", "grpc", "grpcs", nil})), both("host", textOf),
		both("port", of("integer", "minimum", 0, "maximum", 65535)), both("path", textOf), both("retries", of("integer", "minimum", 0, "maximum", 32767)),
		both("connect_timeout", millis), both("write_timeout", millis), both("read_timeout", millis), both("enabled", flagOf), tagList,
		both("tls_verify", flagOf), shownOnly("tls_verify_depth", orNothing(wholeOf)), both("ca_certificates", textsOf),
		shownOnly("client_certificate", orNothing(anyObject)), created, updated,
	}},
	"route": {members: []member{
		id, both("name", textOf), both("protocols", of("array", "items", of("string", "enum", []string{"http", "https", "grpc", "grpcs"}))),
		both("methods", textsOf), both("hosts", textsOf), both("paths", textsOf),
		both("headers", of("object", "additionalProperties", textsOf)), both("strip_path", flagOf), both("preserve_host", flagOf),
		both("regex_priority", of("integer", "minimum", 0, "maximum", 1<<31)), both("https_redirect_status_code", of("integer", "enum", []any{426, 301, 302, 307, 308, nil})),
		shownOnly("path_handling", orNothing(textOf)), both("request_buffering", flagOf), both("response_buffering", flagOf),
		shownOnly("snis", orNothing(textsOf)), shownOnly("sources", orNothing(of("array", "items", anyObject))), shownOnly("destinations", orNothing(of("array", "items", anyObject))),
		{name: "service", shown: orNothing(idOf), written: refOf}, tagList, created, updated,
	}},
	"plugin": {members: []member{
		id, always("name", of("string", "minLength", 1)), both("instance_name", textOf), both("enabled", flagOf),
		both("protocols", of("array", "items", of("string", "enum", []string{"http", "https", "grpc", "grpcs", "ws", "wss"}))), both("config", anyObject),
		{name: "service", shown: orNothing(idOf), written: refOf}, {name: "route", shown: orNothing(idOf), written: refOf},
		{name: "consumer", shown: orNothing(idOf), written: refOf}, tagList, created, updated,
	}},
	"consumer": {members: []member{id, both("username", of("string", "maxLength", 255)), both("custom_id", of("string", "maxLength", 255)), tagList, created, updated}},
	"key-auth": {members: []member{id, both("key", of("string", "maxLength", 512)), shownOnly("key_hint", orNothing(textOf)),
		both("ttl", of("integer", "minimum", 0, "maximum", maxTTL)), both("expires_at", of("integer", "format", "int64", "minimum", 0, "maximum", maxTime)), consumer, tagList, created}},
	"basic-auth": {members: []member{id, always("username", of("string", "minLength", 1, "maxLength", 255)),
		{name: "password", written: of("string", "minLength", 1, "maxLength", 1024), required: true}, consumer, tagList, created}},
	"jwt": {members: []member{id, both("key", of("string", "maxLength", 512)), both("secret", of("string", "maxLength", 4096)), both("algorithm", textOf),
		both("rsa_public_key", textOf), shownOnly("jwks_uri", textOf), consumer, tagList, created}, hidden: []string{"jwks_uri"}},
	"acl": {members: []member{id, always("group", of("string", "minLength", 1, "maxLength", 255)), consumer, tagList, created}, hidden: []string{"id"}},
	"developer": {members: []member{shownOnly("id", uuidOf), always("email", of("string", "minLength", 3, "maxLength", 254)), both("name", of("string", "maxLength", 255)),
		{name: "status", shown: statusNow, written: statusNow}, {name: "meta", shown: of("string", "description", "JSON of an object"), written: schema{"oneOf": []any{textOf, of("object", "additionalProperties", textOf)}}},
		both("issuer", textOf), both("subject", textOf), created, updated}},
	"application": {members: []member{shownOnly("id", uuidOf), always("name", of("string", "minLength", 1, "maxLength", 255)), both("description", of("string", "maxLength", 4000)),
		both("redirect_uri", of("string", "maxLength", 2048)), both("custom_id", of("string", "maxLength", 255)), {name: "consumer", shown: idOf}, {name: "developer", shown: idOf, written: refOf}, created, updated}},
	"application_instance": {members: []member{shownOnly("id", uuidOf), shownOnly("composite_id", textOf), {name: "application", shown: idOf},
		{name: "service", shown: of("object", "properties", schema{"id": orNothing(uuidOf), "name": textOf}, "required", []string{"id", "name"}, "additionalProperties", false), written: refOf, required: true},
		{name: "status", shown: statusNow}, {name: "suspended", shown: flagOf}, created, updated}},
	"audit": {members: []member{shownOnly("seq", wholeOf), shownOnly("at", of("string", "format", "date-time")),
		shownOnly("actor", of("object", "additionalProperties", textOf)), shownOnly("action", textOf), shownOnly("kind", textOf), shownOnly("id", textOf), shownOnly("detail", textOf)}},
	"admin_token": {members: []member{shownOnly("id", uuidOf), always("name", of("string", "minLength", 1, "maxLength", 255)),
		always("roles", of("array", "items", of("string", "enum", anybody.names()), "minItems", 1, "maxItems", 16)), shownOnly("token", textOf), both("expires_at", of("integer", "format", "int64", "minimum", 0, "maximum", maxTime)),
		shownOnly("created_at", orNothing(wholeOf)), shownOnly("last_used_at", orNothing(wholeOf))}, hidden: []string{"token"}},
}

// patches are what may be changed of an entity where that is not what may be said of a
// new one.
var patches = map[string][]member{
	"application_instance": {onlyWritten("status", statusNow), onlyWritten("suspended", flagOf)},
	"application": {onlyWritten("name", of("string", "minLength", 1, "maxLength", 255)), onlyWritten("description", orNothing(of("string", "maxLength", 4000))),
		onlyWritten("redirect_uri", orNothing(of("string", "maxLength", 2048))), onlyWritten("custom_id", orNothing(of("string", "maxLength", 255)))},
}

// answer returns the schema of an entity as it is shown.
func (s shape) answer() schema {
	properties, required := schema{}, []string{}
	for _, m := range s.members {
		if m.shown == nil {
			continue
		}
		properties[m.name] = m.shown
		if !slices.Contains(s.hidden, m.name) {
			required = append(required, m.name)
		}
	}
	return of("object", "properties", properties, "required", required, "additionalProperties", false)
}

// body returns the schema of a body.
func body(members []member, needed bool) schema {
	properties, required := schema{}, []string{}
	for _, m := range members {
		if m.written == nil {
			continue
		}
		properties[m.name] = m.written
		if m.required && needed {
			required = append(required, m.name)
		}
	}
	s := of("object", "properties", properties, "additionalProperties", false)
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

// describe returns the OpenAPI 3.0 document of the table.
func describe(list []endpoint) []byte {
	schemas := schema{
		"object": anyObject,
		"node":   anyObject,
		"status": anyObject,
		"problem": of("object", "required", []string{"message"}, "additionalProperties", false, "properties", schema{
			"message": textOf, "code": of("integer"), "name": textOf, "fields": anyObject,
		}),
	}
	paths := map[string]schema{}
	for _, e := range list {
		for _, name := range []string{e.in, e.out} {
			if s, ok := shapes[name]; ok {
				schemas[name] = s.answer()
			}
		}
		if e.list {
			schemas[e.out+"_page"] = of("object", "required", []string{"data", "next"}, "additionalProperties", false, "properties", schema{
				"data": of("array", "items", ref(e.out)), "next": orNothing(textOf), "offset": textOf,
			})
		}
		if e.in != "" {
			name, s := bodyOf(e)
			schemas[name] = s
		}
		if paths[e.path] == nil {
			paths[e.path] = schema{}
		}
		paths[e.path][strings.ToLower(e.method)] = operation(e)
	}
	document := schema{
		"openapi": "3.0.3",
		"info": schema{"title": "Sallyport admin API", "version": version.String(),
			"description": "Kong's paths and shapes over the declarative file, which is read-only here, and the registry. x-roles names who may."},
		"paths":    paths,
		"security": []any{schema{"bearer": []string{}}, schema{"token": []string{}}},
		"components": schema{"schemas": schemas, "securitySchemes": schema{
			"bearer": schema{"type": "http", "scheme": "bearer"},
			"token":  schema{"type": "apiKey", "in": "header", "name": "Kong-Admin-Token"},
		}},
	}
	out, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		panic(err) // maps, lists and texts
	}
	return out
}

// bodyOf returns the schema of an endpoint's body and its name.
func bodyOf(e endpoint) (string, schema) {
	if e.method == http.MethodPost {
		return e.in + "_new", body(shapes[e.in].members, true)
	}
	if members, ok := patches[e.in]; ok {
		return e.in + "_change", body(members, false)
	}
	return e.in + "_change", body(shapes[e.in].members, false)
}

func operation(e endpoint) schema {
	responses := schema{}
	problem := schema{"description": "refused", "content": schema{"application/json": schema{"schema": ref("problem")}}}
	refusals := append([]int{400, 401, 403, 404, 429, 503}, e.also...)
	if e.writes {
		refusals = append(refusals, 405)
	}
	if e.in != "" {
		refusals = append(refusals, 413, 415)
	}
	for _, status := range refusals {
		responses[strconv.Itoa(status)] = problem
	}
	done := schema{"description": "done"}
	if e.out != "" {
		name := e.out
		if e.list {
			name += "_page"
		}
		done["content"] = schema{"application/json": schema{"schema": ref(name)}}
	}
	responses[strconv.Itoa(e.status)] = done
	op := schema{"summary": e.summary, "operationId": operationID(e), "responses": responses, "x-roles": e.roles.names()}
	var parameters []schema
	for _, part := range split(e.path) {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, schema{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": of("string", "minLength", 1)})
		}
	}
	if e.list {
		parameters = append(parameters,
			schema{"name": "size", "in": "query", "schema": of("integer", "minimum", 1, "maximum", maxSize, "default", defaultSize)},
			schema{"name": "offset", "in": "query", "schema": textOf})
		for _, name := range e.filters {
			parameters = append(parameters, schema{"name": name, "in": "query", "schema": textOf})
		}
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if e.in != "" {
		name, _ := bodyOf(e)
		media := schema{"schema": ref(name)}
		op["requestBody"] = schema{"required": e.method == http.MethodPost,
			"content": schema{"application/json": media, "application/x-www-form-urlencoded": media}}
	}
	return op
}

func operationID(e endpoint) string {
	return fmt.Sprintf("%s_%s", strings.ToLower(e.method), strings.Trim(strings.NewReplacer("/", "_", "{", "", "}", "").Replace(e.path), "_"))
}
