package portal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// SecretFile returns the secret in a file, of 256 random bits; when it is not there it
// is made, with mode 0600. Two programs that make it at a time end up with one.
func SecretFile(path string) (redact.Secret, error) {
	for range 2 {
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			return readSecret(f)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return redact.Secret{}, err
		}
		if err := makeSecret(path); err != nil && !errors.Is(err, os.ErrExist) {
			return redact.Secret{}, err
		}
	}
	return redact.Secret{}, fmt.Errorf("%s comes and goes", path)
}

// minSecret is the least length of a secret, in characters.
const minSecret = 32

func readSecret(f *os.File) (redact.Secret, error) {
	info, err := f.Stat()
	if err != nil {
		return redact.Secret{}, err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return redact.Secret{}, fmt.Errorf("%s is open to every user (mode %04o): chmod it to 0600, or remove it and a new one is made", f.Name(), mode)
	}
	buf := make([]byte, 4096)
	n, err := f.Read(buf)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("%s cannot be read: %w", f.Name(), err)
	}
	text := strings.TrimSpace(string(buf[:n]))
	if len(text) < minSecret {
		return redact.Secret{}, fmt.Errorf("%s is too short to be a secret: remove it and a new one is made", f.Name())
	}
	return redact.New(text), nil
}

// makeSecret writes the file beside its place and links it there, whole or not at all.
func makeSecret(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)                                                    // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, werr := tmp.WriteString(base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(werr, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}
