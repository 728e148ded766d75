package envoyconf

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

var update = flag.Bool("update", false, "write the golden files")

// options are those of the golden files.
var options = Options{Socket: "/run/sallyport/sidecar.sock", Public: "/run/sallyport/public.sock", Module: "/usr/lib/sallyport/filter.wasm", ModuleSum: "0123abcd"}

// read reads a file of testdata.
func read(t testing.TB, name string) *declarative.File {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(src))
}

func parse(t testing.TB, src string) *declarative.File {
	t.Helper()
	f, problems := declarative.Parse("kong.yml", []byte(src), declarative.Options{})
	if f == nil {
		t.Fatal(problems)
	}
	return f
}

func bootstrap(t testing.TB, f *declarative.File, o Options) []byte {
	t.Helper()
	out, err := Bootstrap(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The whole bootstrap of four files. A difference has to be read by somebody and
// then stored with -update.
func TestGolden(t *testing.T) {
	for _, name := range []string{"small", "tls", "routes", "login"} {
		t.Run(name, func(t *testing.T) {
			got := bootstrap(t, read(t, name), options)
			golden := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if line, g, w := difference(string(got), string(want)); line > 0 {
				t.Errorf("line %d is\n%s\nwant\n%s", line, g, w)
			}
			if again := bootstrap(t, read(t, name), options); string(again) != string(got) {
				t.Error("a second time it comes out differently")
			}
		})
	}
}

// difference returns the first line that differs, 0 for none.
func difference(got, want string) (line int, g, w string) {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		g, w = "", ""
		if i < len(a) {
			g = a[i]
		}
		if i < len(b) {
			w = b[i]
		}
		if g != w || i >= len(a) || i >= len(b) {
			return i + 1, g, w
		}
	}
	return 0, "", ""
}

// What Envoy cannot do is refused in the file's words.
func TestRefused(t *testing.T) {
	pem := read(t, "tls").Certificates[0]
	certificate := func(sni string) string {
		return "_format_version: '3.0'\ncertificates:\n- snis: [" + sni + "]\n  cert: |\n    " +
			strings.ReplaceAll(strings.TrimSpace(pem.Cert), "\n", "\n    ") + "\n  key: |\n    " + strings.ReplaceAll(strings.TrimSpace(pem.Key), "\n", "\n    ") + "\n"
	}
	tests := []struct {
		name, src string
		listeners []declarative.Listener
		want      string
	}{
		{"a wildcard at the end of an SNI", certificate("a.example, 'b.*'"), nil,
			"kong.yml:3: certificates[0]: snis has b.*: Envoy chooses a certificate by a name, or by a wildcard as the leftmost label [envoy-limit]"},
		{"a service with the sidecar's name", "_format_version: '3.0'\nservices:\n- {name: sallyport_sidecar, host: h}\n", nil,
			"kong.yml:3: services[0]: a service cannot be called sallyport_sidecar in Envoy: it is the name of the sidecar's cluster [envoy-limit]"},
		{"TLS without a certificate", "_format_version: '3.0'\n", []declarative.Listener{{Address: ":1", TLS: true}},
			"the listener :1 is tls, and kong.yml has no certificates"},
		{"a listener with a name", "_format_version: '3.0'\n", []declarative.Listener{{Address: "example.com:1"}},
			"address example.com: Envoy listens on IP addresses only"},
		{"a listener without a port", "_format_version: '3.0'\n", []declarative.Listener{{Address: "127.0.0.1"}},
			"address 127.0.0.1: missing port in address"},
		{"a port that is none", "_format_version: '3.0'\n", []declarative.Listener{{Address: ":65536"}},
			`strconv.ParseUint: parsing "65536": value out of range`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options
			o.Listeners = tt.listeners
			out, err := Bootstrap(parse(t, tt.src), o)
			if err == nil || err.Error() != tt.want || out != nil {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
