package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// replace writes a file by renaming.
func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// mark is in everything that nobody may find in a log.
const mark = "MARKER"

// auditFile has secrets in every place that takes one, and a key set whose
// address has a key of an API in its query.
func auditFile(upstream, issuer, other string) string {
	return fmt.Sprintf(`_format_version: "3.0"
_sallyport: {installation_secret: "%[1]s-installation-secret-of-enough-bytes"}
services:
- name: s
  url: %[2]q
  routes:
  - {name: jwt, paths: [/jwt], plugins: [{name: jwt, config: {claims_to_verify: [exp], key_claim_name: kid, uri_param_names: [jwt], cookie_names: [jwt]}}]}
  - {name: oidc, paths: [/oidc], plugins: [{name: openid-connect, config: {issuer: %[3]q, auth_methods: [bearer], client_id: c, client_secret: ["%[1]s-client-secret"]}}]}
  - {name: bad, paths: [/bad], plugins: [{name: openid-connect, config: {issuer: %[4]q, auth_methods: [bearer]}}]}
  - {name: key, paths: [/key], plugins: [{name: key-auth, config: {key_in_query: true}}]}
  - {name: basic, paths: [/basic], plugins: [{name: basic-auth}]}
consumers:
- username: alice
  keyauth_credentials: [{key: %[1]s-key-of-enough-bytes}]
  basicauth_credentials: [{username: alice, password: %[1]s-password}]
  jwt_secrets:
  - {key: hs, secret: %[1]s-secret-of-a-credential}
  - {key: env, secret: "{vault://env/audit-secret}"}
  - {key: remote, jwks_uri: "%[4]s/jwks?key=%[1]s-of-an-api"}
`, mark, upstream, issuer, other)
}

// badFiles have mistakes beside their secrets, or in them.
func badFiles(good string) []string {
	change := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	return []string{
		change("key: hs,", "kee: hs,"),
		change("secret: "+mark+"-secret-of-a-credential", "secret: ["+mark+"-1]"),
		change("secret: "+mark+"-secret-of-a-credential", "secret: {x: "+mark+"-2}"),
		change("secret: "+mark+"-secret-of-a-credential", "secret: "+mark+"-3, algorithm: RS256"),
		change("secret: "+mark+"-secret-of-a-credential", "secret: \""+mark),
		change("secret: "+mark+"-secret-of-a-credential", "secret: *"+mark),
		change("jwks_uri: \"http://", "jwks_uri: \"http://user:"+mark+"-11@"),
		change("issuer: \"http://", "issuer: \"http://user:"+mark+"-16@"),
		change("secret: "+mark+"-secret-of-a-credential", "secret: "+mark+"-4, rsa_public_key: "+mark+"-5"),
		change("secret: "+mark+"-secret-of-a-credential", "jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\""+mark+"-6\"}]}'"),
		change("secret: "+mark+"-secret-of-a-credential", "jwks: '"+mark+"-7'"),
		change("secret: "+mark+"-secret-of-a-credential", "jwks: {kty: RSA, n: AQAB, e: AQAB, d: "+mark+"-8}"),
		change(mark+"-installation-secret-of-enough-bytes", mark+"-9"),
		change("\""+mark+"-installation-secret-of-enough-bytes\"", "["+mark+"-10]"),
		change("http://", "http://user:"+mark+"-12@"),
		change("\"{vault://env/audit-secret}\"", "\"{vault://env/audit-secret}\", tags: {a: 1}"),
		change("key: "+mark+"-key-of-enough-bytes", "key: '"+mark+"-17 18'"),
		change("key: "+mark+"-key-of-enough-bytes", "key: ["+mark+"-18]"),
		change("key: "+mark+"-key-of-enough-bytes", "key_hash: "+mark+"-19"),
		change("key: "+mark+"-key-of-enough-bytes", "key: "+mark+"-20-20-20-20, ttl: 5"),
		change("{key: "+mark+"-key-of-enough-bytes}", "{key: "+mark+"-21-21-21-21}, {key: "+mark+"-21-21-21-21}"),
		change("password: "+mark+"-password", "password: $2b$10$"+mark+"-22"),
		change("password: "+mark+"-password", "password: {"+mark+"-23: 1}"),
		change("password: "+mark+"-password", "password: \""+mark+"-24\\n\""),
		change("password: "+mark+"-password", "password: "+mark+"-25}, {username: alice, password: "+mark+"-26"),
		good + "\n- " + mark + "-13: [\n",
		good + "jwt_secrets: [{consumer: nobody, secret: " + mark + "-14}]\n",
		good + "  - {key: hs, secret: " + mark + "-15}\n",
	}
}

