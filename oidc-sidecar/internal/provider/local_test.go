package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// document is a transport that answers everything with one discovery document.
type document map[string]any

func (d document) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
}

func with(more document) document {
	d := document{
		"issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks", "token_endpoint": "https://idp.example/token",
		"authorization_endpoint": "https://idp.example/authorize",
	}
	for name, v := range more {
		if v == nil {
			delete(d, name)
			continue
		}
		d[name] = v
	}
	return d
}

// What a discovery document may not make us do.
func TestDiscoverRefuses(t *testing.T) {
	endpoints := []string{"jwks_uri", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint"}
	local := []string{
		"https://127.0.0.1/x", "https://127.9.9.9:8443/x", "https://[::1]/x", "https://localhost/x", "https://LOCALHOST:1/x", "https://a.localhost/x",
		"https://169.254.169.254/latest/meta-data", "https://[fe80::1]/x", "https://[::ffff:127.0.0.1]/x", "https://[::ffff:a9fe:a9fe]/x",
		"https://0.0.0.0/x", "https://[::]/x", "https://[fd00:ec2::254]/x", "https://100.100.100.200/x", "https://[::ffff:100.100.100.200]/x",
	}
	refused := func(name string, d document) {
		t.Helper()
		m, err := discover(context.Background(), &http.Client{Transport: d}, &Config{Issuer: "https://idp.example"})
		if err == nil {
			t.Errorf("%s: taken: %+v", name, m)
		}
	}
	for _, e := range endpoints {
		for _, uri := range local {
			_, err := discover(context.Background(), &http.Client{Transport: with(document{e: uri})}, &Config{Issuer: "https://idp.example"})
			if !errors.Is(err, ErrLocal) {
				t.Errorf("%s at %s: %v", e, uri, err)
			}
		}
		for _, uri := range []string{"http://idp.example/x", "file:///etc/passwd", "javascript:alert(1)", "//idp.example/x", "idp.example", "data:text/html,x", " https://idp.example"} {
			refused(e+" "+uri, with(document{e: uri}))
		}
		refused(e+" is a list", with(document{e: []string{"https://idp.example/x"}}))
	}
	for _, iss := range []any{"https://evil.example", "https://idp.example.evil.example", "https://idp.example/other", "", nil, 7, []string{"https://idp.example"}} {
		refused("issuer", with(document{"issuer": iss}))
	}
	refused("no keys", with(document{"jwks_uri": nil}))
	if _, err := discover(context.Background(), &http.Client{Transport: with(nil)}, &Config{Issuer: "https://idp.example"}); err != nil {
		t.Errorf("a right one: %v", err)
	}
	// An issuer on this machine may have its endpoints here.
	at := document{"issuer": "https://localhost:1", "jwks_uri": "https://localhost:1/jwks", "token_endpoint": "https://127.0.0.1:1/token"}
	if _, err := discover(context.Background(), &http.Client{Transport: at}, &Config{Issuer: "https://localhost:1"}); err != nil {
		t.Errorf("an issuer on loopback: %v", err)
	}
}

// The client of an issuer elsewhere reaches nothing on this machine, whatever it is
// called.
func TestClientDoesNotReachThisMachine(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	var reached atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(Config{Issuer: "https://idp.example", Verify: true, Timeout: 2 * time.Second})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "LocalHost", "localhost."} {
		res, err := client.Get("http://" + host + ":" + port + "/")
		if err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was reached", host)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if _, err := client.Get("http://" + host + ":" + port + "/"); !errors.Is(err, ErrLocal) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("this machine was reached %d times", reached.Load())
	}
	// The issuer's own host is asked wherever it is.
	res, err := NewClient(Config{Issuer: "http://localhost:" + port, Timeout: 2 * time.Second}).Get("http://127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
