package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is an OpenID provider as far as bearer tokens need one: discovery and
// keys. Whoever asks it for a token gets one, which is all that makes it a demo.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
	der []byte // SubjectPublicKeyInfo
	mux *http.ServeMux
}

const keyID = "demo"

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes() // 4, x, y (SEC 1 §2.3.3)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, der: der, mux: http.NewServeMux()}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": keyID,
		"x": b64(point[1:33]), "y": b64(point[33:]),
	}
	i.mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "token_endpoint": i.url + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	i.mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{jwk}})
	})
	i.mux.HandleFunc("GET /token/{user}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := users[r.PathValue("user")]; !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(i.token(r.PathValue("user")))) // the client may be gone
	})
	return i, nil
}

// users are the scopes of the users.
var users = map[string]string{"alice": "orders:read", "bob": "profile"}

// token returns an access token that is good for an hour.
func (i *issuer) token(user string) string {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.url, "sub": user, "aud": "shop", "scope": users[user],
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	t.Header["kid"] = keyID
	t.Header["typ"] = "at+jwt"
	signed, err := t.SignedString(i.key)
	if err != nil {
		panic(err) // a P-256 key signs
	}
	return signed
}

// publicPEM is the public key, indented for the declarative file.
func (i *issuer) publicPEM() string {
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: i.der})
	return "      " + strings.ReplaceAll(strings.TrimSpace(string(block)), "\n", "\n      ")
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
