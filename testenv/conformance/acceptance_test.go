package conformance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// article is the declarative file of the example, with the upstream's address in
// the place of the article's.
func article(t testing.TB, upstream string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "jwt", "kong.yml"))
	if err != nil {
		t.Fatal(err)
	}
	const theirs = "http://localhost:3000"
	if !strings.Contains(string(data), theirs) {
		t.Fatal("the example has another upstream than the article")
	}
	return strings.Replace(string(data), theirs, upstream, 1)
}

const articleSecret = "secret-hash-brown-bear-market-rate-limit"

// credential is a credential as the admin API shows it.
type credential struct {
	ID, Key, Secret, Algorithm string
	Consumer                   struct{ ID string }
}

// credentials returns those of a consumer.
func (r *rig) credentials(t testing.TB, consumer string) []credential {
	t.Helper()
	var page struct{ Data []credential }
	if status := r.Admin("/consumers/"+consumer+"/jwt", &page); status != http.StatusOK {
		t.Fatalf("the admin API answers %d", status)
	}
	return page.Data
}

// want asserts a client's side and that the upstream was called exactly when the
// status is 200.
func (x *exchange) want(t testing.TB, status int, body, challenge string) {
	t.Helper()
	if x.Status != status || body != "" && x.Body != body {
		t.Errorf("answer %d %s, want %d %s", x.Status, x.Body, status, body)
	}
	if got := x.Header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("WWW-Authenticate %q, want %q", got, challenge)
	}
	calls := 0
	if status == http.StatusOK {
		calls = 1
	}
	if len(x.Seen) != calls {
		t.Errorf("the upstream was called %d times, want %d", len(x.Seen), calls)
	}
}

// toUpstream asserts a header that the upstream received; "" is none.
func (x *exchange) toUpstream(t testing.TB, name, value string) {
	t.Helper()
	if got := x.Upstream().Get(name); got != value {
		t.Errorf("the upstream received %s: %q, want %q", name, got, value)
	}
}

const (
	noToken  = "Bearer"
	badToken = `Bearer error="invalid_token"`
)

