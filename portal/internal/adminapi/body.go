package adminapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/adminform"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// maxBody bounds a body, in bytes.
const maxBody = 1 << 20

// bodyLimits bound what is in one.
var bodyLimits = jsonx.Limits{Bytes: maxBody, Depth: 12, Nodes: 1 << 14}

// body reads the body of a request as one object: of a form of a kind, and perhaps of a
// plugin (see adminform.Entity), or of JSON. No body is an empty object. Numbers are int64, or float64
// where they are no integers.
func (c *call) body(kind, plugin string) (map[string]any, error) {
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, &problem{status: http.StatusBadRequest, Message: "the body could not be read"}
	case len(data) == 0:
		return map[string]any{}, nil
	case c.r.Header.Get("Content-Encoding") != "":
		return nil, errType
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return nil, errType
	}
	switch media {
	case "application/json":
		return jsonBody(string(data))
	case "application/x-www-form-urlencoded":
		return formBody(kind, plugin, string(data))
	}
	return nil, errType
}

func jsonBody(src string) (map[string]any, error) {
	doc, err := jsonx.Parse(src, bodyLimits)
	if err != nil {
		return nil, errJSON
	}
	object, ok := valueOf(doc.Root()).(map[string]any)
	if !ok {
		return nil, errJSON
	}
	return object, nil
}

// valueOf returns a JSON value in Go's types. Its depth was bounded where it was parsed.
func valueOf(v jsonx.Value) any {
	switch v.Kind() {
	case jsonx.Object:
		m := map[string]any{}
		for c := v.Cursor(); c.Next(); {
			m[c.Name()] = valueOf(c.Value())
		}
		return m
	case jsonx.Array:
		list := []any{}
		for c := v.Cursor(); c.Next(); {
			list = append(list, valueOf(c.Value()))
		}
		return list
	case jsonx.String:
		s, _ := v.Text()
		return s
	case jsonx.True, jsonx.False:
		b, _ := v.Bool()
		return b
	case jsonx.Number:
		if i, ok := v.Int(); ok {
			return i
		}
		return json.Number(v.Raw())
	}
	return nil
}

func formBody(kind, plugin, src string) (map[string]any, error) {
	fields, err := adminform.Parse(src)
	var e *yaml.Node
	if err == nil {
		e, err = adminform.Entity(kind, plugin, fields)
	}
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, Message: "the body " + cut(err.Error())}
	}
	object, ok := ofForm(e).(map[string]any)
	if !ok {
		return nil, &problem{status: http.StatusBadRequest, Message: "the body cannot be decoded: expected UTF-8"}
	}
	return object, nil
}

// ofForm returns what a form says in Go's types, nil with a text that is not UTF-8.
func ofForm(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			v := ofForm(value)
			if v == nil && value.Tag != "!!null" || !utf8.ValidString(name) {
				return nil
			}
			m[name] = v
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, e := range n.Content {
			v := ofForm(e)
			if v == nil && e.Tag != "!!null" {
				return nil
			}
			list = append(list, v)
		}
		return list
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
	}
	if !utf8.ValidString(n.Value) {
		return nil
	}
	return n.Value
}