// badTokens are refused, each at another place of the way, and hold the mark.
func badTokens(s *idp.Server) []string {
	head := func(more map[string]any) map[string]any {
		h := map[string]any{"alg": "HS256", "typ": "JWT"}
		for k, v := range more {
			h[k] = v
		}
		return h
	}
	claims := map[string]any{"kid": "hs", "exp": tokens.In(600), "name": mark + "-claim"}
	out := []string{
		mark, mark + "." + mark + "." + mark, "e30." + mark + ".AA",
		tokens.Sign("wrong", head(nil), claims),
		tokens.Sign("wrong", head(nil), map[string]any{"kid": mark + "-kid", "exp": tokens.In(600)}),
		tokens.Sign("wrong", head(nil), map[string]any{"kid": "hs", "exp": mark + "-exp"}),
		tokens.Sign("wrong", head(map[string]any{"crit": []string{mark + "-crit"}}), claims),
		tokens.Sign("wrong", head(map[string]any{"typ": mark + "-typ"}), claims),
		tokens.Sign("wrong", head(map[string]any{"kid": mark + "-header"}), map[string]any{"kid": "remote", "exp": tokens.In(600)}),
		tokens.Sign("wrong", head(map[string]any{"alg": "HS512"}), claims),
		tokens.Sign(mark+"-secret-of-a-credential", head(nil), map[string]any{"kid": "hs", "exp": tokens.In(-600), "name": mark}),
		tokens.Sign("ed25519", map[string]any{"alg": "EdDSA", "kid": mark + "-unknown"}, map[string]any{"iss": s.Issuer(), "exp": tokens.In(600)}),
		tokens.Sign("ed25519", map[string]any{"alg": "EdDSA", "kid": "k1"}, map[string]any{"iss": mark + "-issuer", "exp": tokens.In(600)}),
		s.Token("k1", map[string]any{"iss": mark + "-issuer"}),
		s.Token("k1", map[string]any{"exp": tokens.In(-600), "sub": mark}),
		s.Token("k1", map[string]any{"at_hash": mark}),
	}
	return append(out, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+mark+`"}`))+".e30.AA")
}

// TestNoSecretLeaves runs each program through good and bad files, requests and
// answers of issuers with a mark in them. It may be in nothing that is logged, in
// no metric, no health, and in no answer to a client.
func TestNoSecretLeaves(t *testing.T) {
	for _, name := range []string{"sidecar", "serve"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AUDIT_SECRET", mark+"-from-the-environment")
			url, _, _ := upstream(t)
			issuer, other := idp.Start(t), garbage(t)
			good := auditFile(url, issuer.Issuer(), other)
			file := put(t, "kong.yml", good)
			adminToken := mark + "-admin-token"
			p := begin(t, name, file, "--admin-token", adminToken).ready(t)
			said := &strings.Builder{}

			// Questions to the sidecar, good and bad.
			for _, body := range []string{"", mark, `{"kind":"` + mark + `"}`, `{"kind":"lookup","instance":"` + mark + `","generation":1,"key":"` + mark + `","input":"` + mark + `"}`} {
				said.WriteString(ask(t, filepath.Join(p.state, "sidecar.sock"), body))
			}
			// The admin API shows secrets to those with the token and to nobody else.
			if shown := fetch(t, "http://"+p.admin+"/jwts", "Authorization: Bearer "+adminToken); !strings.Contains(shown, mark+"-secret-of-a-credential") {
				t.Errorf("the admin API shows %s", shown)
			}
			for _, line := range []string{"Authorization: Bearer " + mark, "Kong-Admin-Token: " + mark, "X: y"} {
				said.WriteString(fetch(t, "http://"+p.admin+"/jwts", line))
			}
			if name == "serve" {
				said.WriteString(traffic(t, p, issuer))
			}
			// Every way in which an issuer may misbehave.
			for _, fault := range []idp.Fault{idp.Error500, idp.NotJSON, idp.Duplicate, idp.OtherIssuer, idp.Symmetric, idp.Private, ""} {
				issuer.Misbehave(fault)
				if name == "serve" {
					said.WriteString(send(p, "/oidc", tokens.Sign("ed25519", map[string]any{"alg": "EdDSA", "kid": mark + string(fault)}, map[string]any{"iss": issuer.Issuer(), "exp": tokens.In(600)})))
				}
			}
			// Files that are refused.
			for i, bad := range badFiles(good) {
				replace(t, file, bad)
				n := i + 1
				if err := testenv.Poll(10*time.Second, func() bool { return strings.Count(p.Log(), "stays in force") >= n }); err != nil {
					t.Errorf("the bad file %d is not reported:\n%s", i, bad)
					break
				}
				code, stdout, stderr := command(t, "check", file)
				if code != 2 {
					t.Errorf("check of bad file %d: exit code %d", i, code)
				}
				said.WriteString(stdout + stderr)
			}
			replace(t, file, good+"# again\n")
			testenv.Eventually(t, 10*time.Second, "the good file", func() bool { return strings.Contains(p.Log(), "the declarative file is in force") })
			for _, path := range []string{"/metrics", "/healthz", "/readyz", "/status"} {
				said.WriteString(fetch(t, "http://"+p.status+path))
			}
			p.Stop()
			for line := range strings.Lines(p.Log() + said.String()) {
				// As it is, and as a token has it.
				if strings.Contains(line, mark) || strings.Contains(line, base64.RawURLEncoding.EncodeToString([]byte(mark))[:6]) {
					t.Errorf("the mark has got out: %s", line)
				}
			}
			if !strings.Contains(p.Log(), "keys cannot be refreshed") || !strings.Contains(said.String(), "sallyport_sidecar_answers_total") {
				t.Errorf("nothing was provoked: %s", p.Tail())
			}
		})
	}
}

