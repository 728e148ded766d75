package convert

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/adminform"
)

// Options of httpie, and of xh, by whether an argument follows.
var (
	httpFlags = names(`-f --form -j --json -v --verbose -b --body -h --headers -m --meta -F --follow -d --download --ignore-stdin --check-status -q --quiet
		-I --offline --multipart --pretty --stream -S --all -x --compress`)
	httpArguments = names(`-a --auth -A --auth-type --verify --timeout -o --output -p --print --proxy --cert --cert-key --session -s --style
		--default-scheme --max-redirects --max-headers`)
)

// httpie reads the words behind http: options, a method, a URL, and items.
func httpie(words []word) (c call, err error) {
	var rest []word
	for i := 0; i < len(words); i++ {
		w := words[i].text
		if err := words[i].told(); err != nil {
			return c, err
		}
		name, _, hasValue := strings.Cut(w, "=")
		switch {
		case isRedirect(w):
			if strings.HasSuffix(w, ">") {
				i++
			}
		case !strings.HasPrefix(w, "-") || len(w) < 2:
			rest = append(rest, words[i])
		case httpFlags[name], httpArguments[name] && hasValue:
		case httpArguments[name]:
			i++
		default:
			return c, fmt.Errorf("has the option %s, which is not known here", name)
		}
	}
	if len(rest) > 0 && isMethod(rest[0].text) {
		c.method, rest = strings.ToUpper(rest[0].text), rest[1:]
	}
	if len(rest) == 0 {
		return c, errors.New("has no URL")
	}
	address, err := rest[0].address()
	if err != nil {
		return c, err
	}
	if c.path, err = apiPath(address); err != nil {
		return c, err
	}
	for _, w := range rest[1:] {
		if _, sent, err := httpItem(w.text); err == nil && !sent {
			continue // a header or a parameter of the query, whatever it says
		}
		item, err := w.value()
		if err != nil {
			return c, err
		}
		f, _, err := httpItem(item)
		if err != nil {
			return c, err
		}
		c.fields = append(c.fields, f)
	}
	if c.method == "" {
		c.method = "GET"
		if len(c.fields) > 0 {
			c.method = "POST"
		}
	}
	return c, nil
}

func isMethod(s string) bool {
	switch strings.ToUpper(s) {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// httpItem reads name=text, name:=json, name==query and Name:header: the separator that
// comes first decides. sent says that it belongs to the body.
func httpItem(item string) (f adminform.Field, sent bool, err error) {
	for i := 0; i < len(item); i++ {
		rest := item[i:]
		switch {
		case strings.HasPrefix(rest, ":=@"), strings.HasPrefix(rest, "=@"), rest[0] == '@':
			return f, false, errors.New("has a field that is in a file: write its content out")
		case strings.HasPrefix(rest, ":="):
			var value *yaml.Node
			value, err = jsonValue(rest[2:])
			return adminform.Field{Name: item[:i], JSON: value}, true, err
		case strings.HasPrefix(rest, "=="), rest[0] == ':':
			return f, false, nil
		case rest[0] == '=':
			return adminform.Field{Name: item[:i], Text: rest[1:]}, true, nil
		}
	}
	return f, false, errors.New("has a word that is no item: expected name=value")
}
