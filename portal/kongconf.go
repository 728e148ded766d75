package portal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// maxKongConf bounds a kong.conf, in bytes.
const maxKongConf = 1 << 20

// ReadKongConf reads the portal's settings of a kong.conf, lines of NAME = VALUE: those
// that begin with portal. The rest is about Kong itself and no concern of a portal. The
// problems are those of the settings, as in a declarative file.
func ReadKongConf(path string) (*declarative.Portal, declarative.Problems, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return parseKongConf(path, data)
}

func parseKongConf(name string, data []byte) (*declarative.Portal, declarative.Problems, error) {
	if len(data) > maxKongConf {
		return nil, nil, fmt.Errorf("%s is larger than %d KiB", name, maxKongConf>>10)
	}
	values := map[string]string{}
	lines := map[string]int{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, maxKongConf)
	for n := 1; scanner.Scan(); n++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if key = strings.TrimSpace(key); !ok {
			return nil, nil, fmt.Errorf("%s:%d: is no line of NAME = VALUE", name, n)
		}
		if !strings.HasPrefix(key, "portal") {
			continue
		}
		if first, twice := lines[key]; twice {
			return nil, nil, fmt.Errorf("%s:%d: %s stands in line %d too", name, n, key, first)
		}
		values[key], lines[key] = unquote(comment(strings.TrimSpace(value))), n
	}
	if err := scanner.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(values) == 0 {
		return nil, nil, fmt.Errorf("%s has no settings of a portal: expected portal_auth, portal_auth_conf …", name)
	}
	for key, value := range values {
		if value == "" {
			delete(values, key) // Kong's way to leave something out
		}
	}
	doc, err := json.Marshal(map[string]any{"_format_version": "3.0", "_sallyport": map[string]any{"portal": values}})
	if err != nil {
		return nil, nil, err
	}
	file, problems := declarative.Parse(name, doc, declarative.Options{Dir: filepath.Dir(name)})
	for i := range problems {
		problems[i].Path = strings.TrimPrefix(problems[i].Path, "_sallyport.portal.")
		problems[i].Line = lines[problems[i].Path]
	}
	if file == nil {
		return nil, problems, nil
	}
	return file.Settings.Portal, problems, nil
}

// comment cuts off a comment: # at the start, or after a blank, as Kong reads it. One
// within JSON stays: # has no meaning there, and an address may have it.
func comment(s string) string {
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "'") || strings.HasPrefix(s, `"`) {
		return s
	}
	if strings.HasPrefix(s, "#") {
		return ""
	}
	if i := strings.Index(s, " #"); i >= 0 {
		return strings.TrimSpace(s[:i])
	}
	return s
}

// unquote takes the quotes off that people put around JSON.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
