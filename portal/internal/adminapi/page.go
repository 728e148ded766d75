package adminapi

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// Page sizes, as in Kong.
const (
	defaultSize = 100
	maxSize     = 1000
)

// pageJSON is a part of a list, as Kong shows it.
type pageJSON struct {
	Data   []any   `json:"data"`
	Next   *string `json:"next"`
	Offset string  `json:"offset,omitempty"`
}

// tagsOf are what ?tags= asks for: all of them, or any (a,b or a/b, as in Kong).
type tagsOf struct {
	list  []string
	anyOf bool
}

// fit reports whether an entity has the tags.
func (t tagsOf) fit(tags []string) bool {
	if len(t.list) == 0 {
		return true
	}
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	if t.anyOf {
		return slices.ContainsFunc(t.list, has)
	}
	return !slices.ContainsFunc(t.list, func(tag string) bool { return !has(tag) })
}

// query reads the query once. A parameter that comes twice is none that we could choose
// from.
func (c *call) query() (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, violation(map[string]string{plain(name): "stands in the query more than once"})
		}
	}
	return q, nil
}

// tags reads ?tags=.
func (c *call) tags() (t tagsOf, err error) {
	q, err := c.query()
	if err != nil || q.Get("tags") == "" {
		return t, err
	}
	text, by := q.Get("tags"), ","
	if strings.Contains(text, "/") {
		if t.anyOf, by = true, "/"; strings.Contains(text, ",") {
			return t, violation(map[string]string{"tags": "expected tags with commas between them (all of these) or with slashes (any of these)"})
		}
	}
	t.list = strings.Split(text, by)
	if len(t.list) > 10 || slices.Contains(t.list, "") {
		return t, violation(map[string]string{"tags": "expected one to ten tags"})
	}
	return t, nil
}

// Offsets say whether a page goes on among the file's entities, or the registry's.
const (
	inFile     = "f:"
	inRegistry = "r:"
)

// page answers a part of a list: first what the file has, then what the registry has.
// rest returns a page of the latter; nil for none.
func (c *call) page(file []any, rest func(registry.Page) ([]any, string, error)) (int, any, error) {
	q, err := c.query()
	if err != nil {
		return 0, nil, err
	}
	size, err := sizeOf(q.Get("size"))
	if err != nil {
		return 0, nil, err
	}
	from, where, err := place(q.Get("offset"), len(file))
	if err != nil {
		return 0, nil, err
	}
	out := pageJSON{Data: []any{}}
	next := ""
	if from < len(file) {
		end := min(len(file), from+size)
		for _, v := range file[from:end] {
			if secret, ok := v.(fileCredential); ok {
				if v, err = c.reveal(secret); err != nil {
					return 0, nil, err
				}
			}
			out.Data = append(out.Data, v)
		}
		if end < len(file) {
			next = inFile + strconv.Itoa(end)
		}
	}
	if next == "" && rest != nil && c.Registry != nil {
		if len(out.Data) == size { // the page is full: is there one more?
			next = inRegistry
		} else {
			more, after, err := rest(registry.Page{Size: size - len(out.Data), Offset: where})
			if err != nil {
				return 0, nil, err
			}
			out.Data = append(out.Data, more...)
			if after != "" {
				next = inRegistry + after
			}
		}
	}
	if next != "" {
		out.Offset = base64.RawURLEncoding.EncodeToString([]byte(next))
		q.Set("offset", out.Offset)
		to := c.r.URL.EscapedPath() + "?" + q.Encode()
		out.Next = &to
	}
	return http.StatusOK, out, nil
}

func sizeOf(text string) (int, error) {
	if text == "" {
		return defaultSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxSize {
		return 0, errSize
	}
	return n, nil
}

// place reads an offset: from which of the file's n entities on, or from where in the
// registry.
func place(offset string, n int) (from int, where string, err error) {
	if offset == "" {
		return 0, "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(offset)
	if err != nil || strings.ContainsAny(offset, "\r\n") { // which the decoder skips
		return 0, "", errOffset
	}
	if text, ok := strings.CutPrefix(string(data), inFile); ok {
		from, err := strconv.Atoi(text)
		if err != nil || from < 0 || strconv.Itoa(from) != text {
			return 0, "", errOffset
		}
		return min(from, n), "", nil // the file may have become shorter
	}
	where, ok := strings.CutPrefix(string(data), inRegistry)
	if !ok {
		return 0, "", errOffset
	}
	return n, where, nil
}

// each turns what the registry has into what is shown.
func each[T any](list registry.List[T], err error, show func(T) any) ([]any, string, error) {
	if err != nil {
		return nil, "", err
	}
	out := make([]any, len(list.Data))
	for i, v := range list.Data {
		out[i] = show(v)
	}
	return out, list.Next, nil
}
