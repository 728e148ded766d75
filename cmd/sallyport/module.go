package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// module returns the filter: of a file, or the one that is built in.
func module(file string) (wasm []byte, err error) {
	if file == "" {
		if len(embedded) == 0 {
			return nil, usageError{errors.New("no filter: this binary has none built in (make build does that), give one with --filter filter.wasm")}
		}
		return embedded, nil
	}
	wasm, err = os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	if !bytes.HasPrefix(wasm, []byte("\x00asm")) {
		return nil, usageError{fmt.Errorf("--filter %s is no wasm module", file)}
	}
	return wasm, nil
}

// moduleFile returns a path at which Envoy finds the filter, and its SHA-256. The
// built-in one is written into a directory under the name of its content.
func moduleFile(file, stateDir string) (path, sum string, err error) {
	wasm, err := module(file)
	if err != nil {
		return "", "", err
	}
	digest := sha256.Sum256(wasm)
	sum = hex.EncodeToString(digest[:])
	if file != "" {
		path, err = filepath.Abs(file)
		return path, sum, err
	}
	path, err = filepath.Abs(filepath.Join(stateDir, "filter-"+sum[:16]+".wasm"))
	if err != nil {
		return "", "", err
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, wasm) {
		return path, sum, nil
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return "", "", err
	}
	tmp, err := os.CreateTemp(stateDir, ".filter-*")
	if err != nil {
		return "", "", err
	}
	defer os.Remove(tmp.Name()) // no-op once renamed
	_, werr := tmp.Write(wasm)
	if err := errors.Join(werr, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return "", "", err
	}
	return path, sum, os.Rename(tmp.Name(), path)
}
