package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestForwarded: the headers that tell where a request came from are a trusted
// proxy's or ours, never a client's.
func TestForwarded(t *testing.T) {
	claimed := http.Header{
		"X-Forwarded-Proto": {"HTTPS"}, "X-Forwarded-Host": {"claimed.example"}, "X-Forwarded-Port": {"444"},
		"X-Forwarded-Path": {"/claimed"}, "X-Forwarded-Prefix": {"/prefix"}, "X-Real-Ip": {"192.0.2.9"},
		"X-Forwarded-For": {"192.0.2.8", "192.0.2.9"}, "Forwarded": {"for=192.0.2.9"}, "X-Request-Id": {"claimed-id"},
	}
	tests := []struct {
		name    string
		sent    http.Header
		trusted bool
		scheme  string
		want    map[string]string // "" is absent, "*" anything
	}{
		{"a client says nothing", http.Header{}, false, "http", map[string]string{
			"X-Forwarded-Proto": "http", "X-Forwarded-Host": "gateway.example", "X-Forwarded-Port": "8000", "X-Forwarded-Path": "/p",
			"X-Forwarded-Prefix": "", "X-Real-Ip": "198.51.100.7", "X-Forwarded-For": "198.51.100.7", "Forwarded": "", "X-Request-Id": "*"}},
		{"a client claims", claimed, false, "http", map[string]string{
			"X-Forwarded-Proto": "http", "X-Forwarded-Host": "gateway.example", "X-Forwarded-Port": "8000", "X-Forwarded-Path": "/p",
			"X-Forwarded-Prefix": "", "X-Real-Ip": "198.51.100.7", "X-Forwarded-For": "192.0.2.8,192.0.2.9,198.51.100.7",
			"Forwarded": "", "X-Request-Id": "*"}},
		{"a trusted proxy claims", claimed, true, "https", map[string]string{
			"X-Forwarded-Proto": "https", "X-Forwarded-Host": "claimed.example", "X-Forwarded-Port": "444", "X-Forwarded-Path": "/p",
			"X-Forwarded-Prefix": "/prefix", "X-Real-Ip": "192.0.2.9", "X-Forwarded-For": "192.0.2.8,192.0.2.9,198.51.100.7",
			"Forwarded": "for=192.0.2.9", "X-Request-Id": "claimed-id"}},
		{"a trusted proxy says nothing", http.Header{"X-Forwarded-Proto": {"gopher"}, "X-Request-Id": {""}}, true, "http", map[string]string{
			"X-Forwarded-Proto": "http", "X-Forwarded-Host": "gateway.example", "X-Forwarded-Port": "8000",
			"X-Real-Ip": "198.51.100.7", "X-Request-Id": "*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://gateway.example/p", nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey,
				net.TCPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.1:8000"))))
			r.RemoteAddr, r.Header = "198.51.100.7:4711", tt.sent.Clone()
			if scheme := forwarded(r, tt.trusted, "/p"); scheme != tt.scheme {
				t.Errorf("the scheme is %s", scheme)
			}
			for name, want := range tt.want {
				values, got := r.Header[name], r.Header.Get(name)
				if len(values) > 1 || want == "*" && (got == "" || got == "claimed-id") || want != "*" && got != want {
					t.Errorf("%s: %q, want %q", name, values, want)
				}
			}
			r.Header["X-Real-Ip"] = append(r.Header["X-Real-Ip"], "more") // no two share memory
			if got := r.Header["X-Forwarded-For"]; len(got) != 1 || got[0] == "more" {
				t.Errorf("X-Forwarded-For: %q", got)
			}
		})
	}
}
