package provider

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// fetch asks an issuer once, with an own client.
func fetch(t *testing.T, c Config) (*Set, error) {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	p := newProvider(t, c, time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), c.Timeout)
	defer cancel()
	set, _, err := p.fetch(ctx)
	return set, err
}

func TestAnIssuerThatMisbehavesHasNoKeys(t *testing.T) {
	for fault, want := range map[idp.Fault]string{
		idp.Slow:        "GET http", // by one of two time-outs
		idp.Error500:    "status 500",
		idp.NotJSON:     "JSON",
		idp.Endless:     "more than 1048576 bytes",
		idp.Redirect:    "status 302",
		idp.Duplicate:   "twice",
		idp.OtherIssuer: `issuer "https://evil.example": add it to issuers_allowed`,
		idp.NoKeys:      "no key for signatures",
		idp.Symmetric:   "symmetric key",
		idp.Private:     "private key",
	} {
		for _, way := range []string{"discovery", "jwks_uri"} {
			t.Run(string(fault)+"/"+way, func(t *testing.T) {
				if fault == idp.OtherIssuer && way == "jwks_uri" {
					return // a key set names nobody
				}
				s := idp.Start(t)
				s.Misbehave(fault)
				c := Config{Issuer: s.Issuer()}
				if way == "jwks_uri" {
					c = Config{JWKSURI: s.URL + "/jwks"}
				}
				if fault == idp.Slow {
					c.Timeout = 50 * time.Millisecond
				}
				set, err := fetch(t, c)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, %v: want an error with %q", set, err, want)
				}
			})
		}
	}
}

// serve answers discovery and keys as it is told; ISSUER in either stands for
// the server's URL.
func serve(t *testing.T, start func(http.Handler) *httptest.Server, discovery, jwks string) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := jwks
		if r.URL.Path == discoveryPath {
			body = discovery
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(body, "ISSUER", s.URL)))
	}))
	t.Cleanup(s.Close)
	return s
}

func keySet(jwks ...map[string]any) string {
	text, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		panic(err)
	}
	return string(text)
}

const goodDiscovery = `{"issuer":"ISSUER","jwks_uri":"ISSUER/jwks"}`

