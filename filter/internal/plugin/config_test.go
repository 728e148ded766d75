package plugin

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/envoyconf"
)

// knobs are the numbers of the filter's configuration, with their ranges.
var knobs = []struct {
	name      string
	low, high int64
	get       func(Config) int64
}{
	{"poll_ms", 100, 1000, func(c Config) int64 { return int64(c.PollMS) }},
	{"ask_timeout_ms", 1, 60_000, func(c Config) int64 { return int64(c.AskTimeoutMS) }},
	{"keys_timeout_ms", 1, 60_000, func(c Config) int64 { return int64(c.KeysTimeoutMS) }},
	{"credential_grace_s", 1, 86_400, func(c Config) int64 { return c.CredentialGrace }},
	{"key_grace_s", 1, 2_592_000, func(c Config) int64 { return c.KeyGrace }},
	{"cache_bytes", 65_536, 268_435_456, func(c Config) int64 { return int64(c.CacheBytes) }},
	{"log_lines", 1, 100_000, func(c Config) int64 { return int64(c.LogLines) }},
}

// declare reads a declarative file with a block filter.
func declare(block string) (*declarative.File, declarative.Problems) {
	return declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n_sallyport: {filter: {"+block+"}}\n"), declarative.Options{})
}

// TestKnobsAgree gives each knob values at and around its bounds. What the
// declarative file accepts, the filter accepts, as the same number; what the
// filter refuses, `check` has refused before: a configuration that the filter
// refuses would take every route down.
func TestKnobsAgree(t *testing.T) {
	for _, knob := range knobs {
		for _, value := range []string{
			fmt.Sprint(knob.low), fmt.Sprint(knob.low - 1), fmt.Sprint(knob.high), fmt.Sprint(knob.high + 1), fmt.Sprint((knob.low + knob.high) / 2),
			"0", "-1", "4294967296", "4294967396", "9223372036854775807", "9223372036854775808", "1.5", "1e3", "\"500\"", "true", "null", "[]",
		} {
			t.Run(knob.name+"="+value, func(t *testing.T) {
				want := false
				var n int64
				if _, err := fmt.Sscanf(value, "%d", &n); err == nil && fmt.Sprint(n) == value {
					want = n >= knob.low && n <= knob.high
				}
				_, err := parseConfig(`{"` + knob.name + `":` + value + `}`)
				if direct := err == nil; direct != want {
					t.Errorf("the filter takes it: %v, want %v", direct, want)
				}
				f, problems := declare(knob.name + ": " + value)
				if f == nil {
					if want {
						t.Errorf("the file is refused: %v", problems)
					}
					return
				}
				_, set := f.Settings.Filter[knob.name]
				c, err := parseConfig(f.Settings.FilterConfig("sidecar"))
				if err != nil || c.Cluster != "sidecar" {
					t.Fatalf("the file is accepted, and the filter refuses %s: %v", f.Settings.FilterConfig("sidecar"), err)
				}
				if set && (!want || knob.get(c) != n) {
					t.Errorf("the file's %s is the filter's %d", value, knob.get(c))
				}
			})
		}
	}
}

// TestEnvoyGetsTheFiltersConfiguration reads the configuration out of the
// generated file as Envoy does, and parses it as the filter does.
func TestEnvoyGetsTheFiltersConfiguration(t *testing.T) {
	for _, all := range []bool{false, true} {
		var block []string
		for _, k := range knobs {
			if all {
				block = append(block, fmt.Sprintf("%s: %d", k.name, k.high))
			}
		}
		f, problems := declare(strings.Join(block, ", "))
		if f == nil {
			t.Fatal(problems)
		}
		out, err := envoyconf.Bootstrap(f, envoyconf.Options{Socket: "/s", Module: "/m.wasm", ModuleSum: "00"})
		if err != nil {
			t.Fatal(err)
		}
		var root any
		if err := yaml.Unmarshal(out, &root); err != nil {
			t.Fatal(err)
		}
		clusters := map[string]bool{}
		var configs []string
		walk(root, func(m map[string]any) {
			if v, ok := m["configuration"].(map[string]any); ok {
				text, _ := v["value"].(string)
				configs = append(configs, text)
			}
			if name, ok := m["name"].(string); ok && m["load_assignment"] != nil {
				clusters[name] = true
			}
		})
		if len(configs) != 1 {
			t.Fatalf("%d configurations of a filter, want 1", len(configs))
		}
		c, err := parseConfig(configs[0])
		if err != nil {
			t.Fatalf("%s: %v", configs[0], err)
		}
		if !clusters[c.Cluster] {
			t.Errorf("the filter asks the cluster %s, which is not among %v", c.Cluster, clusters)
		}
		for _, k := range knobs {
			if all && k.get(c) != k.high {
				t.Errorf("%s is %d, want %d", k.name, k.get(c), k.high)
			}
		}
	}
}

// walk calls f with every mapping of a YAML document.
func walk(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(v)
		for _, x := range v {
			walk(x, f)
		}
	case map[any]any:
		m := map[string]any{}
		for k, x := range v {
			m[fmt.Sprint(k)] = x
		}
		walk(m, f)
	case []any:
		for _, x := range v {
			walk(x, f)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, src := range []string{
		"x", "[]", "1", "null", `""`, `{"poll_ms":500}x`, `{"poll_ms":500,"poll_ms":500}`, `{"unknown":1}`, `{"Poll_ms":500}`,
		`{"cluster":""}`, `{"cluster":1}`, `{"cluster":null}`, `{"poll_ms":{}}`, strings.Repeat(" ", 65<<10) + "{}",
	} {
		if c, err := parseConfig(src); err == nil {
			t.Errorf("%.40q is taken as %+v", src, c)
		}
	}
	for _, src := range []string{"", "{}"} {
		c, err := parseConfig(src)
		if err != nil || c.Cluster != "sallyport_sidecar" || c.PollMS != 500 || c.AskTimeoutMS != 1000 || c.KeysTimeoutMS != 5000 || c.LogLines != 100 {
			t.Errorf("%q: %+v %v", src, c, err)
		}
	}
}
