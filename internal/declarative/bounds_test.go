package declarative

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A file that is written to hurt ends in a problem, not in a crash: a reload
// must not take the process with it.
func TestHostileFiles(t *testing.T) {
	const head = "_format_version: '3.0'\n"
	tests := []struct{ name, src, want string }{
		{"a mapping that merges itself", head + "services: [&a {<<: *a, name: s, host: h}]", "is merged (<<) within 8 others, or within itself"},
		{"a mapping that merges itself twice", head + "services: [&a {<<: [*a, *a], name: s, host: h}]", "is merged (<<) within 8 others, or within itself"},
		{"a list of merges that holds itself", head + "services: [&a {<<: &b [*b, *b], name: s, host: h}]", "is merged (<<) within 8 others, or within itself"},
		{"a list that holds itself", head + "services: &s [*s]", "is a list: expected a mapping"},
		{"a config that is its plugin", head + "plugins: [&a {name: jwt, config: *a}]", "unknown field"},
		{"a key set that holds itself", head + "consumers: [{username: x, jwt_secrets: [{key: k, jwks: &j {keys: [*j]}}]}]", "cannot be read: expected a JWK or a JWK set"},
		{"aliases of aliases", head + laughs(), "the file is too large once its aliases are followed"},
		{"lists within each other", strings.Repeat("[", 200_000), "is not YAML"},
		{"lines within each other", strings.Repeat("- ", 200_000), "is not YAML"},
		{"mappings within each other", strings.Repeat("{a: ", 200_000), "is not YAML"},
		{"a name as long as the file", head + "? " + strings.Repeat("x", 1<<20) + "\n: 1\n", "unknown field"},
		{"more than any file", strings.Repeat(" ", maxFile+1), "is larger than 64 MiB"},
		{"two documents", head + "---\n" + head, "a second document begins: expected one"},
		{"a broken second document", head + "---\n{", "is not YAML"},
		{"a zero byte", head + "\x00", "is not YAML"},
		{"not UTF-8", head + "services: [{name: \"\xff\"}]", "is not YAML"},
		{"an alias of nothing", head + "services: *none", "is not YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := refused(t, tt.src, Options{})
			runtime.ReadMemStats(&after)
			if !strings.Contains(got.Error(), tt.want) {
				t.Errorf("got\n%.600s\nwant %s", got, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<30 {
				t.Errorf("%d MiB were used", used>>20)
			}
		})
	}
}

// laughs is a file of some kilobytes that is millions of values when its aliases
// are written out.
func laughs() string {
	const n = 3000
	return "services: [{name: s, host: h}]\nroutes: [&r {name: r, service: s, paths: [" + strings.Repeat("/a, ", n) + "/b]}, " +
		strings.Repeat("*r, ", n) + "*r]\n"
}

// However many warnings there are, the error behind them counts.
func TestAnErrorBehindManyWarnings(t *testing.T) {
	src := "_format_version: '3.0'\nservices:\n" + strings.Repeat("- {host: h, tls_verify: false}\n", 2*maxProblems) + "- {host: 'no host'}\n"
	f, problems := Parse("kong.yml", []byte(src), Options{})
	if f != nil || len(problems.Errors()) != 1 {
		t.Errorf("accepted, or %d errors", len(problems.Errors()))
	}
	if len(problems) > maxProblems+1 {
		t.Errorf("%d problems were kept", len(problems))
	}
}

// However many infos there are, the warning behind them is there.
func TestAWarningBehindManyInfos(t *testing.T) {
	src := "_format_version: '3.0'\nservices:\n" + strings.Repeat("- {host: h, enabled: false}\n", 2*maxProblems) + "- {host: h, tls_verify: false}\n"
	_, problems := Parse("kong.yml", []byte(src), Options{})
	if n := len(ofRule(problems, tlsVerifyOff)); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if n := len(ofRule(problems, disabled)); n > maxProblems {
		t.Errorf("%d infos were kept", n)
	}
}

// Errors beyond those that are kept count too.
func TestManyErrors(t *testing.T) {
	src := "_format_version: '3.0'\nservices:\n" + strings.Repeat("- {host: 'no host'}\n", 3*maxProblems)
	if got := refused(t, src, Options{}); len(got) != maxProblems {
		t.Errorf("%d errors were kept, want %d", len(got), maxProblems)
	}
}

// Whole files of a size that people have.
func TestLargeFile(t *testing.T) {
	const n = 2000
	var b strings.Builder
	b.WriteString("_format_version: '3.0'\nservices:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: s%d\n  url: http://h%d:8080\n  routes: [{name: r%d, paths: [/p%d]}]\n  plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]\n", i, i, i, i)
	}
	b.WriteString("consumers:\n")
	for i := range n {
		fmt.Fprintf(&b, "- username: u%d\n  jwt_secrets: [{key: k%d, secret: s%d}]\n", i, i, i)
	}
	f := read(t, b.String())
	if len(f.Services) != n || len(f.Routes) != n || len(f.Plugins) != n || len(f.Consumers) != n || len(f.JWTSecrets) != n {
		t.Errorf("%d services, %d routes, %d plugins, %d consumers, %d credentials",
			len(f.Services), len(f.Routes), len(f.Plugins), len(f.Consumers), len(f.JWTSecrets))
	}
}
