package declarative

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mostRefused is how many of openid-connect's fields may be refused.
const mostRefused = 90

// names reads a file of testdata/kong-fields: a name on each line.
func names(t *testing.T, file string) (list []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "kong-fields", file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// TestFieldTable holds the table against the names of Kong's schemas: those of 3.15,
// and in the files that end in .other those of other versions.
func TestFieldTable(t *testing.T) {
	refused := 0
	for plugin, rows := range schemas {
		schema, others := names(t, plugin+".txt"), names(t, plugin+".other.txt")
		have := map[string]bool{}
		for i, r := range rows {
			if i > 0 && r.name <= rows[i-1].name {
				t.Errorf("%s: %s is not in the order of names, or twice", plugin, r.name)
			}
			have[r.name] = true
			ofKong := slices.Contains(schema, r.name) || slices.Contains(others, r.name)
			if ofKong == (r.state == Ours) {
				t.Errorf("%s: %s is %v, and in a schema of Kong's: %v", plugin, r.name, r.state, ofKong)
			}
			if slices.Contains(schema, r.name) && plugin == "openid-connect" && r.state == Refused {
				refused++
			}
			if (r.why == "") != (r.state == Same) {
				t.Errorf("%s: %s is %v because of %q", plugin, r.name, r.state, r.why)
			}
			if r.only != "" && r.state != Refused && r.state != Differs {
				t.Errorf("%s: %s is %v and takes only %s", plugin, r.name, r.state, r.only)
			}
			if (r.tests == "") != (r.state == Refused) {
				t.Errorf("%s: %s is %v and shown by %q", plugin, r.name, r.state, r.tests)
			}
		}
		for _, name := range append(schema, others...) {
			if !have[name] {
				t.Errorf("%s: %s has no row", plugin, name)
			}
		}
	}
	if n := len(names(t, "openid-connect.txt")); n != 234 {
		t.Errorf("openid-connect has %d names, want the 234 of Kong 3.15", n)
	}
	if refused > mostRefused {
		t.Errorf("%d fields of openid-connect are refused: expected at most %d", refused, mostRefused)
	}
}

// TestReaders: what the table says is read has a reader, and nothing else has. Of a
// plugin that is not supported nothing is read.
func TestReaders(t *testing.T) {
	src := "_format_version: '3.0'\nplugins:\n"
	for plugin, rows := range schemas {
		if parsed[plugin] != "" {
			src += "- {name: " + plugin + "}\n"
			continue
		}
		for _, r := range rows {
			if r.state != Refused || r.only != "" {
				t.Errorf("%s: %s is %v, and the plugin is not supported", plugin, r.name, r.state)
			}
		}
	}
	p := &parser{options: Options{}.withDefaults(), said: map[Problem]bool{}, file: &File{}}
	p.parse([]byte(src))
	if len(p.odd) > 0 {
		t.Errorf("a field has a reader and no row that takes one, or the other way round: %s", slices.Sorted(slices.Values(p.odd)))
	}
}

// parsed are the plugins that are supported, with the beginning of a configuration that
// is good.
var parsed = map[string]string{
	"acl": "{allow: [g], ", "application-registration": "{display_name: d, ", "basic-auth": "{realm: r, ", "key-auth": "{key_names: [k], ", "jwt": "{claims_to_verify: [exp], ", "openid-connect": "{issuer: 'https://i', auth_methods: [bearer], audience: [a], ",
}

// TestRefusedFields: a field that is refused is refused in its own words, and taken
// where it changes nothing: null, or the value that turns it off.
func TestRefusedFields(t *testing.T) {
	for plugin, config := range parsed {
		file := func(name, value string) string {
			return "_format_version: '3.0'\nplugins: [{name: " + plugin + ", config: " + config + name + ": " + value + "}}]\n"
		}
		quiet := ""
		if f, problems := Parse("k", []byte(file("run_on_preflight", "true")), Options{}); f != nil {
			quiet = problems.Error()
		}
		for _, r := range schemas[plugin] {
			if r.only == "" && r.state != Refused {
				continue
			}
			good, bad := []string{"null", "[]", "{}"}, []string{"[x]", "x", "{a: b}", "17", "[[x]]", "[{}]", "[null]", "{a: {b: c}}"}
			for _, v := range strings.Fields(r.only) {
				if name, value, ok := strings.Cut(v, "="); ok {
					member := name + ": " + value
					good = append(good, "{"+member+"}", "{"+member+", other: null}", "[{"+member+"}]", "{redis: {"+member+"}}")
					bad = append(bad, value, "["+value+"]", "{"+name+": "+value+"x}", "{"+member+", other: "+value+"}")
					continue
				}
				good = append(good, v, "["+v+"]")
				bad = append(bad, "["+v+", x]", "{a: "+v+"}")
			}
			for _, v := range good {
				f, problems := Parse("k", []byte(file(r.name, v)), Options{})
				if f == nil || quiet != "" && problems.Error() != quiet {
					t.Errorf("%s: %s: %s: %v", plugin, r.name, v, problems)
				}
			}
			want := fmt.Sprintf("kong.yml:2: plugins[0].config.%s: is not supported: %s", r.name, r.why)
			for _, v := range bad {
				if got := refused(t, file(r.name, v), Options{}).Error(); got != want {
					t.Errorf("%s: %s: got\n%s\nwant\n%s", plugin, v, got, want)
				}
			}
		}
	}
}

var quotedName = regexp.MustCompile("`([a-z0-9_]+)[^a-z0-9_]")

// TestKongSurface compares the table with the project's inventory of Kong, where that
// is at hand.
func TestKongSurface(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "reference", "kong-surface.md"))
	if err != nil {
		t.Log("the inventory is not here")
		return
	}
	section := func(from, to string) string {
		_, rest, _ := strings.Cut(string(text), "\n"+from)
		part, _, _ := strings.Cut(rest, "\n"+to)
		return part
	}
	for plugin, part := range map[string]string{
		"openid-connect": section("# 2.", "# 3."), "jwt": section("## 3.1", "Credential ("), "acl": section("## 3.2", "- Logic:"),
		"application-registration": section("## 3.3", "- Strategy"),
	} {
		said := map[string]bool{}
		for _, m := range quotedName.FindAllStringSubmatch(part, -1) {
			said[m[1]] = true
		}
		for _, name := range names(t, plugin+".txt") {
			if !said[name] {
				t.Errorf("%s: the inventory does not have %s", plugin, name)
			}
		}
		for name := range said { // beginnings of names too, such as session_redis_
			if strings.HasPrefix(name, "session_") && !slices.ContainsFunc(schemas[plugin], func(r row) bool { return strings.HasPrefix(r.name, name) }) {
				t.Errorf("%s: the table does not have %s", plugin, name)
			}
		}
	}
}