// TestArticle walks through the article: its file, its requests, its answers.
func TestArticle(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		var file string
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			file = article(t, e.Upstream)
			return file
		})
		creds := r.credentials(t, "login_server_issuer")
		if len(creds) != 1 {
			t.Fatalf("%d credentials", len(creds))
		}
		cred := creds[0]
		good := tokens.HS256(articleSecret, cred.Key, tokens.In(3600))

		t.Run("S2-01_the_file_loads", func(t *testing.T) {
			x := r.send(t, "GET", "/api/", bearer(good))
			x.want(t, 200, "", "")
			if x.Seen[0].Target != "/" || x.Body != "Hello world!" {
				t.Errorf("the upstream received %s and answered %s, want / and Hello world!", x.Seen[0].Target, x.Body)
			}
			x = r.send(t, "POST", "/api/things/7?page=2", bearer(good))
			x.want(t, 200, "", "")
			if got := x.Seen[0]; got.Method != "POST" || got.Target != "/things/7?page=2" {
				t.Errorf("the upstream received %s %s", got.Method, got.Target)
			}
		})
		t.Run("S2-03_on_the_service", func(t *testing.T) {
			for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
				for _, path := range []string{"/api", "/api/", "/api/things/7", "/apiary"} {
					r.send(t, method, path).want(t, 401, `{"message":"Unauthorized"}`, noToken)
				}
			}
			x := r.send(t, "GET", "/other", bearer(good))
			x.want(t, 404, `{"message":"no Route matched with those values"}`, "")
		})
		t.Run("S2-04_no_token", func(t *testing.T) {
			r.send(t, "GET", "/api").want(t, 401, `{"message":"Unauthorized"}`, noToken)
		})
		t.Run("S2-05_generated_key", func(t *testing.T) {
			if len(cred.Key) != 32 || cred.Algorithm != "HS256" || cred.Secret != articleSecret {
				t.Errorf("key of %d characters, algorithm %s", len(cred.Key), cred.Algorithm)
			}
			r.Write(file + "\n# touched\n")
			again := r.credentials(t, "login_server_issuer")
			if len(again) != 1 || again[0].Key != cred.Key || again[0].ID != cred.ID {
				t.Errorf("the key changed with the file: %d credentials", len(again))
			}
			testenv.Evidence(t, "%s: a credential with only a secret has a key of %d characters and algorithm %s", host, len(cred.Key), cred.Algorithm)
			// Another installation makes another key, and a secret too where none is given.
			other := start(t, host, stack.Options{Apart: true}, func(e vectors.Env) string {
				return strings.Replace(article(t, e.Upstream), "  secret: "+articleSecret, "", 1)
			})
			made := other.credentials(t, "login_server_issuer")[0]
			if made.Key == cred.Key || len(made.Secret) < 32 || made.Secret == made.Key || made.Algorithm != "HS256" {
				t.Errorf("another installation has made a key of %d, a secret of %d characters, and %s", len(made.Key), len(made.Secret), made.Algorithm)
			}
			token := bearer(tokens.HS256(made.Secret, made.Key, tokens.In(60)))
			other.send(t, "GET", "/api", token).want(t, 200, "Hello world!", "")
			r.send(t, "GET", "/api", token).want(t, 401, `{"message":"No credentials found for given 'kid'"}`, badToken)
			// Both stay when the process does not.
			other.Sidecar.Stop()
			other.StartSidecar()
			if again := other.credentials(t, "login_server_issuer"); len(again) != 1 || again[0] != made {
				t.Errorf("the credential changed with a restart: %d credentials", len(again))
			}
			other.eventually(t, 200, "GET", "/api", token)
		})
		t.Run("S2-06_admin", func(t *testing.T) {
			var all struct{ Data []credential }
			if status := r.Admin("/jwts", &all); status != 200 || len(all.Data) != 1 || all.Data[0] != cred {
				t.Errorf("/jwts: %d with %d credentials", status, len(all.Data))
			}
			var one credential
			if status := r.Admin("/consumers/login_server_issuer/jwt/"+cred.Key, &one); status != 200 || one != cred {
				t.Errorf("by its key: %d", status)
			}
			res, err := http.Get(r.AdminURL + "/consumers/login_server_issuer/jwt")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("without the admin token: %d", res.StatusCode)
			}
			testenv.Evidence(t, "%s: GET /consumers/login_server_issuer/jwt -> 200 with key, secret and algorithm %s; without the admin token %d", host, one.Algorithm, res.StatusCode)
		})
		t.Run("S2-07_kid_in_payload_or_header", func(t *testing.T) {
			r.send(t, "GET", "/api", bearer(good)).want(t, 200, "", "")
			inHeader := tokens.Sign(articleSecret, map[string]any{"alg": "HS256", "kid": cred.Key}, map[string]any{"exp": tokens.In(60)})
			r.send(t, "GET", "/api", bearer(inHeader)).want(t, 200, "", "")
			payloadFirst := tokens.Sign(articleSecret, map[string]any{"alg": "HS256", "kid": cred.Key}, map[string]any{"kid": "other", "exp": tokens.In(60)})
			r.send(t, "GET", "/api", bearer(payloadFirst)).want(t, 401, `{"message":"No credentials found for given 'kid'"}`, badToken)
		})
		t.Run("S2-08_valid", func(t *testing.T) {
			far := tokens.HS256(articleSecret, cred.Key, tokens.In(10*365*24*3600))
			x := r.send(t, "GET", "/api", bearer(far))
			x.want(t, 200, "", "")
			x.toUpstream(t, "Authorization", "Bearer "+far)
		})
		t.Run("S2-09_identity", func(t *testing.T) {
			x := r.send(t, "GET", "/api", bearer(good))
			x.want(t, 200, "", "")
			x.toUpstream(t, "X-Consumer-ID", cred.Consumer.ID)
			x.toUpstream(t, "X-Consumer-Username", "login_server_issuer")
			x.toUpstream(t, "X-Credential-Identifier", cred.Key)
			x.toUpstream(t, "X-Consumer-Custom-ID", "")
			x.toUpstream(t, "X-Anonymous-Consumer", "")
			if cred.Consumer.ID == "" {
				t.Error("the consumer has no id")
			}
		})
		t.Run("S2-10_another_secret", func(t *testing.T) {
			r.send(t, "GET", "/api", bearer(tokens.HS256("another", cred.Key, tokens.In(60)))).
				want(t, 401, `{"message":"Invalid signature"}`, badToken)
		})
		t.Run("S2-11_unknown_kid", func(t *testing.T) {
			r.send(t, "GET", "/api", bearer(tokens.HS256(articleSecret, "nobody", tokens.In(60)))).
				want(t, 401, `{"message":"No credentials found for given 'kid'"}`, badToken)
		})
		t.Run("S2-12_expired", func(t *testing.T) {
			r.send(t, "GET", "/api", bearer(tokens.HS256(articleSecret, cred.Key, tokens.In(-1)))).
				want(t, 401, `{"exp":"token expired"}`, badToken)
			r.send(t, "GET", "/api", bearer(tokens.Sign(articleSecret, map[string]any{"alg": "HS256"}, map[string]any{"kid": cred.Key}))).
				want(t, 401, `{"exp":"must be a number"}`, badToken)
		})
		t.Run("S2-18_only_the_signature_counts", func(t *testing.T) {
			r.send(t, "GET", "/api", bearer(good)).want(t, 200, "", "")
			// One that no library has made is as good.
			part := base64.RawURLEncoding.EncodeToString
			input := part([]byte(`{ "typ":"JWT", "alg":"HS256" }`)) + "." + part(fmt.Appendf(nil, "{\n\"exp\" : %d ,\"kid\":%q}", tokens.In(60), cred.Key))
			mac := hmac.New(sha256.New, []byte(articleSecret))
			mac.Write([]byte(input))
			r.send(t, "GET", "/api", bearer(input+"."+part(mac.Sum(nil)))).want(t, 200, "Hello world!", "")
			encrypted := "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a2V5.aXY.dGV4dA.dGFn"
			r.send(t, "GET", "/api", bearer(encrypted)).want(t, 401, `{"message":"Bad token; invalid JSON"}`, badToken)
		})
	})
}

