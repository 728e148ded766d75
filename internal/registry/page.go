package registry

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
)

// Page says which part of a list is wanted.
type Page struct {
	Size   int    // 1 … 1000; 0: 100
	Offset string // the Next of the page before; "": from the start
}

// List is a page. Lists go by id, from the oldest entity to the newest where ids were
// made here: what is added or removed meanwhile makes no page skip or repeat another's
// entities. The audit log goes from the newest row to the oldest.
type List[T any] struct {
	Data []T
	Next string // Offset of the next page; "": this was the last
}

// Bounds on pages.
const (
	defaultPage = 100
	maxPage     = 1000
	maxOffset   = 256 // bytes
)

// read returns the size of a page, and after which key of the list it begins. valid says
// what a key may be.
func (p Page) read(list string, valid func(string) bool) (size int, after string, err error) {
	if size = p.Size; size == 0 {
		size = defaultPage
	}
	if size < 1 || size > maxPage {
		return 0, "", invalid("size", "is %d: expected 1 to %d", p.Size, maxPage)
	}
	if p.Offset == "" {
		return size, "", nil
	}
	after, ok := decodeOffset(list, p.Offset)
	if !ok || !valid(after) {
		return 0, "", invalid("offset", "is not one that was given out for this list")
	}
	return size, after, nil
}

// encodeOffset writes where a page of a list ends.
func encodeOffset(list, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + key))
}

// decodeOffset reads it. Every key has one text.
func decodeOffset(list, offset string) (key string, ok bool) {
	if len(offset) > maxOffset || strings.ContainsAny(offset, "\r\n") { // which the decoder skips
		return "", false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(offset)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(data), list+":")
}

// isSeq reports whether a text is the number of an audit row as it is written.
func isSeq(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// filter is what the rows of a list have to be.
type filter struct {
	where []string
	args  []any
}

func (f *filter) and(condition string, args ...any) {
	f.where, f.args = append(f.where, condition), append(f.args, args...)
}

// is asks for a value where there is one. What no field can hold is not asked for:
// Postgres would refuse the question.
func (f *filter) is(column, value string) {
	switch {
	case value == "":
	case badText(value, maxKey):
		f.and("1 = 0")
	default:
		f.and(column+" = ?", value)
	}
}

// contains asks for a part of a folded text.
func (f *filter) contains(column, part string) {
	if part != "" {
		f.and(column+` LIKE ? ESCAPE '\'`, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(fold(part))+"%")
	}
}

// tagged asks for all of the tags, or any of them.
func (f *filter) tagged(kind string, tags []string, anyOf bool) {
	if len(tags) == 0 {
		return
	}
	var parts []string
	var args []any
	for _, t := range tags {
		if badText(t, maxTag) {
			t = "" // which nothing is tagged with
		}
		parts, args = append(parts, `id IN (SELECT id FROM tags WHERE kind = ? AND tag = ?)`), append(args, kind, t)
	}
	word := " AND "
	if anyOf {
		word = " OR "
	}
	f.and("("+strings.Join(parts, word)+")", args...)
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.where, " AND ")
}

// table is how the rows of one entity are read.
type table[T any] struct {
	name    string // of the table, and of the list in offsets
	columns string
	from    string // with joins; "": name
	scan    func(scanner) (T, error)
	id      func(T) string
}

// pick returns the columns and where they are from.
func (t *table[T]) pick() string {
	from := t.from
	if from == "" {
		from = t.name
	}
	return `SELECT ` + t.columns + ` FROM ` + from
}

// one returns the row that a condition is for.
func (t *table[T]) one(ctx context.Context, c conn, condition string, args ...any) (T, error) {
	v, err := t.scan(c.row(ctx, t.pick()+` WHERE `+condition, args...))
	return v, missing(err)
}

// all returns every row that a condition is for, by id.
func (t *table[T]) all(ctx context.Context, c conn, condition string, args ...any) (list []T, err error) {
	err = c.rows(ctx, func(s scanner) error {
		v, err := t.scan(s)
		list = append(list, v)
		return err
	}, t.pick()+` WHERE `+condition+` ORDER BY `+t.name+`.id`, args...)
	return list, err
}

// page returns one page of the rows that a filter lets through.
func (t *table[T]) page(ctx context.Context, c conn, f *filter, p Page) (List[T], error) {
	size, after, err := p.read(t.name, isID)
	if err != nil {
		return List[T]{}, err
	}
	if after != "" {
		f.and(t.name+".id > ?", after)
	}
	out := List[T]{Data: []T{}}
	err = c.rows(ctx, func(s scanner) error {
		v, err := t.scan(s)
		out.Data = append(out.Data, v)
		return err
	}, t.pick()+f.String()+` ORDER BY `+t.name+`.id LIMIT `+strconv.Itoa(size+1), f.args...)
	if err != nil {
		return List[T]{}, err
	}
	if len(out.Data) > size {
		out.Data = out.Data[:size]
		out.Next = encodeOffset(t.name, t.id(out.Data[size-1]))
	}
	return out, nil
}
