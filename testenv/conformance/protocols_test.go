package conformance

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// certificate returns a certificate for a name that signs itself, and its key.
func certificate(t testing.TB, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// client is one way to speak to a gateway.
type client struct {
	*http.Client
	url   string
	major int // of the protocol that is to be spoken
}

// clients returns HTTP/1.1 and HTTP/2, in the clear and by TLS, for a server name.
func clients(r *rig, name string, roots *x509.CertPool) map[string]client {
	make := func(h1, h2, h2c bool, secure bool) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(h1)
		protocols.SetHTTP2(h2)
		protocols.SetUnencryptedHTTP2(h2c)
		tr := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}
		if secure {
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, r.TLS)
			}
		}
		r.t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: 30 * time.Second}
	}
	return map[string]client{
		"h1":         {make(true, false, false, false), r.URL, 1},
		"h2c":        {make(false, false, true, false), r.URL, 2},
		"h1 by TLS":  {make(true, false, false, true), "https://" + name, 1},
		"h2 by ALPN": {make(true, true, false, true), "https://" + name, 2},
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// TestProtocols: HTTP/1.1 and HTTP/2, in the clear and by TLS with a certificate for
// the name; trailers, both directions open at a time, WebSocket; with a token and
// without.
func TestProtocols(t *testing.T) {
	const name = "one.example"
	cert, key := certificate(t, name)
	otherCert, otherKey := certificate(t, "two.example")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{TLS: true}, func(e vectors.Env) string {
			return fmt.Sprintf(`_format_version: "3.0"
_sallyport:
  listeners: [{address: "${LISTEN}"}, {address: "${LISTEN_TLS}", tls: true}]
certificates:
- {cert: %q, key: %q, snis: [two.example]}
- {cert: %q, key: %q, snis: [%s]}
services:
- name: s
  url: %s
  routes: [{name: r, paths: [/], strip_path: false}]
- name: g
  url: %s
  routes: [{name: g, paths: [/grpc], protocols: [grpc, grpcs]}]
plugins: [{name: openid-connect, config: {issuer: %q, auth_methods: [bearer]}}]
`, otherCert, otherKey, cert, key, name, e.Upstream, strings.Replace(e.Upstream, "http", "grpc", 1), e.Issuer)
		})
		token := r.idp.Token("k1", nil)
		for kind, c := range clients(r, name, roots) {
			t.Run(kind, func(t *testing.T) {
				do := func(method, path string, body io.Reader, token string) *http.Response {
					req, err := http.NewRequest(method, c.url+path, body)
					if err != nil {
						t.Fatal(err)
					}
					if token != "" {
						req.Header.Set("Authorization", "Bearer "+token)
					}
					if strings.HasPrefix(path, "/grpc/") {
						req.Header.Set("Content-Type", "application/grpc")
					}
					res, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					if res.ProtoMajor != c.major {
						t.Errorf("spoke %s", res.Proto)
					}
					return res
				}
				read := func(res *http.Response) string {
					defer res.Body.Close()
					text, err := io.ReadAll(res.Body)
					if err != nil {
						t.Fatal(err)
					}
					return string(text)
				}
				if res := do("GET", "/", nil, ""); res.StatusCode != 401 || read(res) != `{"message":"Unauthorized"}` {
					t.Errorf("without a token: %d", res.StatusCode)
				}
				for range 3 { // on one connection
					if res := do("GET", "/", nil, token); res.StatusCode != 200 || read(res) != "Hello world!" {
						t.Errorf("with a token: %d", res.StatusCode)
					}
				}
				big := strings.Repeat("0123456789abcdef", 1<<16) // a megabyte
				if res := do("POST", "/any", strings.NewReader(big), token); !strings.Contains(read(res), big) {
					t.Error("a megabyte does not come back as it went")
				}
				if c.major == 2 {
					res := do("POST", "/grpc/echo", strings.NewReader("message"), token)
					if body := read(res); res.StatusCode != 200 || body != "message" || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "echoed" {
						t.Errorf("gRPC: %d %q %v", res.StatusCode, body, res.Trailer)
					}
					testenv.Evidence(t, "%s: gRPC answered with trailers %v", host, res.Trailer)
					res = do("POST", "/grpc/echo", strings.NewReader("message"), "")
					if status := firstOf(res.Trailer.Get("Grpc-Status"), res.Header.Get("Grpc-Status")); read(res) != "" || res.StatusCode != 200 || status != "16" {
						t.Errorf("gRPC without a token: %d, grpc-status %q", res.StatusCode, status)
					}
				}
				testenv.Evidence(t, "%s: %s, 401 without a token, 200 with one, a megabyte there and back", host, kind)

				// Each line is answered before the next is sent.
				out, in := io.Pipe()
				defer in.Close()
				res := do("POST", "/stream", out, token)
				defer res.Body.Close()
				lines := bufio.NewReader(res.Body)
				for i := range 3 {
					if _, err := fmt.Fprintf(in, "line %d\n", i); err != nil {
						t.Fatal(err)
					}
					if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("echo: line %d\n", i) {
						t.Fatalf("line %d: %q %v", i, line, err)
					}
				}
				_ = in.Close()
				if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
					t.Errorf("after the last line: %q %v", rest, err)
				}
			})
		}
		t.Run("WebSocket", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			url := strings.Replace(r.URL, "http", "ws", 1) + "/ws"
			if _, res, err := websocket.Dial(ctx, url, nil); err == nil || res == nil || res.StatusCode != 401 {
				t.Errorf("without a token: %v", err)
			}
			conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseNow() }()
			for i := range 3 {
				if err := conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "message %d", i)); err != nil {
					t.Fatal(err)
				}
				if _, data, err := conn.Read(ctx); err != nil || string(data) != fmt.Sprintf("echo: message %d", i) {
					t.Fatalf("%q %v", data, err)
				}
			}
			testenv.Evidence(t, "%s: WebSocket refused without a token, three messages there and back with one", host)
			if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
		})
	})
}