// TestWithoutThePlugin is the article before step 3.
func TestWithoutThePlugin(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			before, rest, _ := strings.Cut(article(t, e.Upstream), "plugins:\n")
			_, after, _ := strings.Cut(rest, "consumers:\n")
			return before + "consumers:\n" + after
		})
		t.Run("S2-02_open", func(t *testing.T) {
			x := r.send(t, "GET", "/api/hello", "X-Consumer-Username: admin")
			x.want(t, 200, "", "")
			x.toUpstream(t, "X-Consumer-Username", "")
			if x.Seen[0].Target != "/hello" {
				t.Errorf("the upstream received %s", x.Seen[0].Target)
			}
			r.send(t, "GET", "/api").want(t, 200, "Hello world!", "")
			r.send(t, "GET", "/api", bearer("not.a.token")).want(t, 200, "Hello world!", "")
		})
	})
}

// TestFurtherUses are the uses that the article names at its end.
func TestFurtherUses(t *testing.T) {
	const file = `_format_version: "3.0"
services:
- name: shop
  url: ${UPSTREAM}
  routes:
  - name: history
    paths: [/history]
    plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]
  - name: inventory
    paths: [/inventory]
  - name: lounge
    paths: [/lounge]
    plugins: [{name: jwt, config: {anonymous: guest}}]
consumers:
- username: alice
  custom_id: customer-1
  jwt_secrets: [{key: alice-1, secret: secret of alice}, {key: alice-2, secret: another secret of alice}]
- username: bob
  jwt_secrets: [{key: bob-1, secret: secret of bob}]
- username: guest
`
	token := func(secret, iss string) string {
		return tokens.Sign(secret, map[string]any{"alg": "HS256", "typ": "JWT"}, map[string]any{"iss": iss, "exp": tokens.In(60)})
	}
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return strings.Replace(file, "${UPSTREAM}", e.Upstream, 1) })
		t.Run("S2-13_many_consumers", func(t *testing.T) {
			for _, c := range []struct{ secret, key, user, custom string }{
				{"secret of alice", "alice-1", "alice", "customer-1"},
				{"another secret of alice", "alice-2", "alice", "customer-1"},
				{"secret of bob", "bob-1", "bob", ""},
			} {
				x := r.send(t, "GET", "/history", bearer(token(c.secret, c.key)))
				x.want(t, 200, "", "")
				x.toUpstream(t, "X-Consumer-Username", c.user)
				x.toUpstream(t, "X-Credential-Identifier", c.key)
				x.toUpstream(t, "X-Consumer-Custom-ID", c.custom)
			}
			r.send(t, "GET", "/history", bearer(token("secret of bob", "alice-1"))).
				want(t, 401, `{"message":"Invalid signature"}`, badToken)
		})
		t.Run("S2-14_minted_by_the_user", func(t *testing.T) {
			mine := tokens.Sign("secret of bob", map[string]any{"alg": "HS256"},
				map[string]any{"iss": "bob-1", "exp": tokens.In(30), "jti": tokens.Random(), "sub": "alice"})
			x := r.send(t, "GET", "/history", bearer(mine))
			x.want(t, 200, "", "")
			x.toUpstream(t, "X-Consumer-Username", "bob")
			// In nobody else's name, and not for another credential.
			for _, key := range []string{"alice-1", "alice-2"} {
				r.send(t, "GET", "/history", bearer(token("secret of bob", key))).want(t, 401, `{"message":"Invalid signature"}`, badToken)
			}
			r.send(t, "GET", "/history", bearer(token("secret of alice", "alice-2"))).want(t, 401, `{"message":"Invalid signature"}`, badToken)
		})
		t.Run("S2-15_some_routes_only", func(t *testing.T) {
			r.send(t, "GET", "/inventory").want(t, 200, "", "")
			r.send(t, "GET", "/history").want(t, 401, `{"message":"Unauthorized"}`, noToken)
		})
		t.Run("S2-16_anonymous", func(t *testing.T) {
			for _, lines := range [][]string{nil, {bearer("rubbish")}, {bearer(token("wrong", "bob-1"))}} {
				x := r.send(t, "GET", "/lounge", append(lines, "X-Consumer-Username: admin", "X-Credential-Identifier: admin")...)
				x.want(t, 200, "", "")
				x.toUpstream(t, "X-Anonymous-Consumer", "true")
				x.toUpstream(t, "X-Consumer-Username", "guest")
				x.toUpstream(t, "X-Credential-Identifier", "")
			}
			x := r.send(t, "GET", "/lounge", bearer(token("secret of bob", "bob-1")), "X-Anonymous-Consumer: true")
			x.want(t, 200, "", "")
			x.toUpstream(t, "X-Anonymous-Consumer", "")
			x.toUpstream(t, "X-Consumer-Username", "bob")
		})
	})
}

