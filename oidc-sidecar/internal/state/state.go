// Package state keeps what has to survive a restart of the sidecar in one
// directory, which only one sidecar at a time may use:
//
//	lock                  held while a sidecar runs
//	installation-secret   what generated credentials are derived from
//	admin-token           for the admin listener, unless it is given
//	session-secret        what cookies are sealed with, where none is configured
//	generation.json       epoch, number and source of the last bundle
//
// Files are 0600, the directory 0700 when it is made here. A file is replaced by
// renaming, so that a crash leaves the old or the new one. A secret that every
// user of the machine can read or write is refused; a group's access is not,
// since volumes of Kubernetes are given one (fsGroup).
package state

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Dir is an open state directory.
type Dir struct {
	path   string
	lock   *os.File
	secret redact.Secret

	mu         sync.Mutex // guards generation and its file
	generation Generation

	secrets sync.Mutex // held while a generated secret is read or made
}

// Generation identifies a bundle.
type Generation struct {
	Epoch  string `json:"epoch"` // the installation
	Number uint64 `json:"number"`
	Digest string `json:"digest"` // of the content
}

// ErrLocked is why a directory cannot be opened while another sidecar runs in it.
var ErrLocked = errors.New("the state directory is in use by another sidecar")

// DefaultDir returns $STATE_DIRECTORY, which systemd sets, else the XDG state
// directory.
func DefaultDir() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return strings.Split(dir, ":")[0]
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sallyport")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "sallyport-"+strconv.Itoa(os.Getuid()))
	}
	return filepath.Join(home, ".local", "state", "sallyport")
}

// Open makes the directory if need be and locks it. secret, when it is not
// empty, takes the place of the generated installation secret: several
// installations with one secret derive the same credentials.
func Open(path string, secret redact.Secret) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	d := &Dir{path: path, lock: lock, secret: secret}
	if err := d.load(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) load() error {
	if d.secret.Empty() {
		s, err := d.generated("installation-secret")
		if err != nil {
			return err
		}
		d.secret = redact.New(s)
	}
	data, err := os.ReadFile(d.file("generation.json"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.generation.Epoch = rand.Text()
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(data, &d.generation); err != nil || d.generation.Epoch == "" {
		// A new epoch: filters take over any generation of it.
		d.generation = Generation{Epoch: rand.Text()}
	}
	return nil
}

// Close releases the lock.
func (d *Dir) Close() error { return d.lock.Close() }

// InstallationSecret returns what generated credentials are derived from, and what a
// registry is made with.
func (d *Dir) InstallationSecret() redact.Secret { return d.secret }

// InstallationSecret returns the generated secret of a state directory, making it when it
// is not there, for a program that shares the registry with the sidecar of that directory
// and leaves the rest of it alone.
func InstallationSecret(path string) (redact.Secret, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return redact.Secret{}, err
	}
	s, err := (&Dir{path: path}).generated("installation-secret")
	return redact.New(s), err
}

// Path returns the directory.
func (d *Dir) Path() string { return d.path }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// generated returns the content of a file, making it of 256 random bits when it
// is not there.
func (d *Dir) generated(name string) (string, error) {
	d.secrets.Lock()
	defer d.secrets.Unlock()
	data, err := d.private(name)
	if errors.Is(err, os.ErrNotExist) {
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return "", err
		}
		text := base64.RawURLEncoding.EncodeToString(secret)
		if err = d.create(name, []byte(text+"\n")); err == nil {
			return text, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		data, err = d.private(name) // another program was first
	}
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if len(text) < 32 {
		return "", fmt.Errorf("%s is too short to be a secret: remove it and a new one is made", d.file(name))
	}
	return text, nil
}

// private reads a file that only its owner, and perhaps a group, may use.
func (d *Dir) private(name string) ([]byte, error) {
	f, err := os.Open(d.file(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to every user (mode %04o): chmod it to 0600, or remove it and a new one is made", f.Name(), mode)
	}
	return io.ReadAll(f)
}

// SessionSecret returns what cookies are sealed with where the file has no
// session_secret. It is made when it is first asked for, and the same from then
// on: without it every session ends.
func (d *Dir) SessionSecret() (redact.Secret, error) {
	s, err := d.generated("session-secret")
	return redact.New(s), err
}

// AdminToken returns the token of the admin listener and where it is kept.
func (d *Dir) AdminToken() (token redact.Secret, path string, err error) {
	s, err := d.generated("admin-token")
	return redact.New(s), d.file("admin-token"), err
}

// registryFile has the path of the registry's file that was used last.
const registryFile = "registry-used"

// MissingRegistry returns why the registry's file at path must not be made anew: it was used
// in this state directory before. An empty one would lack the plugins that guard services.
func MissingRegistry(dir, path string) error {
	d := &Dir{path: dir}
	have, err := d.private(registryFile)
	if errors.Is(err, os.ErrNotExist) || err == nil && string(have) != path+"\n" {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the registry %s was used before, and is gone: put it back or, for an empty one without what guarded services, remove %s", path, d.file(registryFile))
	}
	return err
}

// UseRegistry notes that the registry's file is the one at path.
func (d *Dir) UseRegistry(path string) error { return d.replace(registryFile, []byte(path+"\n")) }

// replace writes a file by renaming.
func (d *Dir) replace(name string, data []byte) error {
	return d.write(name, data, os.Rename)
}

// create writes a file, whole or not at all, unless there is one (os.ErrExist).
func (d *Dir) create(name string, data []byte) error {
	return d.write(name, data, os.Link)
}

// write writes a file beside its place, and then puts it there.
func (d *Dir) write(name string, data []byte, place func(from, to string) error) error {
	tmp, err := os.CreateTemp(d.path, "."+name+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // no-op once renamed
	if _, err := tmp.Write(data); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return place(tmp.Name(), d.file(name))
}

// Generation returns the generation of a bundle with this content: the last one
// when nothing has changed, else the next, which is on disk when it is returned.
func (d *Dir) Generation(content []byte) (Generation, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation.Digest == digest {
		return d.generation, nil
	}
	next := Generation{Epoch: d.generation.Epoch, Number: d.generation.Number + 1, Digest: digest}
	data, err := json.Marshal(next)
	if err != nil {
		return Generation{}, err
	}
	if err := d.replace("generation.json", data); err != nil {
		return Generation{}, err
	}
	d.generation = next
	return next, nil
}

// derivedAlphabet is Kong's for random strings; its length divides nothing
// evenly, which Derive takes care of.
const derivedAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Derive returns 32 letters and digits that depend on the installation, a purpose
// and the parts, and on nothing else (HKDF, RFC 5869, then HMAC).
func (d *Dir) Derive(purpose string, parts ...string) string {
	key, err := hkdf.Key(sha256.New, []byte(d.secret.Reveal()), nil, "sallyport "+purpose, 32)
	if err != nil {
		panic(err) // the length is a constant within bounds
	}
	out := make([]byte, 0, 32)
	for block := byte(0); len(out) < cap(out); block++ {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte{block})
		for _, p := range parts {
			fmt.Fprintf(mac, "%d:%s", len(p), p)
		}
		for _, b := range mac.Sum(nil) {
			// Bytes beyond the greatest multiple of 62 would favour some letters.
			if b < 248 && len(out) < cap(out) {
				out = append(out, derivedAlphabet[int(b)%len(derivedAlphabet)])
			}
		}
	}
	return string(out)
}
