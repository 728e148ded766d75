// Command embed wraps a handler in a proxy-wasm filter: embed FILTER.wasm [CONFIG].
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/sallyport-auth/sallyport/host"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: embed FILTER.wasm [CONFIG]")
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.Header.Get("X-Greeter"))
	})
	wrapped, err := wrap(context.Background(), handler, os.Args[1], []byte(argument(2)))
	if err != nil {
		log.Fatal(err)
	}
	log.Println("listening on http://127.0.0.1:8080")
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", wrapped))
}

// wrap shows the requests of a handler to a filter.
func wrap(ctx context.Context, next http.Handler, module string, config []byte) (http.Handler, error) {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return nil, err
	}
	filter, err := host.New(ctx, wasm, host.Config{PluginConfig: config})
	if err != nil {
		return nil, err
	}
	return filter.Handler(next), nil
}

func argument(i int) string {
	if i < len(os.Args) {
		return os.Args[i]
	}
	return ""
}
