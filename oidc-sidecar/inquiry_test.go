package sidecar

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// A back-channel logout ends what is remembered of what the issuer has said, here as in
// the filters.
func TestLogoutEndsInquiries(t *testing.T) {
	s := idp.Start(t)
	s.AddClient(idp.Client{ID: "app", Secret: "secret"})
	s.AddUser(idp.User{Name: "alice", Password: "alice"})
	const id = "6f3a0f2c-3c7a-4f5c-9df5-3f1b8c2d9a10"
	b := prepare(t, `_format_version: "3.0"
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: openid-connect, id: `+id+`,
  config: {issuer: "`+s.Issuer()+`", client_id: [app], client_secret: [secret], auth_methods: [session, introspection, password]}}]}]}]
`).run()
	testenv.Eventually(t, 10e9, "the issuer's keys", func() bool {
		bundle, err := b.bundle()
		return err == nil && len(bundle.Trust) == 1 && len(bundle.Trust[0].Keys) == 1
	})
	bundle, err := b.bundle()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, value string) wire.Answer {
		q := wire.Question{Kind: wire.Inquire, Instance: bundle.Plugins[0].ID, Generation: bundle.Generation, Method: method, Value: value}
		r := httptest.NewRequest("POST", wire.PathAsk, strings.NewReader(string(q.Encode())))
		r.Header.Set(wire.VersionHeader, wire.Version)
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		a, ok := wire.DecodeAnswer(w.Body.String())
		if !ok || a.Session == nil {
			t.Fatalf("%s\n%s", w.Body, b.log)
		}
		return a
	}
	token := ask("password", "alice:alice").Session.Token
	first := ask("introspection", token)
	ask("introspection", token)
	if n := s.Count("introspect"); n != 1 {
		t.Fatalf("asked %d times", n)
	}
	r := httptest.NewRequest("POST", "/.sallyport/"+id+"/backchannel_logout", strings.NewReader(url.Values{"logout_token": {s.LogoutToken("", nil, nil)}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	b.public.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	again := ask("introspection", token)
	ask("password", "alice:alice")
	if n, m := s.Count("introspect"), s.Count("token"); n != 2 || m != 2 {
		t.Errorf("asked %d and %d times", n, m)
	}
	if again.Seq <= first.Seq {
		t.Error("the filters were not told")
	}
}