// garbage is an issuer that answers with what is no HTTP.
func garbage(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 "+mark+"-garbage\r\n\r\n")
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// ask sends a question to a socket and returns the answer.
func ask(t *testing.T, socket, body string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: s\r\n%s: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", wire.PathAsk, wire.VersionHeader, wire.Version, len(body), body)
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Fatalf("%s %v", answer, err)
	}
	return string(answer)
}

// send sends a token through serve and returns status line and body.
func send(p *program, path, token string) string {
	r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", path, "Authorization: Bearer "+token))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(path, " ", r.Status, " ", r.Header, " ", r.Body, "\n")
}

// traffic sends every bad token in every place, and good ones.
func traffic(t *testing.T, p *program, s *idp.Server) string {
	t.Helper()
	var said strings.Builder
	good := tokens.Sign(mark+"-secret-of-a-credential", map[string]any{"alg": "HS256"}, map[string]any{"kid": "hs", "exp": tokens.In(600), "name": mark})
	if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/jwt", "Authorization: Bearer "+good)); r.Status != http.StatusOK {
		t.Errorf("a good token: status %d: %s", r.Status, r.Body)
	}
	if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/oidc", "Authorization: Bearer "+s.Token("k1", map[string]any{"sub": mark}))); r.Status != http.StatusOK {
		t.Errorf("a good token of the issuer: status %d: %s", r.Status, r.Body)
	}
	basic := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for _, x := range []struct {
		status       int
		target, line string
	}{
		{200, "/key", "apikey: " + mark + "-key-of-enough-bytes"}, {200, "/key?apikey=" + mark + "-key-of-enough-bytes", "X: y"},
		{401, "/key", "apikey: " + mark + "-unknown"}, {401, "/key?apikey=" + mark, "apikey: " + mark}, {401, "/key", "apikey: " + mark + " " + mark},
		{200, "/basic", basic("alice", mark+"-password")}, {401, "/basic", basic("alice", mark+"-wrong")},
		{401, "/basic", basic(mark, mark)}, {401, "/basic", "Authorization: Basic " + mark},
	} {
		r := testenv.Raw(t, p.traffic, testenv.Request("GET", x.target, x.line))
		if r.Status != x.status {
			t.Errorf("%s: status %d, want %d: %s", x.line, r.Status, x.status, r.Body)
		}
		if x.status != http.StatusOK {
			said.WriteString(fmt.Sprint(r.Status, r.Header, r.Body, "\n"))
		}
	}
	for _, token := range badTokens(s) {
		for _, path := range []string{"/jwt", "/oidc", "/bad"} {
			answer := send(p, path, token)
			said.WriteString(answer)
			if strings.Contains(answer, " 200 ") {
				t.Errorf("it passed: %s", answer)
			}
		}
		r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/jwt?jwt="+token))
		said.WriteString(r.Body)
		r = testenv.Raw(t, p.traffic, testenv.Request("GET", "/jwt", "Cookie: jwt="+token+"; other="+mark, "X-Other: "+mark))
		said.WriteString(r.Body)
	}
	return said.String()
}