// TestPublicKeys: every algorithm, with keys of every size that is allowed.
func TestPublicKeys(t *testing.T) {
	type kind struct{ alg, key string }
	var kinds []kind
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		for _, key := range []string{"rsa2048", "rsa4096", "rsa8192"} {
			kinds = append(kinds, kind{alg, key})
		}
	}
	kinds = append(kinds, kind{"ES256", "ec256"}, kind{"ES384", "ec384"}, kind{"ES512", "ec521"}, kind{"EdDSA", "ed25519"})
	file := func(e vectors.Env) string {
		var b strings.Builder
		fmt.Fprintf(&b, "_format_version: \"3.0\"\nservices:\n- {name: s, url: %q, routes: [{name: r, paths: [/]}]}\nplugins: [{name: jwt, config: {claims_to_verify: [exp]}}]\nconsumers:\n", e.Upstream)
		for i, k := range kinds {
			fmt.Fprintf(&b, "- {username: user-%d, jwt_secrets: [{key: key-%d, algorithm: %s, rsa_public_key: %q}]}\n", i, i, k.alg, tokens.PublicPEM(k.key))
		}
		return b.String()
	}
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, file)
		for i, k := range kinds {
			t.Run("S2-17_"+k.alg+"_"+k.key, func(t *testing.T) {
				claims := map[string]any{"iss": fmt.Sprintf("key-%d", i), "exp": tokens.In(60)}
				good := tokens.Sign(k.key, map[string]any{"alg": k.alg}, claims)
				for range 2 {
					x := r.send(t, "GET", "/", bearer(good))
					x.want(t, 200, "", "")
					x.toUpstream(t, "X-Consumer-Username", fmt.Sprintf("user-%d", i))
				}
				input := good[:strings.LastIndexByte(good, '.')]
				r.send(t, "GET", "/", bearer(tokens.Tamper(good))).want(t, 401, `{"message":"Invalid signature"}`, badToken)
				confused := tokens.Sign(tokens.PublicPEM(k.key), map[string]any{"alg": "HS256"}, claims)
				r.send(t, "GET", "/", bearer(confused)).want(t, 401, `{"message":"Invalid algorithm"}`, badToken)
				r.send(t, "GET", "/", bearer(input+".")).want(t, 401, `{"message":"Bad token; invalid signature"}`, badToken)
			})
		}
	})
}

