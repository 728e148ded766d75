package convert

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/adminform"
)

// Options of curl by whether an argument follows. Those that are not here are refused:
// what follows one could be an argument or the URL.
var (
	curlFlags = names(`-i --include -s --silent -S --show-error -k --insecure -v --verbose -L --location -f --fail --fail-with-body -g --globoff
		-# --progress-bar -N --no-buffer --compressed --http1.1 --http2 -4 -6 -q --no-progress-meter -j`)
	curlArguments = names(`-H --header -o --output -u --user -A --user-agent -e --referer -b --cookie -c --cookie-jar -m --max-time
		-w --write-out --cacert --capath --cert -E --key --connect-timeout --retry --retry-delay --retry-max-time -x --proxy
		--resolve --unix-socket --max-redirs -D --dump-header`)
	curlData = names("-d --data --data-raw --data-ascii --data-binary --data-urlencode -F --form --form-string --json")
)

// curl reads the words behind curl.
func curl(words []word) (c call, err error) {
	address := ""
	asJSON, query := false, false
	var bodies [][2]string // option and argument
	for i := 0; i < len(words); i++ {
		w := words[i].text
		var argument string
		name, _, next := option(w)
		known := curlArguments[name] || curlData[name] || name == "-X" || name == "--request" || name == "--url"
		read := word.value
		if name == "" && !isRedirect(w) {
			read = word.address
		}
		if known && next {
			if i++; i >= len(words) {
				return c, fmt.Errorf("has %s without an argument", name)
			}
			switch {
			case name == "--url":
				read = word.address
			case curlArguments[name] && !isContentType(words[i].text):
				read = word.ignored
			}
			if argument, err = read(words[i]); err != nil {
				return c, err
			}
		} else if w, err = read(words[i]); err != nil {
			return c, err
		} else {
			name, argument, _ = option(w)
		}
		switch {
		case name == "" && isRedirect(w):
			if strings.HasSuffix(w, ">") {
				i++
			}
		case name == "" && address == "":
			address = w
		case name == "", name == "--url" && address != "":
			return c, errors.New("has two URLs, or a word that is none of its options")
		case name == "-X" || name == "--request":
			c.method = strings.ToUpper(argument)
		case name == "--url":
			address = argument
		case curlData[name]:
			bodies = append(bodies, [2]string{name, argument})
			asJSON = asJSON || name == "--json"
		case name == "-H" || name == "--header":
			_, value, _ := strings.Cut(argument, ":")
			asJSON = asJSON || isContentType(argument) && strings.Contains(strings.ToLower(value), "json")
		case name == "-G" || name == "--get":
			query = true
		case curlFlags[name] || known:
		default:
			return c, fmt.Errorf("has the option %s, which is not known here", name)
		}
	}
	for _, b := range bodies {
		fields, err := curlBody(b[0], b[1], asJSON)
		if err != nil {
			return c, err
		}
		c.fields = append(c.fields, fields...)
	}
	if c.method == "" {
		c.method = "GET"
		if len(bodies) > 0 && !query {
			c.method = "POST"
		}
	}
	c.path, err = apiPath(address)
	return c, err
}

// isContentType reports whether a header says what a body is.
func isContentType(header string) bool {
	name, _, _ := strings.Cut(header, ":")
	return strings.EqualFold(strings.TrimSpace(name), "content-type")
}

// option takes an option apart: --url x, -X post, -Xpost, -sSXpost. next says that its
// argument, if it has one, is the next word. name is empty for what is no option.
func option(w string) (name, argument string, next bool) {
	switch {
	case len(w) < 2 || w[0] != '-':
		return "", "", false
	case strings.HasPrefix(w, "--"):
		return w, "", true
	}
	for i := 1; i < len(w); i++ {
		short := "-" + w[i:i+1]
		switch {
		case short == "-X" || curlArguments[short] || curlData[short]:
			return short, w[i+1:], i+1 == len(w)
		case !curlFlags[short]:
			return w, "", true
		}
	}
	return "-s", "", false
}

func isRedirect(w string) bool {
	return strings.HasPrefix(strings.TrimLeft(w, "012"), ">")
}

// curlBody returns the fields of one of curl's options for data.
func curlBody(name, argument string, asJSON bool) ([]adminform.Field, error) {
	key, value, hasValue := strings.Cut(argument, "=")
	switch name {
	case "-F", "--form", "--form-string":
		if !hasValue || name != "--form-string" && (strings.HasPrefix(value, "@") || strings.HasPrefix(value, "<")) {
			return nil, errors.New("has a field that is in a file: write its content out")
		}
		return []adminform.Field{{Name: key, Text: value}}, nil
	case "--data-urlencode":
		if !hasValue || strings.Contains(key, "@") {
			return nil, errors.New("has a field that is in a file, or has no name")
		}
		return []adminform.Field{{Name: key, Text: value}}, nil
	}
	if strings.HasPrefix(argument, "@") && name != "--data-raw" {
		return nil, errors.New("has its body in a file: write it out")
	}
	if asJSON || strings.HasPrefix(strings.TrimSpace(argument), "{") {
		return jsonFields(argument)
	}
	// A reference has no characters that a form encodes.
	return adminform.Parse(argument)
}

// apiPath returns the parts of the path of a URL, which may be written without a scheme
// or a host.
func apiPath(address string) ([]string, error) {
	switch {
	case strings.HasPrefix(address, ":"):
		address = "http://localhost" + address
	case !strings.Contains(address, "://"):
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || address == "http://" {
		return nil, errors.New("has no URL that can be read")
	}
	var path []string
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		if part != "" {
			part, _ = url.PathUnescape(part)
			path = append(path, part)
		}
	}
	return path, nil
}

func names(s string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(s) {
		m[n] = true
	}
	return m
}
