package declarative

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/kong-fields.md anew")

// TestFieldPage: docs/kong-fields.md is made of the table.
func TestFieldPage(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "kong-fields.md")
	got := fieldPage(t)
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/kong-fields.md is not what the table says: go test ./internal/declarative -run TestFieldPage -update")
	}
}

// pluginOrder is that of the page: by how much there is to say.
var pluginOrder = []string{"openid-connect", "jwt", "acl", "key-auth", "basic-auth", "application-registration"}

func fieldPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(`# Kong's fields

Each field of the schemas of Kong 3.15, and what it does here. This page is made of the table that the parser goes by
(` + "`internal/declarative/fieldtable*.go`" + `): a field that is not in it is an unknown field, and none is silently ignored.

- **same**: it does what it does in Kong. **equivalent**: the same by other means.
- **differs**: it is read, and does something else, or less.
- **refused**: an error with the field's line, and with what to do instead. A value in brackets turns the field off, and may
  be written all the same; null and what is empty may always.
- **ours**: a field that Kong does not have.

The tests show the effect: what changes in a request, an answer, a cookie, or in what the identity provider is asked. What is in
quotes is a vector (` + "`testenv/vectors/testdata`" + `).

| plugin | Kong's fields | same | equivalent | differs | refused | ours |
|---|---|---|---|---|---|---|
`)
	if len(pluginOrder) != len(schemas) {
		t.Errorf("the page has %d of %d plugins", len(pluginOrder), len(schemas))
	}
	for _, plugin := range pluginOrder {
		count := map[State]int{}
		schema := names(t, plugin+".txt")
		for _, r := range schemas[plugin] {
			if r.state == Ours || slices.Contains(schema, r.name) {
				count[r.state]++
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d | %d | %d | %d | %d |\n", plugin, plugin, len(schema),
			count[Same], count[Equivalent], count[Differs], count[Refused], count[Ours])
	}
	b.WriteString("\nNames of other versions are not counted: " + otherVersions(t) + ".\n")
	for _, plugin := range pluginOrder {
		fmt.Fprintf(&b, "\n## %s\n", plugin)
		head := "\n| field | | | shown by |\n|---|---|---|---|\n"
		for _, r := range schemas[plugin] {
			if r.state == Refused {
				continue
			}
			why := r.why
			if r.only != "" {
				why = "`" + r.only + "` alone: " + why
			}
			fmt.Fprintf(&b, "%s| `%s` | %v | %s | %s |\n", head, r.name, r.state, why, shownBy(r.tests))
			head = ""
		}
		b.WriteString(refusedFields(schemas[plugin]))
	}
	return b.String()
}

func otherVersions(t *testing.T) string {
	var list []string
	for _, plugin := range pluginOrder {
		for _, name := range names(t, plugin+".other.txt") {
			if strings.HasPrefix(name, "session_redis_") {
				name = "session_redis_*"
			}
			if name = "`" + name + "`"; !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return strings.Join(list, ", ")
}

// refusedFields is a table of what is refused, a line for each text.
func refusedFields(rows []row) string {
	of := map[string][]string{}
	var order []string
	for _, r := range rows {
		if r.state != Refused {
			continue
		}
		if of[r.why] == nil {
			order = append(order, r.why)
		}
		name := "`" + r.name + "`"
		if strings.Contains(r.only, "=") {
			name += " (its defaults)"
		} else if r.only != "" {
			name += " (`" + strings.ReplaceAll(r.only, " ", "`, `") + "`)"
		}
		of[r.why] = append(of[r.why], name)
	}
	var b strings.Builder
	for i, why := range order {
		if i == 0 {
			b.WriteString("\n| refused | |\n|---|---|\n")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(of[why], ", "), why)
	}
	return b.String()
}

// shownBy writes the tests of a row: functions by their names, vectors in quotes.
func shownBy(tests string) string {
	var list []string
	for name := range strings.SplitSeq(tests, "; ") {
		if vector, ok := strings.CutPrefix(name, "vector "); ok {
			list = append(list, `"`+vector+`"`)
		} else {
			list = append(list, "`"+name+"`")
		}
	}
	return strings.Join(list, ", ")
}
