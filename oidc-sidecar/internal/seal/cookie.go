package seal

import (
	"errors"
	"strconv"
	"strings"
)

const (
	// MaxChunks is how many cookies a value may take.
	MaxChunks = 8
	// MaxCookie is how long a cookie may be in bytes, with its name and its
	// attributes: browsers take 4096.
	MaxCookie = 4000
)

// Errors of Split and Join.
var (
	ErrTooLarge = errors.New("seal: the value does not fit into the cookies")
	// ErrAbsent: none of the cookies is there.
	ErrAbsent = errors.New("seal: there is no such cookie")
	// ErrChunks: some are there, but not exactly those that Split made.
	ErrChunks = errors.New("seal: cookies of one value are missing, superfluous or doubled")
)

// Cookie is a name and a value.
type Cookie struct{ Name, Value string }

// Names returns all the names that a value may take: name, name_2 … name_8. They
// belong to one value; of two values with the names "a" and "a_2" neither could
// be read. Those behind the last chunk in use have to be deleted when a shorter
// value takes the place of a longer one, as Join refuses what is left over.
func Names(name string) []string {
	names := make([]string, MaxChunks)
	for i := range names {
		names[i] = chunkName(name, i)
	}
	return names
}

func chunkName(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "_" + strconv.Itoa(i+1)
}

// Split cuts a value, a text of Seal, into cookies none of which is longer than
// limit bytes, with name, "=", value and attributes, the length of all that
// follows the value (0 for a cookie without attributes). A limit of 0 is MaxCookie.
// The error is ErrTooLarge.
func Split(name, value string, limit, attributes int) ([]Cookie, error) {
	if limit == 0 {
		limit = MaxCookie
	}
	if len(value) > MaxText {
		return nil, ErrTooLarge
	}
	var cookies []Cookie
	for i, rest := 0, value; i == 0 || rest != ""; i++ {
		c := Cookie{Name: chunkName(name, i)}
		room := limit - attributes - len(c.Name) - 1
		if i == 0 {
			room -= len("8.")
		}
		if i == MaxChunks || room < 0 || room == 0 && rest != "" {
			return nil, ErrTooLarge
		}
		c.Value, rest = rest[:min(room, len(rest))], rest[min(room, len(rest)):]
		cookies = append(cookies, c)
	}
	cookies[0].Value = strconv.Itoa(len(cookies)) + "." + cookies[0].Value
	return cookies, nil
}

// Join returns the value that Split cut, from the cookies of a request in any
// order, among others. The error is ErrAbsent or ErrChunks. A value that is
// returned may still be put together by a client from chunks of others: it means
// nothing until Open accepts it.
func Join(name string, cookies []Cookie) (string, error) {
	var chunks [MaxChunks]string
	var present [MaxChunks]bool
	names := Names(name)
	found, size := 0, 0
	for _, c := range cookies {
		for i := range names {
			if c.Name != names[i] {
				continue
			}
			if present[i] {
				return "", ErrChunks
			}
			present[i], chunks[i] = true, c.Value
			found++
			size += len(c.Value)
		}
	}
	if found == 0 {
		return "", ErrAbsent
	}
	first, ok := strings.CutPrefix(chunks[0], strconv.Itoa(found)+".")
	if !ok || size > MaxText+len("8.") {
		return "", ErrChunks
	}
	chunks[0] = first
	for i := range found {
		if !present[i] || chunks[i] == "" && found > 1 {
			return "", ErrChunks
		}
	}
	return strings.Join(chunks[:found], ""), nil
}
