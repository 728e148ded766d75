package envoyconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written is what sallyport envoy writes, as far as it matters here.
const written = `static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          http_filters:
          - name: sallyport
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                root_id: sallyport
                failure_policy: FAIL_RELOAD
                vm_config:
                  vm_id: ours
                  code: {local: {filename: /filter.wasm}}
          - name: another
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                root_id: another
                vm_config:
                  vm_id: theirs
                  code: {local: {filename: /another.wasm}}
`

// TestLintBootstrap: one thing is found where one thing is wrong, on its line, and
// nothing where all is as sallyport envoy writes it.
func TestLintBootstrap(t *testing.T) {
	const where = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config"
	for _, tt := range []struct{ old, new, want string }{
		{"", "", ""},
		{"vm_id: theirs", "vm_id: ours", "b:15: warning: " + where + ": has the vm_id ours, as another module has: Envoy may run the one in the other's place, and both share what they store; give each module a vm_id of its own [shared-vm-id]"},
		{"failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN", "b:16: warning: " + where + ".failure_policy: is FAIL_OPEN: when the module cannot run, everybody passes; set failure_policy to FAIL_RELOAD, as sallyport envoy does [fails-open]"},
		{"failure_policy: FAIL_RELOAD", "fail_open: true", "b:16: warning: " + where + ".fail_open: is true: when the module cannot run, everybody passes; set failure_policy to FAIL_RELOAD, as sallyport envoy does [fails-open]"},
		{"normalize_path: true", "normalize_path: false", "b:6: warning: " + where + ": runs behind a connection manager that takes paths as they are sent: /open/../guarded may be another route's here than at the upstream; set normalize_path and merge_slashes to true, and path_with_escaped_slashes_action to REJECT_REQUEST [paths-as-sent]"},
		{"          merge_slashes: true\n", "", "[paths-as-sent]"},
		{"REJECT_REQUEST", "KEEP_UNCHANGED", "[paths-as-sent]"},
		{"root_id: another\n", "root_id: another\n                fail_open: true\n", ""}, // theirs
		{"/another.wasm}}\n", "/another.wasm}}\n          - &x {a: [*x]}\n", ""},
	} {
		src := strings.Replace(written, tt.old, tt.new, 1)
		if !IsBootstrap([]byte(src)) && !strings.Contains(tt.new, "&x") {
			t.Errorf("%s: no bootstrap", tt.new)
		}
		got := Lint("b", []byte(src)).Error()
		if tt.want == "" && got != "" && !strings.Contains(tt.new, "&x") || !strings.Contains(got, tt.want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.new, got, tt.want)
		}
	}
	for _, src := range []string{"_format_version: '3.0'\nstatic_resources: {}", "services: []", "x", "- a", ""} {
		if IsBootstrap([]byte(src)) {
			t.Errorf("%q is a bootstrap", src)
		}
	}
}

// What sallyport envoy writes has nothing of it.
func TestLintOfOurs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil || !IsBootstrap(data) {
			t.Fatal(path, err)
		}
		if problems := Lint(path, data); len(problems) > 0 {
			t.Error(problems)
		}
	}
}

// Whatever the file, looking at it comes to an end.
func FuzzLint(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte("static_resources: &a [*a]"))
	f.Add([]byte("static_resources: &a {x: [*a, *a, *a, *a, *a, *a, *a, *a]}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if IsBootstrap(src) {
			for _, p := range Lint("b", src) {
				if p.Rule == "" || p.Text == "" {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}
