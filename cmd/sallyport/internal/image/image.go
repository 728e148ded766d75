// Package image writes the module as an OCI image layout: a folder that any tool for
// registries can push, in the form that Istio and Envoy Gateway fetch wasm modules in.
//
//	oci-layout                the version of the layout
//	index.json                the one manifest, under a tag
//	blobs/sha256/…            manifest, configuration, layer
//
// The image is the "compat" variant of the specification of wasm images: one layer, a
// gzipped tar with the one file plugin.wasm. The same module gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Media types of the OCI image specification, 1.1.
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor refers to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifest is what an image is made of.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// index lists the manifests of a layout.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// config says what the image is for. There is nothing to run.
type config struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// Write writes the layout for a module into a folder, which it makes, and returns the
// digest of the manifest.
func Write(dir string, module []byte, tag string) (string, error) {
	l := layout{blobs: filepath.Join(dir, "blobs", "sha256")}
	if err := os.MkdirAll(l.blobs, 0o755); err != nil {
		return "", err
	}
	plain, packed, err := layer(module)
	if err != nil {
		return "", err
	}
	c := config{Architecture: "wasm", OS: "wasi"}
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []string{digest(plain)}
	m := manifest{
		SchemaVersion: 2, MediaType: manifestType,
		Config: l.json(configType, c),
		Layers: []descriptor{l.blob(layerType, packed)},
	}
	d := l.json(manifestType, m)
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
	if l.err != nil {
		return "", l.err
	}
	for name, value := range map[string]any{
		"oci-layout": map[string]string{"imageLayoutVersion": "1.0.0"},
		"index.json": index{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{d}},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return d.Digest, nil
}

// layer packs the module, with nothing of the time or the machine in it.
func layer(module []byte) (plain, packed []byte, err error) {
	var out, zipped bytes.Buffer
	tw := tar.NewWriter(&out)
	if err := tw.WriteHeader(&tar.Header{Name: "plugin.wasm", Mode: 0o644, Size: int64(len(module)), Format: tar.FormatUSTAR}); err != nil {
		return nil, nil, err
	}
	if _, err := tw.Write(module); err != nil {
		return nil, nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, nil, err
	}
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write(out.Bytes()); err != nil {
		return nil, nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), zipped.Bytes(), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layout writes blobs. The first error stays.
type layout struct {
	blobs string
	err   error
}

func (l *layout) blob(mediaType string, b []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digest(b), Size: len(b)}
	if err := os.WriteFile(filepath.Join(l.blobs, d.Digest[len("sha256:"):]), b, 0o644); err != nil && l.err == nil {
		l.err = fmt.Errorf("image: %w", err)
	}
	return d
}

func (l *layout) json(mediaType string, v any) descriptor {
	b, err := json.Marshal(v)
	if err != nil && l.err == nil {
		l.err = err
	}
	return l.blob(mediaType, b)
}
