package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
)

// TestEmbed runs the example as its README does.
func TestEmbed(t *testing.T) {
	module := testenv.Guest(t, "greeter")
	calls := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		fmt.Fprintf(w, "hello, %s\n", r.Header.Get("X-Greeter"))
	})
	wrapped, err := wrap(context.Background(), handler, module, []byte("Jane"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(wrapped)
	defer srv.Close()
	for _, tt := range []struct {
		path, body, greeting string
		status, calls        int
	}{
		{"/", "hello, Jane\n", "hello from Jane", 200, 1},
		{"/secret", "not for you\n", "hello from Jane", 403, 1},
	} {
		res, err := http.Get(srv.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != tt.status || string(body) != tt.body || res.Header.Get("X-Greeting") != tt.greeting || calls != tt.calls {
			t.Errorf("%s: %d %q %q, %d calls; want %+v", tt.path, res.StatusCode, body, res.Header.Get("X-Greeting"), calls, tt)
		}
	}
	if _, err := wrap(context.Background(), handler, module+".missing", nil); err == nil {
		t.Error("a module that is not there was taken")
	}
}
