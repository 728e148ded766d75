package host

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// onlyResponseHeaders is a module whose one callback is proxy_on_response_headers,
// which does nothing: no callback for bodies comes after it.
//
//	(module
//	  (memory (export "memory") 1)
//	  (func (export "proxy_abi_version_0_2_1"))
//	  (func (export "malloc") (param i32) (result i32) i32.const 0)
//	  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0))
func onlyResponseHeaders() []byte {
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	section := func(id byte, content ...byte) []byte { return append([]byte{id, byte(len(content))}, content...) }
	var exports []byte
	for _, e := range []struct {
		name  string
		kind  byte
		index byte
	}{{"memory", 2, 0}, {"proxy_abi_version_0_2_1", 0, 0}, {"malloc", 0, 1}, {"proxy_on_response_headers", 0, 2}} {
		exports = append(append(exports, name(e.name)...), e.kind, e.index)
	}
	var wasm []byte
	for _, part := range [][]byte{
		{0, 'a', 's', 'm', 1, 0, 0, 0},
		section(1, 3, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f),
		section(3, 3, 0, 1, 2),
		section(5, 1, 0, 1),
		section(7, append([]byte{4}, exports...)...),
		section(10, 3, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b, 4, 0, 0x41, 0, 0x0b),
	} {
		wasm = append(wasm, part...)
	}
	return wasm
}

// What a guest lets pass arrives as it was sent, status and all, however next writes it.
func TestResponseHeadersWithoutBodies(t *testing.T) {
	f, err := New(context.Background(), onlyResponseHeaders(), Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(context.Background())
	for _, test := range []struct {
		name string
		next http.HandlerFunc
		body string
	}{
		{"written at once", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418); _, _ = w.Write([]byte("tea")) }, "tea"},
		{"in pieces", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(418)
			_, _ = w.Write([]byte("t"))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte("ea"))
		}, "tea"},
		{"flushed first", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(418)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte("tea"))
		}, "tea"},
		{"without a body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := httptest.NewServer(f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Set-Cookie", "a=1")
				w.Header().Add("Set-Cookie", "b=2")
				test.next(w, r)
			})))
			defer srv.Close()
			res, err := http.Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 418 || string(body) != test.body || len(res.Header["Set-Cookie"]) != 2 {
				t.Errorf("%d %q %v, %v", res.StatusCode, body, res.Header, err)
			}
		})
	}
}
