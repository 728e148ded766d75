package sidecar

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

func TestReload(t *testing.T) {
	b := prepare(t, file("zero")).run()
	key := b.File().JWTSecrets[0].Key
	for _, step := range []struct {
		name   string
		change func() error
		realm  string
	}{
		{"written over", func() error { return os.WriteFile(b.path, []byte(file("one")), 0o600) }, "one"},
		{"renamed over", func() error {
			return errors.Join(os.WriteFile(b.path+".new", []byte(file("two")), 0o600), os.Rename(b.path+".new", b.path))
		}, "two"},
		{"of the same size and time, renamed over", func() error {
			info, err := os.Stat(b.path)
			return errors.Join(err, os.WriteFile(b.path+".new", []byte(file("TWO")), 0o600),
				os.Chtimes(b.path+".new", info.ModTime(), info.ModTime()), os.Rename(b.path+".new", b.path))
		}, "TWO"},
		{"gone and back", func() error {
			return errors.Join(os.Remove(b.path), os.WriteFile(b.path, []byte(file("three")), 0o600))
		}, "three"},
		{"an older one put back", func() error {
			old := time.Now().Add(-time.Hour)
			return errors.Join(os.WriteFile(b.path, []byte(file("four")), 0o600), os.Chtimes(b.path, old, old))
		}, "four"},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := step.change(); err != nil {
				t.Fatal(err)
			}
			b.reloaded(step.realm)
			if got := b.File().JWTSecrets[0].Key; got != key {
				t.Errorf("the generated key is %s, before the reload %s", got, key)
			}
			if f := <-b.files; f != b.File() {
				t.Error("OnReload got another file")
			}
		})
	}
}

// TestReloadOfAConfigMap changes a file as Kubernetes does: kong.yml is a link
// to ..data/kong.yml, and ..data a link that is swapped.
func TestReloadOfAConfigMap(t *testing.T) {
	b := prepare(t, "")
	dir := filepath.Dir(b.path)
	put := func(version, realm string) {
		t.Helper()
		if err := errors.Join(os.Mkdir(filepath.Join(dir, version), 0o755),
			os.WriteFile(filepath.Join(dir, version, "kong.yml"), []byte(file(realm)), 0o644),
			os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	put("..v1", "one")
	if err := errors.Join(os.Remove(b.path), os.Symlink("..data/kong.yml", b.path)); err != nil {
		t.Fatal(err)
	}
	b.run().reloaded("one")
	for i := range 3 {
		put(fmt.Sprintf("..w%d", i), fmt.Sprintf("swap%d", i))
		b.reloaded(fmt.Sprintf("swap%d", i))
	}
}

// A bad file changes nothing and is reported, once; a good one after it is taken.
func TestABadFileChangesNothing(t *testing.T) {
	for name, bad := range map[string]struct{ file, report string }{
		"no YAML":           {"_format_version: \"3.0\"\nservices: [", "is not YAML"},
		"an unknown plugin": {strings.Replace(file("bad"), "name: jwt,", "name: jtw,", 1), "jtw"},
		"an unknown field":  {file("bad") + "servcies: []\n", "kong.yml:4: servcies"},
		"several problems":  {file("bad") + "servcies: []\nroutse: []\n", "kong.yml:5: routse"},
		"an empty file":     {"", "is empty"},
		"binary":            {"\x00\x01\x02", "is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			b := prepare(t, file("good")).run()
			before, err := b.bundle()
			if err != nil {
				t.Fatal(err)
			}
			b.write(bad.file)
			testenv.Eventually(t, 10*time.Second, "a report", func() bool {
				return strings.Contains(b.log.String(), "the old one stays in force")
			})
			if !strings.Contains(b.log.String(), bad.report) {
				t.Errorf("the log has no %q: %s", bad.report, b.log)
			}
			after, err := b.bundle()
			if err != nil || after.Generation != before.Generation || b.inForce() != "good" || b.Ready() != nil {
				t.Errorf("generation %d, before %d; in force %s (%v)", after.Generation, before.Generation, b.inForce(), err)
			}
			b.write(file("better"))
			b.reloaded("better")
			if n := strings.Count(b.log.String(), "the old one stays in force"); n != 1 {
				t.Errorf("it was reported %d times", n)
			}
			if got := metric(t, b.Sidecar, "sallyport_sidecar_reloads_total"); got != "ok 1 refused 1" {
				t.Errorf("reloads: %s", got)
			}
		})
	}
}

// metric returns the values of a counter with one label.
func metric(t *testing.T, s *Sidecar, name string) string {
	t.Helper()
	families, err := s.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				out = append(out, fmt.Sprintf("%s %v", m.GetLabel()[0].GetValue(), m.GetCounter().GetValue()))
			}
		}
	}
	return strings.Join(out, " ")
}

// A file that is written in pieces is read when it has come to rest: what there
// is of it in between is a valid file without the plugin.
func TestAFileThatIsBeingWritten(t *testing.T) {
	b := prepare(t, file("before")).run()
	reloads := 0
	for attempt := range 10 {
		realm := fmt.Sprint("whole", attempt)
		header, rest, _ := strings.Cut(file(realm), "\n")
		pieces := append([]string{header + "\n"}, strings.SplitAfter(strings.Repeat("# more\n", 30)+rest, "\n")...)
		steady := writeSlowly(t, b.path, pieces)
		b.reloaded(realm)
		if reloads++; !steady { // this machine did not write as it was told
			reloads = 0
			_, _ = fmt.Sscanf(metric(t, b.Sidecar, "sallyport_sidecar_reloads_total"), "ok %d", &reloads)
			continue
		}
		if got, want := metric(t, b.Sidecar, "sallyport_sidecar_reloads_total"), fmt.Sprint("ok ", reloads); got != want {
			t.Errorf("reloads: %s, want %s: half a file was read", got, want)
		}
		return
	}
	t.Error("the machine was too slow ten times")
}

// writeSlowly writes a file in place, several pieces between two looks at it. It
// reports whether no pause was longer than that.
func writeSlowly(t *testing.T, path string, pieces []string) (steady bool) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tick := time.NewTicker(pollInterval / 8)
	defer tick.Stop()
	steady = true
	last := time.Now()
	for _, piece := range pieces {
		if _, err := f.WriteString(piece); err != nil {
			t.Fatal(err)
		}
		<-tick.C
		steady = steady && time.Since(last) < pollInterval/2
		last = time.Now()
	}
	return steady
}

func TestAFileThatIsGone(t *testing.T) {
	b := prepare(t, file("one")).run()
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "a report", func() bool {
		return strings.Contains(b.log.String(), "cannot be read")
	})
	if b.inForce() != "one" {
		t.Errorf("in force: %s", b.inForce())
	}
	b.write(file("two"))
	b.reloaded("two")
	if n := strings.Count(b.log.String(), "cannot be read"); n != 1 {
		t.Errorf("it was reported %d times: %s", n, b.log)
	}
}
