package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/testenv"
)

// The schemas as they are published, in modules that hold nothing back from the checksum
// database: definitions of custom resources, and Kubernetes' own OpenAPI documents.
var published = []struct{ module, glob string }{
	{"github.com/envoyproxy/gateway@v1.9.1", "charts/gateway-helm/charts/crds/crds/generated/*.yaml"},
	{"istio.io/api@v1.31.3", "kubernetes/customresourcedefinitions.gen.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_*.yaml"},
	{"k8s.io/kubectl@v0.37.2", "testdata/openapi/v3/apis/apps/v1.json"},
	{"k8s.io/kubectl@v0.37.2", "testdata/openapi/v3/api/v1.json"},
}

// schemas are those of objects by apiVersion and kind.
type schemas struct {
	compiler *jsonschema.Compiler
	where    map[string]string
}

// load fetches the published schemas.
func load(t *testing.T) *schemas {
	t.Helper()
	s := &schemas{jsonschema.NewCompiler(), map[string]string{}}
	s.compiler.DefaultDraft(jsonschema.Draft4) // the one that OpenAPI 3.0 goes by
	for _, p := range published {
		files, err := filepath.Glob(filepath.Join(download(t, p.module), filepath.FromSlash(p.glob)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no %s", p.module, p.glob)
		}
		for _, file := range files {
			for i, doc := range documents(t, file) {
				strict(doc)
				s.add(t, fmt.Sprintf("https://schemas.invalid%s/%d", filepath.ToSlash(file), i), doc)
			}
		}
	}
	return s
}

// of returns the schema of a kind of objects.
func (s *schemas) of(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	url, ok := s.where[kind]
	if !ok {
		t.Fatalf("nobody has published a schema of %s", kind)
	}
	schema, err := s.compiler.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// download returns the folder of a module, skipping where it cannot be had.
func download(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // not of this module
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if json.Unmarshal(out, &m) != nil || m.Dir == "" {
		testenv.Missing(t, "the schemas of %s: %s %v", module, m.Error, err)
	}
	return m.Dir
}

// documents reads a file of YAML or JSON as JSON has it.
func documents(t *testing.T, file string) (out []map[string]any) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(src)); ; {
		var value any
		if err := dec.Decode(&value); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if m, ok := doc.(map[string]any); ok {
			out = append(out, m)
		}
	}
}

// add enters the schemas of a document: of a CustomResourceDefinition, each version's; of
// an OpenAPI document those that are whole objects.
func (s *schemas) add(t *testing.T, url string, doc map[string]any) {
	t.Helper()
	resource := func(url string, doc any) {
		if err := s.compiler.AddResource(url, doc); err != nil {
			t.Fatal(err)
		}
	}
	if doc["kind"] == "CustomResourceDefinition" {
		spec := doc["spec"].(map[string]any)
		kind := spec["names"].(map[string]any)["kind"].(string)
		for _, v := range spec["versions"].([]any) {
			v := v.(map[string]any)
			version := v["name"].(string)
			schema := v["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
			for _, name := range []string{"apiVersion", "kind", "metadata"} { // which every object has
				if members := schema["properties"].(map[string]any); members[name] == nil {
					members[name] = map[string]any{}
				}
			}
			resource(url+"/"+version, schema)
			s.where[spec["group"].(string)+"/"+version+" "+kind] = url + "/" + version
		}
		return
	}
	components, ok := doc["components"].(map[string]any)
	if !ok {
		return
	}
	resource(url, doc)
	for name, schema := range components["schemas"].(map[string]any) {
		kinds, _ := schema.(map[string]any)["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // more are those of options, which belong to every group
			continue
		}
		k := kinds[0].(map[string]any)
		version := strings.TrimPrefix(k["group"].(string)+"/"+k["version"].(string), "/")
		s.where[version+" "+k["kind"].(string)] = url + "#/components/schemas/" + name
	}
}

// strict has objects with known members refuse others, as an API server does that is
// asked to be strict: otherwise a misspelt field would be dropped, and nobody told.
// What stands in allOf and the like is no whole object.
func strict(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			strict(e)
		}
	case map[string]any:
		_, isObject := v["properties"].(map[string]any)
		_, says := v["additionalProperties"]
		if isObject && !says && v["x-kubernetes-preserve-unknown-fields"] != true {
			v["additionalProperties"] = false
		}
		for key, e := range v {
			switch key {
			case "allOf", "anyOf", "oneOf", "not":
			case "enum": // Kubernetes has one with a word twice
				var words []any
				for _, w := range e.([]any) {
					if !slices.Contains(words, w) {
						words = append(words, w)
					}
				}
				v[key] = words
			case "properties":
				for _, e := range e.(map[string]any) {
					strict(e)
				}
			default:
				strict(e)
			}
		}
	}
}
