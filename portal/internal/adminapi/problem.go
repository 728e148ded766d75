package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// problem is an answer that is no success. Code and Name are Kong's
// (kong/db/errors.lua); 0 and "" for those without.
type problem struct {
	status  int
	Code    int            `json:"code,omitempty"`
	Name    string         `json:"name,omitempty"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`
}

// Error implements error.
func (p *problem) Error() string { return p.Message }

// Refusals without fields.
var (
	errHost     = &problem{status: http.StatusForbidden, Message: "the admin API answers only to loopback host names, and those that it was told"}
	errRate     = &problem{status: http.StatusTooManyRequests, Message: "API rate limit exceeded"}
	errToken    = &problem{status: http.StatusUnauthorized, Message: "the admin API needs a token that is in force, as Authorization: Bearer or Kong-Admin-Token: the first one is in the file admin-token of the state directory"}
	errNotFound = &problem{status: http.StatusNotFound, Message: "Not found"}
	errMethod   = &problem{status: http.StatusMethodNotAllowed, Message: "Method not allowed"}
	errReadOnly = &problem{status: http.StatusMethodNotAllowed, Message: "cannot change entities: there is no registry (--registry sqlite:PATH, or postgres://…), and the declarative file is read-only here"}
	errTooLarge = &problem{status: http.StatusRequestEntityTooLarge, Message: "the body is larger than 1 MiB"}
	errType     = &problem{status: http.StatusUnsupportedMediaType, Message: "expected Content-Type: application/json or application/x-www-form-urlencoded"}
	errJSON     = &problem{status: http.StatusBadRequest, Message: "Cannot parse JSON body"}
	errQuery    = &problem{status: http.StatusBadRequest, Message: "Cannot parse the query"}
	errOffset   = &problem{status: http.StatusBadRequest, Code: 7, Name: "invalid offset", Message: "'offset' is not a page of this list"}
	errSize     = &problem{status: http.StatusBadRequest, Code: 9, Name: "invalid size", Message: "size must be an integer between 1 and 1000"}
	errOurs     = &problem{status: http.StatusServiceUnavailable, Message: "the registry does not answer"}
)

// forbidden is the answer to a token without a role for it.
func forbidden(needs roles) error {
	return &problem{status: http.StatusForbidden, Message: "this token may not do that: expected the role " + strings.Join(needs.names(), " or ")}
}

// ofFile is the answer to a write to an entity of the file.
func ofFile(kind, name string) error {
	return &problem{status: http.StatusMethodNotAllowed, Code: 12, Name: "operation unsupported",
		Message: fmt.Sprintf("cannot change %s: it is one of the %s of the declarative file, which is where to change it", strconv.Quote(cut(name)), kind)}
}

// maxSaid bounds what is said of one value, in bytes: it may be as long as a body.
const maxSaid = 400

func cut(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	return strings.ToValidUTF8(s[:maxSaid], "") + "…"
}

// violation is Kong's answer to fields that are wrong: names of fields, with dots and
// brackets for what is in them, and what is wrong with each. "@entity" is the whole.
func violation(fields map[string]string) error {
	p := &problem{status: http.StatusBadRequest, Code: 2, Name: "schema violation", Fields: map[string]any{}}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text := cut(fields[name])
		if name == "@entity" {
			p.Fields[name] = []string{text}
			said = append(said, text)
			continue
		}
		put(p.Fields, steps(name), text)
		said = append(said, name+": "+text)
	}
	p.Message = "schema violation (" + strings.Join(said, "; ") + ")"
	if len(said) > 1 {
		p.Message = strconv.Itoa(len(said)) + " schema violations (" + strings.Join(said, "; ") + ")"
	}
	return p
}

// steps parts config.scopes[1] into config, scopes and 1.
func steps(name string) []string {
	return strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '[' || c == ']' })
}

// maxListed bounds the length of a list that says which element is wrong.
const maxListed = 100

