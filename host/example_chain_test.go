package host_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/sallyport-auth/sallyport/host"
)

// greeting asks a handler that is wrapped in a chain.
func greeting(c *host.Chain) string {
	w := httptest.NewRecorder()
	c.Handler(upstream).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return fmt.Sprintf("%s, %q", w.Body, w.Result().Header["X-Greeting"])
}

// Run filters one behind the other, each with its own configuration.
func ExampleChain() {
	chain, err := host.NewChain(context.Background(),
		host.Plugin{Wasm: module, Config: host.Config{Name: "outer", PluginConfig: []byte("Jane"), CacheDir: cache}},
		host.Plugin{Wasm: module, Config: host.Config{Name: "inner", PluginConfig: []byte("Joe"), CacheDir: cache}})
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close(context.Background())
	fmt.Println(greeting(chain)) // the last word is Joe's for the upstream, Jane's for the client
	// Output: upstream was greeted by "Joe", ["hello from Jane"]
}

// Replace a configuration, or a module, while requests run. What cannot run
// changes nothing.
func ExampleChain_Reload() {
	ctx := context.Background()
	plugin := host.Plugin{Wasm: module, Config: host.Config{PluginConfig: []byte("Jane"), CacheDir: cache}}
	chain, err := host.NewChain(ctx, plugin)
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close(ctx)
	fmt.Println(greeting(chain))

	plugin.Config.PluginConfig = []byte("Joe")
	if err := chain.Reload(ctx, plugin); err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting(chain))

	plugin.Wasm = []byte("no module")
	fmt.Println(chain.Reload(ctx, plugin))
	fmt.Println(greeting(chain))
	// Output:
	// upstream was greeted by "Jane", ["hello from Jane"]
	// upstream was greeted by "Joe", ["hello from Joe"]
	// filter: host: the module cannot be compiled: invalid magic number
	// upstream was greeted by "Joe", ["hello from Joe"]
}

// Stats are for a page of metrics, and for a check of readiness.
func ExampleChain_Stats() {
	chain, err := host.NewChain(context.Background(),
		host.Plugin{Wasm: module, Config: host.Config{Name: "greeter", Workers: 2, CacheDir: cache}})
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close(context.Background())
	for _, s := range chain.Stats() {
		fmt.Printf("%s: %d of %d workers run, %d requests could not be taken\n", s.Name, s.Running, s.Workers, s.Unavailable)
	}
	// Output: greeter: 2 of 2 workers run, 0 requests could not be taken
}

// A guest's counters, gauges and histograms, by the names it has given them.
func ExampleFilter_Metrics() {
	filter, err := host.New(context.Background(), probe(), host.Config{PluginConfig: []byte("p"), CacheDir: cache})
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close(context.Background())
	filter.Handler(upstream).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	for _, m := range filter.Metrics() {
		if m.Kind == "counter" {
			fmt.Println(m.Name, m.Value)
		}
	}
	// Output: probe.requests 1
}