func TestDiscoveryDocuments(t *testing.T) {
	for _, test := range []struct {
		name, document string
		allowed        []string
		slash          bool   // the issuer is configured with a trailing slash
		err            string // "" for none
	}{
		{name: "good", document: goodDiscovery},
		{name: "with more in it", document: `{"issuer":"ISSUER","jwks_uri":"ISSUER/jwks","scopes_supported":["a"],"x":{"y":[1,null]}}`},
		{name: "a slash more in the document", document: `{"issuer":"ISSUER/","jwks_uri":"ISSUER/jwks"}`},
		{name: "a slash more in the configuration", document: goodDiscovery, slash: true},
		{name: "another issuer that is allowed", document: `{"issuer":"https://o.example","jwks_uri":"ISSUER/jwks"}`, allowed: []string{"https://o.example"}},
		{name: "another issuer", document: `{"issuer":"https://o.example","jwks_uri":"ISSUER/jwks"}`, err: `issuer "https://o.example"`},
		{name: "an allowed one with a slash more", document: `{"issuer":"https://o.example/","jwks_uri":"ISSUER/jwks"}`, allowed: []string{"https://o.example"}, err: "is of issuer"},
		{name: "a longer path", document: `{"issuer":"ISSUER/realm","jwks_uri":"ISSUER/jwks"}`, err: "is of issuer"},
		{name: "no issuer", document: `{"jwks_uri":"ISSUER/jwks"}`, err: `issuer ""`},
		{name: "an issuer of ten thousand letters is cut", document: `{"issuer":"` + strings.Repeat("x", 10000) + `","jwks_uri":"ISSUER/jwks"}`, err: `x": add it`},
		{name: "no jwks_uri", document: `{"issuer":"ISSUER"}`, err: "no jwks_uri"},
		{name: "an empty jwks_uri", document: `{"issuer":"ISSUER","jwks_uri":""}`, err: "no jwks_uri"},
		{name: "a jwks_uri in other letters", document: `{"issuer":"ISSUER","JWKS_URI":"ISSUER/jwks"}`, err: "no jwks_uri"},
		{name: "another jwks_uri in other letters", document: `{"issuer":"ISSUER","jwks_uri":"ISSUER/jwks","Jwks_Uri":"http://127.0.0.1:1/"}`},
		{name: "another issuer in other letters", document: `{"issuer":"ISSUER","Issuer":"https://evil.example","jwks_uri":"ISSUER/jwks"}`},
		{name: "a jwks_uri that is a file", document: `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`, err: "no URL"},
		{name: "a relative jwks_uri", document: `{"issuer":"ISSUER","jwks_uri":"/jwks"}`, err: "no URL"},
		{name: "a jwks_uri with a control character", document: `{"issuer":"ISSUER","jwks_uri":"http://h/\u0007"}`, err: "cannot be asked"},
		{name: "a jwks_uri that is a number", document: `{"issuer":"ISSUER","jwks_uri":1}`, err: "right types"},
		{name: "an issuer that is null", document: `{"issuer":null,"jwks_uri":"ISSUER/jwks"}`, err: "right types"},
		{name: "an array", document: `[` + goodDiscovery + `]`, err: "right types"},
		{name: "a string", document: `"ISSUER"`, err: "right types"},
		{name: "nothing", document: ``, err: "JSON"},
		{name: "bytes behind it", document: goodDiscovery + `x`, err: "JSON"},
		{name: "a byte order mark", document: "\ufeff" + goodDiscovery, err: "JSON"},
		{name: "a member twice", document: `{"issuer":"ISSUER","issuer":"ISSUER","jwks_uri":"ISSUER/jwks"}`, err: "twice"},
		{name: "deep", document: `{"issuer":"ISSUER","jwks_uri":"ISSUER/jwks","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, err: "deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, httptest.NewServer, test.document, keySet(tokens.JWK("rsa2048", "k1", nil)))
			c := Config{Issuer: s.URL, Allowed: test.allowed}
			if test.slash {
				c.Issuer += "/"
			}
			set, err := fetch(t, c)
			if test.err == "" && (err != nil || !set.Has("k1") || len(set.Issuers) != 1) {
				t.Errorf("%v, %v: want the key", set, err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%v, %v: want an error with %q", set, err, test.err)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestKeySets(t *testing.T) {
	rsa := func(kid string, more map[string]any) map[string]any { return tokens.JWK("rsa2048", kid, more) }
	many := func(n int) string {
		list := make([]map[string]any, n)
		for i := range list {
			list[i] = tokens.JWK("ed25519", fmt.Sprint("k", i), nil)
		}
		return keySet(list...)
	}
	for _, test := range []struct {
		name, document string
		keys           string // kid, and ! behind one that may not be used
		err            string
	}{
		{name: "each kind", document: keySet(rsa("r", nil), tokens.JWK("ec256", "e", nil), tokens.JWK("ed25519", "d", nil)), keys: "r e d"},
		{name: "one key on its own", document: strings.TrimSuffix(strings.TrimPrefix(keySet(rsa("r", nil)), `{"keys":[`), `]}`), keys: "r"},
		{name: "a key for encryption is left out", document: keySet(rsa("r", nil), rsa("enc", map[string]any{"use": "enc"})), keys: "r"},
		{name: "an algorithm of encryption is left out", document: keySet(rsa("r", nil), rsa("enc", map[string]any{"alg": "RSA-OAEP"})), keys: "r"},
		{name: "key_ops without verify is left out", document: keySet(rsa("r", nil), rsa("s", map[string]any{"key_ops": []string{"encrypt"}})), keys: "r"},
		{name: "an unknown kind is left out", document: keySet(rsa("r", nil), map[string]any{"kty": "PQ", "kid": "pq"}), keys: "r"},
		{name: "an algorithm of another kind", document: keySet(rsa("r", nil), rsa("w", map[string]any{"alg": "ES256"})), keys: "r w!"},
		{name: "an HMAC algorithm on an RSA key", document: keySet(rsa("r", nil), rsa("w", map[string]any{"alg": "HS256"})), keys: "r w!"},
		{name: "RSA of 1024 bits", document: keySet(tokens.JWK("rsa1024", "short", nil)), keys: "short!"},
		{name: "a modulus that is no number", document: keySet(rsa("r", nil), rsa("bad", map[string]any{"n": "!"})), keys: "r bad!"},
		{name: "a hundred keys", document: many(100), keys: "k0"},
		{name: "a hundred and one", document: many(101), err: "101 keys: expected at most 100"},
		{name: "only keys for encryption", document: keySet(rsa("enc", map[string]any{"use": "enc"})), err: "no key for signatures"},
		{name: "a secret", document: keySet(rsa("r", nil), map[string]any{"kty": "oct", "k": "c2VjcmV0"}), err: "symmetric"},
		{name: "a private key", document: keySet(rsa("r", map[string]any{"d": "c2VjcmV0"})), err: "private"},
		{name: "keys that are no list", document: `{"keys":{}}`, err: "not a JWK set"},
		{name: "no keys", document: `{}`, err: "not a JWK set"},
		{name: "a key that is a number", document: `{"keys":[1]}`, err: "keys[0]: not a JWK"},
		{name: "an array", document: `[]`, err: "not a JWK set"},
		{name: "a number", document: `1`, err: "not a JWK set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, httptest.NewServer, goodDiscovery, test.document)
			set, err := fetch(t, Config{Issuer: s.URL})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v: want an error with %q", err, test.err)
				}
				if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
					t.Errorf("a secret in the error: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range set.Keys {
				if (k.Unusable != "") != (k.Public == nil) {
					t.Errorf("%s: unusable %q and a public key: %v", k.ID, k.Unusable, k.Public != nil)
				}
				got = append(got, k.ID+map[bool]string{true: "!"}[k.Unusable != ""])
			}
			if text := strings.Join(got, " "); text != test.keys && !strings.HasPrefix(text, test.keys+" k1 ") {
				t.Errorf("keys %q, want %q", text, test.keys)
			}
		})
	}
}

// The content type says nothing: issuers send keys as all of these. What counts
// is that the body is JSON.
func TestContentTypesAndEncodings(t *testing.T) {
	document := keySet(tokens.JWK("ec256", "k1", nil))
	for _, contentType := range []string{"application/json", "application/jwk-set+json; charset=utf-8", "text/plain", "text/html", ""} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = w.Write([]byte(document))
		}))
		if set, err := fetch(t, Config{JWKSURI: s.URL}); err != nil || !set.Has("k1") {
			t.Errorf("%q: %v", contentType, err)
		}
		s.Close()
	}
	t.Run("a bomb", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 64 {
				if _, err := z.Write(chunk); err != nil {
					return
				}
			}
			_ = z.Close()
		}))
		defer s.Close()
		if _, err := fetch(t, Config{JWKSURI: s.URL}); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a header without end", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			_, _ = w.Write([]byte(document))
		}))
		defer s.Close()
		if _, err := fetch(t, Config{JWKSURI: s.URL}); err == nil || !strings.Contains(err.Error(), "header is too large") {
			t.Errorf("%v", err)
		}
	})
}

func TestAnAnswerThatIsNoHTTPIsNotQuoted(t *testing.T) {
	for _, answer := range []string{
		"marker\r\n\r\n", "HTTP/1.1 marker\r\n\r\n", "HTTP/1.1 200 OK\r\nmarker\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: marker\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: marker\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmarker\r\n", "HTTP/1.1 500 marker\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://marker/%zz\r\n\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(answer))
		}()
		_, err = fetch(t, Config{JWKSURI: "http://" + l.Addr().String() + "/jwks?key=hidden"})
		_ = l.Close()
		if err == nil || strings.Contains(err.Error(), "marker") || strings.Contains(err.Error(), "hidden") ||
			!strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestNamesShowNeitherQueryNorUser(t *testing.T) {
	for uri, want := range map[string]string{
		"https://issuer.example/realms/a":         "https://issuer.example/realms/a",
		"https://issuer.example:8443/jwks":        "https://issuer.example:8443/jwks",
		"https://issuer.example/jwks?key=secret":  "https://issuer.example/jwks?…",
		"https://user:secret@issuer.example/jwks": "https://issuer.example/jwks",
		"https://issuer.example/%zz":              "an address that is no URL",
	} {
		if got := (Config{JWKSURI: uri}).Name(); got != want {
			t.Errorf("%s is %q, want %q", uri, got, want)
		}
	}
	if got := (Config{Issuer: "https://i.example", JWKSURI: "https://j.example"}).Name(); got != "https://i.example" {
		t.Errorf("%q", got)
	}
	if got := (Config{JWKSURI: "https://j.example/" + strings.Repeat("é", 500)}).Name(); len(got) > maxQuoted+3 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestTLS(t *testing.T) {
	keys := keySet(tokens.JWK("ec256", "k1", nil))
	for _, test := range []struct {
		name, discovery string
		verify          bool
		err             string
	}{
		{"an authority that nobody knows", goodDiscovery, true, "certificate"},
		{"ssl_verify off", goodDiscovery, false, ""},
		{"https that leads to http", `{"issuer":"ISSUER","jwks_uri":"http://127.0.0.1:1/jwks"}`, false, "not https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, httptest.NewTLSServer, test.discovery, keys)
			_, err := fetch(t, Config{Issuer: s.URL, Verify: test.verify})
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
	plain := serve(t, httptest.NewServer, goodDiscovery, keys)
	if _, err := fetch(t, Config{Issuer: strings.Replace(plain.URL, "http", "https", 1)}); err == nil {
		t.Error("keys over plain HTTP for an https issuer")
	}
}

func TestCacheLifetime(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"max-age=300":                   5 * time.Minute,
		"public, Max-Age=60":            time.Minute,
		`max-age="60"`:                  time.Minute,
		"max-age=0":                     0,
		"max-age=-5":                    0,
		"max-age=x":                     0,
		"max-age=99999999999999999999":  0,
		"no-store":                      0,
		"s-maxage=300":                  0,
		"no-cache, max-age=10, private": 10 * time.Second,
	} {
		if got := cacheLifetime(http.Header{"Cache-Control": {value}}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