// put puts a text where steps lead. A number is an element of a list: what is before it is
// null, as Kong writes a sparse list.
func put(in map[string]any, path []string, text string) {
	if len(path) == 0 {
		in["@entity"] = []string{text}
		return
	}
	key := path[0]
	if len(path) == 1 {
		in[key] = text
		return
	}
	if i, err := strconv.Atoi(path[1]); err == nil {
		list, _ := in[key].([]any)
		if _, taken := in[key].(string); taken || i < 0 || i > maxListed {
			in[key] = text
			return
		}
		for len(list) <= i {
			list = append(list, nil)
		}
		list[i] = text
		in[key] = list
		return
	}
	inner, ok := in[key].(map[string]any)
	if !ok {
		if _, taken := in[key]; taken {
			return
		}
		inner = map[string]any{}
		in[key] = inner
	}
	put(inner, path[1:], text)
}

// taken is Kong's answer to a unique field that another entity has. A value that is not
// said, because it is a secret, is shown as one.
func taken(field string, value any) error {
	if value == nil || value == "" {
		value = hidden
	}
	shown, _ := json.Marshal(value)
	return &problem{status: http.StatusConflict, Code: 5, Name: "unique constraint violation",
		Message: fmt.Sprintf("UNIQUE violation detected on '{%s=%s}'", field, shown), Fields: map[string]any{field: value}}
}

// foreign is Kong's answer to a reference to what does not exist.
func foreign(field, collection string, value any) error {
	shown, _ := json.Marshal(value)
	return &problem{status: http.StatusBadRequest, Code: 4, Name: "foreign key violation",
		Message: fmt.Sprintf("the foreign key '%s' does not reference an existing '%s' entity.", shown, collection),
		Fields:  map[string]any{field: value}}
}

// referenced is Kong's answer to the end of an entity that others need.
func referenced(collection, by string) error {
	return &problem{status: http.StatusBadRequest, Code: 4, Name: "foreign key violation",
		Message: fmt.Sprintf("an existing '%s' entity references this '%s' entity", by, collection),
		Fields:  map[string]any{"@referenced_by": by}}
}

// refused is the answer to a write after which the configuration could not be loaded: what
// is wrong with the entity itself, else with what it is about.
func refused(problems declarative.Problems, about string) error {
	fields := map[string]string{}
	add := func(field string, p declarative.Problem) {
		if _, there := fields[field]; !there {
			fields[field] = p.Text
		}
	}
	for _, p := range problems {
		if entity, field, ok := p.FurtherField(); ok && entity == about {
			if field == "" {
				field = "@entity"
			}
			add(field, p)
		}
	}
	if len(fields) == 0 {
		for _, p := range problems {
			text := p
			text.Text = cut(p.Path + ": " + p.Text)
			add("@entity", text)
		}
	}
	return violation(fields)
}

// problem returns the answer to an error. What is no fault of the caller's is logged, and
// not told.
func (c *call) problem(err error) (status int, body any) {
	var p *problem
	var conflict *registry.Conflict
	var invalid *registry.Invalid
	switch {
	case errors.As(err, &p):
	case errors.As(err, &conflict):
		_ = errors.As(taken(conflict.Field, conflict.Value), &p)
	case errors.As(err, &invalid):
		switch {
		case invalid.Fields["offset"] != "":
			p = errOffset
		case invalid.Fields["size"] != "":
			p = errSize
		default:
			fields := maps.Clone(invalid.Fields)
			if text := fields["json"]; text != "" { // the whole, as it is kept
				delete(fields, "json")
				fields["@entity"] = text
			}
			_ = errors.As(violation(fields), &p)
		}
	case errors.Is(err, registry.ErrNotFound):
		p = errNotFound
	default:
		c.Logger.Error("the admin API cannot answer", "method", c.r.Method, "error", err)
		p = errOurs
	}
	switch p.status {
	case http.StatusUnauthorized:
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		c.w.Header().Set("Retry-After", "1")
	}
	return p.status, p
}

// reply writes an answer; a nil body is none.
func reply(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if raw, ok := body.([]byte); ok {
		_, _ = w.Write(raw) // the client is gone: nobody to tell
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // so that next can be copied as it is shown
	_ = enc.Encode(body)
}
