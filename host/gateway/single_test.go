package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-auth/sallyport/host/gateway"
)

// A gateway before one upstream; Run listens, here a test's server does.
func ExampleSingle() {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for %s", r.Method, r.RequestURI, r.Host)
	}))
	defer upstream.Close()
	state, err := gateway.Single(upstream.URL)
	if err != nil {
		log.Fatal(err)
	}
	g := gateway.New(gateway.Config{})
	g.Update(state)

	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("GET", "http://shop.example/orders?n=1", nil))
	fmt.Println(w.Body)
	// Output: GET /orders?n=1 for shop.example
}

func TestSingleRefuses(t *testing.T) {
	for _, upstream := range []string{
		"", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://:8080", "http://user@127.0.0.1", "http://127.0.0.1/base",
		"http://127.0.0.1?q", "http://127.0.0.1#f", "http://127.0.0.1:port", "unix:/socket",
	} {
		if _, err := gateway.Single(upstream); err == nil || err.Error() != "expected http://HOST[:PORT] or https://HOST[:PORT], without a path" {
			t.Errorf("%q: %v", upstream, err)
		}
	}
}

// What a filter makes of the path, the method and the host is what the upstream gets.
func TestEditsReachTheUpstream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for %s", r.Method, r.RequestURI, r.Host)
	}))
	defer upstream.Close()
	state, err := gateway.Single(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out := r.Clone(r.Context())
			out.Method, out.Host, out.RequestURI = "PUT", "other.example", "/new%20path?b=2"
			out.URL.RawQuery = "b=2"
			next.ServeHTTP(w, out)
		})
	}
	g := gateway.New(gateway.Config{Filter: edit})
	g.Update(state)
	srv := httptest.NewServer(g)
	defer srv.Close()
	res, err := http.Get(srv.URL + "/old?a=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if want := "PUT /new%20path?b=2 for other.example"; err != nil || string(body) != want {
		t.Errorf("%q, %v, want %q", body, err, want)
	}
}
