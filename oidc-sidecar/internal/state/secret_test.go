package state

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

func TestSessionSecretIsMadeOnce(t *testing.T) {
	d := open(t, t.TempDir(), givenSecret)
	var wg sync.WaitGroup
	secrets := make([]redact.Secret, 8)
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = d.SessionSecret(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := secrets[0]
	if data, err := base64.RawURLEncoding.DecodeString(first.Reveal()); err != nil || len(data) != 32 {
		t.Errorf("%d random bytes (%v), want 32", len(data), err)
	}
	for _, s := range secrets {
		if s != first {
			t.Error("two callers were given two secrets")
		}
	}
	d = reopen(t, d, givenSecret)
	if again, err := d.SessionSecret(); err != nil || again != first {
		t.Errorf("the secret is another one after a restart (%v)", err)
	}
	if other, err := open(t, t.TempDir(), givenSecret).SessionSecret(); err != nil || other == first {
		t.Errorf("another directory has the same secret (%v)", err)
	}
}

func TestSecretFilesThatAreRefused(t *testing.T) {
	const long = "01234567890123456789012345678901\n"
	for _, test := range []struct {
		name    string
		content string
		mode    os.FileMode
		err     string // part of it; "" for none
	}{
		{"empty", "", 0o600, "is too short to be a secret: remove it and a new one is made"},
		{"31 bytes", long[1:], 0o600, "is too short"},
		{"spaces", strings.Repeat(" ", 40), 0o600, "is too short"},
		{"32 bytes", long, 0o600, ""},
		{"read-only", long, 0o400, ""},
		{"of a group, as a volume of Kubernetes", long, 0o660, ""},
		{"readable by all", long, 0o604, "is open to every user (mode 0604): chmod it to 0600, or remove it"},
		{"writable by all", long, 0o602, "is open to every user (mode 0602)"},
		{"the usual mistake", long, 0o644, "is open to every user (mode 0644)"},
	} {
		for _, file := range []string{"session-secret", "admin-token", "installation-secret"} {
			t.Run(file+" "+test.name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, file)
				if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, test.mode); err != nil {
					t.Fatal(err)
				}
				var secret redact.Secret
				d, err := Open(dir, redact.Secret{})
				if err == nil {
					defer d.Close()
					switch file {
					case "session-secret":
						secret, err = d.SessionSecret()
					case "admin-token":
						secret, _, err = d.AdminToken()
					default:
						secret = d.secret
					}
				}
				if test.err == "" {
					if err != nil || secret.Reveal() != strings.TrimSpace(long) {
						t.Fatalf("error %v, or another secret than the file's", err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), path+" "+test.err) || !secret.Empty() {
					t.Fatalf("error %v, want %q and no secret", err, test.err)
				}
			})
		}
	}
}

// A secret that is not on disk would seal cookies that nothing opens after a
// restart.
func TestSessionSecretThatCannotBeWritten(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"), givenSecret)
	if err := os.Rename(d.Path(), d.Path()+"-moved"); err != nil {
		t.Fatal(err)
	}
	if s, err := d.SessionSecret(); err == nil || !s.Empty() {
		t.Errorf("error %v: expected one, and no secret", err)
	}
}

// TestInstallationSecretIsShared: a program that leaves the directory to the sidecar has
// the same secret, whoever is first, and however many come at once.
func TestInstallationSecretIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	secrets := make([]redact.Secret, 16)
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = InstallationSecret(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	d := open(t, path, "")
	if again, err := InstallationSecret(path); err != nil || again != d.InstallationSecret() {
		t.Errorf("beside a sidecar: %v", err)
	}
	for _, s := range secrets {
		if s != d.InstallationSecret() || len(s.Reveal()) < 32 {
			t.Fatal("two programs have two secrets")
		}
	}
	if got := open(t, t.TempDir(), givenSecret).InstallationSecret(); got != redact.New(givenSecret) {
		t.Error("the secret that was given is not the one that is used")
	}
}
