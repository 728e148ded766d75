package host_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/sallyport-auth/sallyport/host"
)

// module is a guest of examples/guests, built by TestMain.
var module []byte

// upstream answers with what it received.
var upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "upstream was greeted by %q", r.Header.Get("X-Greeter"))
})

// Wrap any handler in a filter.
func Example() {
	filter, err := host.New(context.Background(), module, host.Config{PluginConfig: []byte("Jane")})
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close(context.Background())
	server := httptest.NewServer(filter.Handler(upstream))
	defer server.Close()

	for _, path := range []string{"/", "/secret"} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		fmt.Printf("%d %q, %s\n", res.StatusCode, body, res.Header.Get("X-Greeting"))
	}
	// Output:
	// 200 "upstream was greeted by \"Jane\"", hello from Jane
	// 403 "not for you\n", hello from Jane
}

// A cache directory makes every start but the first a matter of milliseconds.
func ExampleConfig_cacheDir() {
	dir, err := os.MkdirTemp("", "cache") // what is in it gets executed: nobody else may write there
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		filter, err := host.New(context.Background(), module, host.Config{CacheDir: dir, Workers: 2})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(filter.Workers(), "workers")
		_ = filter.Close(context.Background())
	}
	// Output:
	// 2 workers
	// 2 workers
}

// Properties answers attributes that net/http does not know.
func ExampleConfig_properties() {
	config := host.Config{
		Properties: func(r *http.Request, path string) ([]byte, bool) {
			if path == "xds.route_name" {
				return []byte("route for " + r.URL.Path), true
			}
			return nil, false
		},
	}
	value, ok := config.Properties(httptest.NewRequest("GET", "/orders", nil), "xds.route_name")
	fmt.Println(string(value), ok)
	// Output: route for /orders true
}
