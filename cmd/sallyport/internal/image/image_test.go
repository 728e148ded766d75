package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// read returns what a descriptor refers to, and checks that it is that.
func read(t *testing.T, dir string, d descriptor, into any) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(d.Digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if digest(b) != d.Digest || len(b) != d.Size {
		t.Errorf("%s: %d bytes of %s", d.Digest, len(b), digest(b))
	}
	if into != nil {
		decode(t, b, into)
	}
	return b
}

func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}

// The layout leads from its index to the module, each step by a digest.
func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	module := []byte("\x00asm\x01\x00\x00\x00 and what follows")
	sum, err := Write(dir, module, "v1")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got := string(file("oci-layout")); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %s", got)
	}
	var i index
	decode(t, file("index.json"), &i)
	if i.SchemaVersion != 2 || i.MediaType != indexType || len(i.Manifests) != 1 || i.Manifests[0].MediaType != manifestType ||
		i.Manifests[0].Digest != sum || i.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1" {
		t.Fatalf("the index is %+v", i)
	}
	var m manifest
	read(t, dir, i.Manifests[0], &m)
	if m.SchemaVersion != 2 || m.MediaType != manifestType || m.Config.MediaType != configType || len(m.Layers) != 1 || m.Layers[0].MediaType != layerType {
		t.Fatalf("the manifest is %+v", m)
	}
	var c config
	read(t, dir, m.Config, &c)
	zr, err := gzip.NewReader(bytes.NewReader(read(t, dir, m.Layers[0], nil)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.RootFS.DiffIDs) != 1 || c.RootFS.DiffIDs[0] != digest(plain) || c.RootFS.Type != "layers" {
		t.Errorf("the configuration is %+v", c)
	}
	tr := tar.NewReader(bytes.NewReader(plain))
	h, err := tr.Next()
	if err != nil || h.Name != "plugin.wasm" {
		t.Fatalf("the layer has %+v, %v", h, err)
	}
	if got, err := io.ReadAll(tr); err != nil || !bytes.Equal(got, module) {
		t.Errorf("plugin.wasm is another module: %v", err)
	}
	if h, err := tr.Next(); err != io.EOF {
		t.Errorf("the layer also has %+v, %v", h, err)
	}
	// The same module is the same image.
	if again, err := Write(filepath.Join(t.TempDir(), "again"), module, "v1"); err != nil || again != sum {
		t.Errorf("again it is %s, %v", again, err)
	}
	if other, err := Write(dir, append(module, '!'), "v1"); err != nil || other == sum {
		t.Errorf("another module is %s, %v", other, err)
	}
}
