package adminapi

import (
	"fmt"
	"strings"
	"time"
)

// fields reads the members of a body one by one. What is wrong is collected; what nobody
// has asked for in the end is unknown, and refused.
type fields struct {
	body  map[string]any
	asked map[string]bool
	wrong map[string]string
}

func newFields(body map[string]any) *fields {
	return &fields{body: body, asked: map[string]bool{"created_at": true, "updated_at": true}, wrong: map[string]string{}}
}

// get returns a member; given is false where the body does not have it. Null is given,
// and nil.
func (f *fields) get(name string) (value any, given bool) {
	f.asked[name] = true
	value, given = f.body[name]
	return value, given
}

func (f *fields) fail(name, text string) {
	if f.wrong[name] == "" {
		f.wrong[name] = text
	}
}

// text reads a string into dst, which null empties, and reports whether there was one.
func (f *fields) text(name string, dst *string) (given bool) {
	value, given := f.get(name)
	switch v := value.(type) {
	case nil:
		if given {
			*dst = ""
		}
	case string:
		*dst = v
	default:
		f.fail(name, "expected a string")
	}
	return given
}

// texts reads a list of strings.
func (f *fields) texts(name string, dst *[]string) (given bool) {
	value, given := f.get(name)
	switch v := value.(type) {
	case nil:
		if given {
			*dst = nil
		}
	case []any:
		list := make([]string, 0, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				f.fail(fmt.Sprintf("%s[%d]", name, i), "expected a string")
				return given
			}
			list = append(list, s)
		}
		*dst = list
	default:
		f.fail(name, "expected a list of strings")
	}
	return given
}

// number reads an integer between two others.
func (f *fields) number(name string, dst *int64, low, high int64) (given bool) {
	value, given := f.get(name)
	if value == nil {
		return false // null says nothing
	}
	n, ok := value.(int64)
	if !ok {
		f.fail(name, "expected an integer")
		return given
	}
	if n < low || n > high {
		f.fail(name, fmt.Sprintf("expected %d to %d", low, high))
		return given
	}
	*dst = n
	return given
}

// flag reads true or false.
func (f *fields) flag(name string, dst *bool) (given bool) {
	value, given := f.get(name)
	if value == nil {
		return false
	}
	b, ok := value.(bool)
	if !ok {
		f.fail(name, "expected true or false")
		return given
	}
	*dst = b
	return given
}

// reference reads a reference: an object with an id, or with one of the other names that
// an entity may be known by, or a string that is either.
func (f *fields) reference(name string, dst *string, names ...string) (given bool) {
	value, given := f.get(name)
	switch v := value.(type) {
	case nil:
		if given {
			*dst = ""
		}
	case string:
		*dst = v
	case map[string]any:
		*dst = ""
		for _, key := range append(names, "id") {
			if s, ok := v[key].(string); ok {
				*dst = s
			}
		}
		if *dst == "" || len(v) > 1+len(names) {
			f.fail(name, "expected an object with an id")
		}
	default:
		f.fail(name, "expected an object with an id")
	}
	return given
}

// moment reads a time in seconds since 1970; null is none.
func (f *fields) moment(name string, dst *time.Time) (given bool) {
	var n int64
	if value, given := f.get(name); given && value == nil {
		*dst = time.Time{}
		return true
	}
	if !f.number(name, &n, 0, maxTime) {
		return false
	}
	*dst = time.Time{}
	if n > 0 {
		*dst = time.Unix(n, 0)
	}
	return true
}

// maxTime is the end of the year 9999, in seconds since 1970.
const maxTime = 253402300799

// same refuses a member that says something else than the path does.
func (f *fields) same(name, want string) {
	var s string
	if f.text(name, &s) && s != "" && s != want {
		f.fail(name, "is not that of the path")
	}
}

// err returns what is wrong, what is unknown included.
func (f *fields) err() error {
	for name := range f.body {
		if !f.asked[name] {
			f.fail(plain(name), "unknown field")
		}
	}
	if len(f.wrong) > 0 {
		return violation(f.wrong)
	}
	return nil
}

// plain returns a member's name as one step of a name with dots (see violation).
func plain(name string) string {
	return cut(strings.Map(func(c rune) rune {
		if strings.ContainsRune(".[]", c) {
			return '_'
		}
		return c
	}, name))
}
