package state

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

func open(t *testing.T, path, secret string) *Dir {
	t.Helper()
	d, err := Open(path, redact.New(secret))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// reopen is a restart.
func reopen(t *testing.T, d *Dir, secret string) *Dir {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, d.Path(), secret)
}

const givenSecret = "an installation secret of more than 32 bytes"

func TestModesOfFilesAndDirectory(t *testing.T) {
	// The modes have to hold whatever the process was started with.
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "a", "state")
	d := open(t, path, "")
	if _, _, err := d.AdminToken(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SessionSecret(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Generation([]byte("content")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		".": os.ModeDir | 0o700, "..": os.ModeDir | 0o700,
		"lock": 0o600, "installation-secret": 0o600, "admin-token": 0o600, "session-secret": 0o600, "generation.json": 0o600,
	} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 5 {
		t.Errorf("the directory has %v, want the five files and no temporary one", entries)
	}
}

func TestDeriveDependsOnInstallationPurposeAndParts(t *testing.T) {
	d := open(t, t.TempDir(), givenSecret)
	base := d.Derive("jwt-key", "consumer", "HS256")
	for name, other := range map[string]string{
		"purpose":            d.Derive("jwt-secret", "consumer", "HS256"),
		"part":               d.Derive("jwt-key", "consumer", "HS384"),
		"one part less":      d.Derive("jwt-key", "consumer"),
		"an empty part":      d.Derive("jwt-key", "consumer", "HS256", ""),
		"parts cut apart":    d.Derive("jwt-key", "consume", "rHS256"),
		"a length as a part": d.Derive("jwt-key", "consumer5:HS256"),
		"installation":       open(t, t.TempDir(), givenSecret+"!").Derive("jwt-key", "consumer", "HS256"),
		"generated secret":   open(t, t.TempDir(), "").Derive("jwt-key", "consumer", "HS256"),
	} {
		if other == base {
			t.Errorf("another %s derives the same", name)
		}
	}
	if len(base) != 32 || strings.Trim(base, derivedAlphabet) != "" {
		t.Errorf("derived %q: expected 32 letters and digits", base)
	}
	if again := d.Derive("jwt-key", "consumer", "HS256"); again != base {
		t.Errorf("derived %q and then %q", base, again)
	}
	if replica := open(t, t.TempDir(), givenSecret).Derive("jwt-key", "consumer", "HS256"); replica != base {
		t.Errorf("a replica with the same secret derives %q, want %q", replica, base)
	}
}

// The value is written down: a later version that derived another one would
// change every generated credential of every installation.
func TestDeriveNeverChanges(t *testing.T) {
	const want = "x9swL6RhiorFo5v9KEypmKCb0EWrDoiP"
	if got := open(t, t.TempDir(), givenSecret).Derive("jwt-key", "consumer", "HS256"); got != want {
		t.Errorf("derived %q, want %q", got, want)
	}
}

func TestDeriveUsesEveryLetterAlike(t *testing.T) {
	d := open(t, t.TempDir(), givenSecret)
	count := map[rune]int{}
	const rounds = 4000
	for i := range rounds {
		for _, r := range d.Derive("spread", string(rune('a'+i%26)), strings.Repeat("x", i)) {
			count[r]++
		}
	}
	want := rounds * 32 / len(derivedAlphabet)
	for _, r := range derivedAlphabet {
		if n := count[r]; n < want*8/10 || n > want*12/10 {
			t.Errorf("%c comes %d times, want about %d", r, n, want)
		}
	}
}

func TestGeneratedSecretsSurviveARestart(t *testing.T) {
	d := open(t, t.TempDir(), "")
	key := d.Derive("jwt-key", "consumer")
	token, where, err := d.AdminToken()
	if err != nil {
		t.Fatal(err)
	}
	if where != filepath.Join(d.Path(), "admin-token") || len(token.Reveal()) != 43 {
		t.Errorf("token of %d bytes at %s", len(token.Reveal()), where)
	}
	d = reopen(t, d, "")
	if got := d.Derive("jwt-key", "consumer"); got != key {
		t.Errorf("derived %q, before the restart %q", got, key)
	}
	if again, _, err := d.AdminToken(); err != nil || again.Reveal() != token.Reveal() {
		t.Errorf("the admin token is another one after a restart (%v)", err)
	}
}

func TestBrokenStateFiles(t *testing.T) {
	for _, test := range []struct {
		name, file, content string
		err                 string // part of it; "" for none
	}{
		{"an empty installation secret", "installation-secret", "", "installation-secret is too short to be a secret: remove it and a new one is made"},
		{"a short installation secret", "installation-secret", "0123456789012345678901234567890\n", "too short"},
		{"spaces do not make it longer", "installation-secret", strings.Repeat(" ", 40), "too short"},
		{"an installation secret that is long enough", "installation-secret", "01234567890123456789012345678901\n", ""},
		{"half a generation", "generation.json", `{"epoch":"E","num`, ""},
		{"a generation without epoch", "generation.json", `{"number":7}`, ""},
		{"a generation of null", "generation.json", `null`, ""},
		{"a generation that is not an object", "generation.json", `[1]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Open(dir, redact.Secret{})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				// A directory that could not be opened is not left locked.
				if err := os.Remove(filepath.Join(dir, test.file)); err != nil {
					t.Fatal(err)
				}
				open(t, dir, "")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			g, err := d.Generation([]byte("content"))
			if err != nil || g.Epoch == "" || g.Epoch == "E" || g.Number != 1 {
				t.Errorf("generation %+v, %v: expected the first of a new epoch", g, err)
			}
		})
	}
}

func TestOneSidecarPerDirectory(t *testing.T) {
	d := open(t, t.TempDir(), "")
	if _, err := Open(d.Path(), redact.Secret{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), d.Path()) {
		t.Errorf("error %v, want ErrLocked with the path", err)
	}
	reopen(t, d, "")
}

func TestGenerationCountsChangesAndIsKept(t *testing.T) {
	d := open(t, t.TempDir(), givenSecret)
	epoch := ""
	for i, step := range []struct {
		content string
		restart bool
		number  uint64
	}{
		{content: "a", number: 1},
		{content: "a", number: 1},
		{content: "b", number: 2},
		{content: "a", number: 3}, // never a lower one, even for old content
		{content: "a", restart: true, number: 3},
		{content: "c", restart: true, number: 4},
	} {
		if step.restart {
			d = reopen(t, d, givenSecret)
		}
		g, err := d.Generation([]byte(step.content))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			epoch = g.Epoch
		}
		if g.Number != step.number || g.Epoch != epoch || epoch == "" {
			t.Errorf("step %d: generation %d of epoch %q, want %d of %q", i, g.Number, g.Epoch, step.number, epoch)
		}
		var onDisk Generation
		data, err := os.ReadFile(filepath.Join(d.Path(), "generation.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &onDisk); err != nil || onDisk != g {
			t.Errorf("step %d: on disk is %+v, returned was %+v (%v)", i, onDisk, g, err)
		}
	}
}

// A generation that is not on disk must not be given out: after a crash the same
// number would name another bundle.
func TestGenerationThatCannotBeWritten(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"), givenSecret)
	first, err := d.Generation([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	moved := d.Path() + "-moved"
	if err := os.Rename(d.Path(), moved); err != nil {
		t.Fatal(err)
	}
	if g, err := d.Generation([]byte("b")); err == nil {
		t.Fatalf("generation %+v without a directory to keep it in", g)
	}
	if g, err := d.Generation([]byte("a")); err != nil || g != first {
		t.Errorf("generation %+v, %v: want the old one, %+v", g, err, first)
	}
	if err := os.Rename(moved, d.Path()); err != nil {
		t.Fatal(err)
	}
	if g, err := d.Generation([]byte("b")); err != nil || g.Number != first.Number+1 {
		t.Errorf("generation %+v, %v: want number %d", g, err, first.Number+1)
	}
}

func TestDefaultDir(t *testing.T) {
	for _, test := range []struct {
		name, systemd, xdg, home, want string
	}{
		{"systemd", "/var/lib/sallyport", "/xdg", "/home/u", "/var/lib/sallyport"},
		{"systemd with several", "/var/lib/a:/var/lib/b", "/xdg", "/home/u", "/var/lib/a"},
		{"XDG", "", "/xdg", "/home/u", "/xdg/sallyport"},
		{"a relative XDG directory is to be ignored", "", "xdg", "/home/u", "/home/u/.local/state/sallyport"},
		{"home", "", "", "/home/u", "/home/u/.local/state/sallyport"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", test.systemd)
			t.Setenv("XDG_STATE_HOME", test.xdg)
			t.Setenv("HOME", test.home)
			if got := DefaultDir(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
