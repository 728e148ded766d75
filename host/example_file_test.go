package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sallyport-auth/sallyport/host"
)

// settings is how a program of your own may have its filters in a file.
type settings struct {
	Filters []struct {
		Module, Configuration string // files
		Clusters              map[string]string
	}
}

// plugins reads a file of settings, and what it names.
func plugins(path string) (list []host.Plugin, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s settings
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	for _, f := range s.Filters {
		p := host.Plugin{Config: host.Config{Name: filepath.Base(f.Module), Clusters: f.Clusters, CacheDir: cache}}
		if p.Wasm, err = os.ReadFile(f.Module); err != nil {
			return nil, err
		}
		if p.Config.PluginConfig, err = os.ReadFile(f.Configuration); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Keep filters in a file, and reload them when it has changed. Whatever watches files for
// you calls the same two functions again.
func ExampleChain_file() {
	dir, err := os.MkdirTemp("", "filters")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			log.Fatal(err)
		}
		return path
	}
	wasm, name := write("greeter.wasm", module), write("name", []byte("Jane"))
	file := write("filters.json", fmt.Appendf(nil, `{"filters": [{"module": %q, "configuration": %q}]}`, wasm, name))

	ctx := context.Background()
	list, err := plugins(file)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := host.NewChain(ctx, list...)
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close(ctx)
	fmt.Println(greeting(chain))

	write("name", []byte("Joe"))
	if list, err = plugins(file); err == nil {
		err = chain.Reload(ctx, list...)
	}
	fmt.Println(greeting(chain), err)

	write("greeter.wasm", []byte("half of a module"))
	if list, err = plugins(file); err == nil {
		err = chain.Reload(ctx, list...)
	}
	fmt.Println(greeting(chain), errors.Is(err, host.ErrModule))
	// Output:
	// upstream was greeted by "Jane", ["hello from Jane"]
	// upstream was greeted by "Joe", ["hello from Joe"] <nil>
	// upstream was greeted by "Joe", ["hello from Joe"] true
}

// Metrics need no library: here the standard one shows them at /debug/vars.
func ExampleChain_Stats_expvar() {
	chain, err := host.NewChain(context.Background(),
		host.Plugin{Wasm: module, Config: host.Config{Name: "greeter", Workers: 1, CacheDir: cache}})
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close(context.Background())
	v := expvar.Func(func() any { return chain.Stats() })
	expvar.Publish("filters", v)
	var stats []host.FilterStats
	if err := json.Unmarshal([]byte(v.String()), &stats); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats[0].Name, stats[0].Running, stats[0].Metrics)
	// Output: greeter 1 []
}

// Limits are for modules that are known to need more, or trusted with less.
func ExampleLimits() {
	config := host.Config{
		MemoryBytes: 64 << 20,
		MaxBody:     64 << 10,
		Limits:      host.Limits{Calls: 16, LogBytes: 1 << 10},
	}
	filter, err := host.New(context.Background(), module, config)
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close(context.Background())
	fmt.Println(filter.MemoryBytes() > 0)
	// Output: true
}