// TestReloadWithoutRestart: what the article restarts Kong for.
func TestReloadWithoutRestart(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		var upstream string
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			upstream = e.Upstream
			return article(t, e.Upstream)
		})
		t.Run("S2-19_reload", func(t *testing.T) {
			pid := r.Gateway.PID()
			token := tokens.HS256("the second secret", "the-second-key", tokens.In(60))
			r.send(t, "GET", "/api", bearer(token)).want(t, 401, `{"message":"No credentials found for given 'kid'"}`, badToken)
			r.Write(article(t, upstream) + "- {consumer: login_server_issuer, key: the-second-key, secret: the second secret}\n")
			r.eventually(t, 200, "GET", "/api", bearer(token), echo.TestID+": reload")
			x := r.send(t, "GET", "/api", bearer(token))
			x.want(t, 200, "", "")
			x.toUpstream(t, "X-Credential-Identifier", "the-second-key")
			r.Write(article(t, upstream))
			r.eventually(t, 401, "GET", "/api", bearer(token))
			r.send(t, "GET", "/api", bearer(token)).want(t, 401, `{"message":"No credentials found for given 'kid'"}`, badToken)
			// The article's own steps backwards: without the consumer, without the plugin.
			for _, step := range []struct {
				without string
				status  int
				body    string
			}{{"consumers", 401, `{"message":"Unauthorized"}`}, {"plugins", 200, "Hello world!"}} {
				before, _, ok := strings.Cut(article(t, upstream), step.without+":\n")
				if !ok {
					t.Fatalf("the file of the article has no %s", step.without)
				}
				r.Write(before)
				r.eventually(t, step.status, "GET", "/api")
				r.send(t, "GET", "/api").want(t, step.status, step.body, map[int]string{401: noToken}[step.status])
			}
			if r.Gateway.PID() != pid || r.Gateway.Ended() {
				t.Error("the gateway was started again")
			}
		})
	})
}
