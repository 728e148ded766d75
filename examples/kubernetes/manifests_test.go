// Package kubernetes has tests only: of the manifests beside them.
package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// TestManifests holds each object against the schema that its project has published.
// Rules in CEL, which only a server runs, are not looked at.
func TestManifests(t *testing.T) {
	all := load(t)
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, doc := range documents(t, file) {
			kind := doc["apiVersion"].(string) + " " + doc["kind"].(string)
			name := doc["metadata"].(map[string]any)["name"].(string)
			t.Run(file+" "+kind+" "+name, func(t *testing.T) {
				s := all.of(t, kind)
				if err := s.Validate(doc); err != nil {
					t.Error(err)
				}
				// The schema is one that would notice.
				spec, ok := doc["spec"].(map[string]any)
				if !ok {
					return
				}
				spec["mispelt"] = "x"
				if s.Validate(doc) == nil {
					t.Error("a member that is not there is taken")
				}
			})
		}
	}
}

// The manifests carry the file of this folder, and call its route by the name that the
// filter knows it by.
func TestManifestsAreOfTheFile(t *testing.T) {
	src, err := os.ReadFile("kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := declarative.Parse("kong.yml", src, declarative.Options{})
	if f == nil {
		t.Fatal(problems)
	}
	name := f.Routes[0].BundleName()
	for file, named := range map[string]bool{"gateway.yaml": false, "envoy-gateway.yaml": true, "istio.yaml": true} {
		found := false
		for _, doc := range documents(t, file) {
			if doc["kind"] == "ConfigMap" {
				found = true
				if got := doc["data"].(map[string]any)["kong.yml"]; got != string(src) {
					t.Errorf("%s has another file:\n%s", file, got)
				}
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !found || named != strings.Contains(string(text), name) {
			t.Errorf("%s: a file: %t; the route's name %s has to be there: %t", file, found, name, named)
		}
	}
}
