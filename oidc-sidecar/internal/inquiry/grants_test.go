package inquiry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

const alice = "alice:" + alicePassword

func TestPassword(t *testing.T) {
	w := newWorld(t, "scopes: [openid, read]\naudience: [api]\nauth_methods: [password]\ntoken_post_args_names: [realm]\ntoken_post_args_values: [people]")
	w.idp.Set(func(o *idp.Options) { o.AccessAudience = []string{"api"} })
	s := w.good(bundle.Password, alice)
	if s.Opaque || s.Token == "" || s.Refresh != "" || s.IDToken != "" || s.Claims == "" || s.Until != w.now().Unix()+300 {
		t.Errorf("%+v", s)
	}
	if want := endpoint.SubjectKey(w.idp.Issuer(), "alice-1"); len(s.Keys) == 0 || s.Keys[0] != want {
		t.Errorf("keys %v", s.Keys)
	}
	form := w.last("token").Form
	for name, want := range map[string]string{"grant_type": "password", "username": "alice", "password": alicePassword,
		"scope": "openid read", "audience": "api", "realm": "people"} {
		if len(form[name]) != 1 || form.Get(name) != want {
			t.Errorf("%s: %q", name, form[name])
		}
	}
	if call := w.last("token"); call.AuthMethod != "client_secret_basic" || call.ClientID != "app" {
		t.Errorf("%+v", call)
	}
	w.good(bundle.Password, alice)
	if n := w.idp.Count("token"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for _, wrong := range []string{"alice:wrong", "alice:", "nobody:x", "alice:" + alicePassword + " ", "alice:a\x00b\n&grant_type=x"} {
		if n := w.bad(bundle.Password, wrong, reason.CredentialRefused); n != 10 {
			t.Errorf("%q: remembered for %d s", wrong, n)
		}
	}
	before := w.idp.Count("token")
	w.bad(bundle.Password, "alice", reason.CredentialRefused)
	w.bad(bundle.Password, ":"+alicePassword, reason.CredentialRefused)
	if w.idp.Count("token") != before {
		t.Error("the issuer was asked about what is no name with a password")
	}
}

func TestClientCredentials(t *testing.T) {
	for _, tt := range []struct{ settings, want string }{
		{"", "client_secret_basic"}, {"client_auth: client_secret_post", "client_secret_post"}, {"client_auth: private_key_jwt", "client_secret_basic"},
	} {
		w := newWorld(t, "scopes: [openid, read, offline_access, write]\n"+tt.settings)
		w.idp.AddClient(idp.Client{ID: "machine", Secret: machineSecret, AuthMethod: tt.want})
		s := w.good(bundle.ClientCredentials, "machine:"+machineSecret)
		call := w.last("token")
		if call.ClientID != "machine" || call.AuthMethod != tt.want || call.Form.Get("scope") != "read write" || call.Form.Get("grant_type") != "client_credentials" {
			t.Errorf("%+v", call)
		}
		if s.Claims != "" || s.Opaque || s.Token == "" {
			t.Errorf("%+v", s)
		}
		w.bad(bundle.ClientCredentials, "machine:wrong", reason.CredentialRefused)
		w.bad(bundle.ClientCredentials, "nobody:wrong", reason.CredentialRefused)
		before := w.idp.Count("token")
		w.bad(bundle.ClientCredentials, "machine:", reason.CredentialRefused)
		w.bad(bundle.ClientCredentials, "machine", reason.CredentialRefused)
		if w.idp.Count("token") != before {
			t.Error("the issuer was asked about a client without a secret")
		}
	}
}

// An opaque token has the scopes of the response, or those that were asked for.
func TestScopes(t *testing.T) {
	for _, omit := range []bool{false, true} {
		w := newWorld(t, "scopes: [openid, read]")
		w.idp.Set(func(o *idp.Options) { o.OpaqueAccess, o.OmitScope = true, omit })
		if s := w.good(bundle.ClientCredentials, "machine:"+machineSecret); s.Access != `{"scope":"read"}` || !s.Opaque {
			t.Errorf("%+v", s)
		}
		s := w.good(bundle.RefreshToken, w.tokens("openid read").Refresh)
		if want := map[bool]string{false: `{"scope":"openid read"}`, true: `{}`}[omit]; s.Access != want {
			t.Errorf("%s, want %s", s.Access, want)
		}
	}
}

func TestGrantsThatGoWrong(t *testing.T) {
	const everybody = reason.Unspecified
	for _, tt := range []struct {
		name           string
		fault          idp.Fault
		person, client reason.Code // for password and refresh_token, and for client_credentials
	}{
		{"invalid_grant", idp.TokenError("invalid_grant"), reason.CredentialRefused, reason.CredentialRefused},
		{"invalid_client", idp.TokenError("invalid_client"), reason.LoginMisconfigured, reason.CredentialRefused},
		{"unauthorized_client", idp.TokenError("unauthorized_client"), reason.LoginMisconfigured, reason.CredentialRefused},
		{"invalid_scope", idp.TokenError("invalid_scope"), reason.LoginMisconfigured, reason.CredentialRefused},
		{"unsupported_grant_type", idp.TokenError("unsupported_grant_type"), reason.LoginMisconfigured, reason.LoginMisconfigured},
		{"mfa_required", idp.TokenError("mfa_required"), reason.CredentialRefused, reason.CredentialRefused},
		{"server_error", idp.TokenError("server_error"), reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"slow_down", idp.TokenError("slow_down"), reason.Overloaded, reason.Overloaded},
		{"an error of its own", idp.TokenError("lunch"), reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"401", idp.StatusOf("token", "401"), reason.LoginMisconfigured, reason.CredentialRefused},
		{"429", idp.StatusOf("token", "429"), reason.Overloaded, reason.Overloaded},
		{"500", idp.Token500, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"HTML", idp.TokenHTML, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"endless", idp.TokenEndless, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"huge", idp.TokenHuge, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"redirected", idp.TokenRedirect, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"hung up", idp.TokenHangUp, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"lost", idp.TokenLost, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"cut off", idp.TokenTruncated, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"two tokens", idp.TokenDuplicate, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"another type", idp.TokenWrongType, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"no token", idp.TokenNoAccess, reason.IssuerUnavailable, reason.IssuerUnavailable},
		{"ID token of another issuer", idp.IDWrongIss, reason.IssuerUnknown, everybody},
		{"ID token for another client", idp.IDWrongAud, reason.AudienceMismatch, everybody},
		{"ID token with another azp", idp.IDWrongAzp, reason.AuthorizedPartyMismatch, everybody},
		{"ID token with another at_hash", idp.IDWrongAtHash, reason.AccessTokenHashMismatch, everybody},
		{"ID token tampered with", idp.IDTampered, reason.SignatureInvalid, everybody},
		{"ID token by the secret", idp.IDHS256, reason.AlgorithmMismatch, everybody},
		{"ID token that has ended", idp.IDExpired, reason.TokenExpired, everybody},
		{"ID token of nobody", idp.IDNoSub, reason.ClaimMissing, everybody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "")
			refresh := w.tokens("openid").Refresh
			w.idp.FlowFault(tt.fault)
			for m, value := range map[bundle.Method]string{bundle.Password: alice, bundle.RefreshToken: refresh, bundle.ClientCredentials: "machine:" + machineSecret} {
				w.idp.Forget()
				want := tt.person
				if m == bundle.ClientCredentials {
					want = tt.client
				}
				if want == everybody {
					w.good(m, value)
				} else if n := w.bad(m, value, want); want.Ours() != (n == 0) {
					t.Errorf("%v: remembered for %d s", m, n)
				}
				if n := w.idp.Count("token"); n != 1 || w.idp.Count("elsewhere") != 0 {
					t.Errorf("%v: sent %d times", m, n)
				}
			}
		})
	}
}

// Whoever is not known by an organisation does not pass where one is asked for.
func TestDomains(t *testing.T) {
	w := newWorld(t, "domains: [corp.example]\nscopes: [openid]")
	w.bad(bundle.Password, alice, reason.DomainMismatch)
	w.idp.AddUser(idp.User{Name: "carol", Password: "c", Claims: map[string]any{"hd": "corp.example"}})
	w.good(bundle.Password, "carol:c")
	w = newWorld(t, "domains: [corp.example]\nscopes: [read]")
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	w.bad(bundle.Password, alice, reason.DomainMismatch) // there is nothing that could say it
	w.good(bundle.ClientCredentials, "machine:"+machineSecret)
}

func TestRefresh(t *testing.T) {
	w := newWorld(t, "token_headers_client: [x-device]")
	first := w.tokens("openid").Refresh
	s := w.good(bundle.RefreshToken, first, header("x-device", "d"))
	if s.Refresh == "" || s.Refresh == first || s.Token == "" || s.Claims == "" {
		t.Errorf("%+v", s)
	}
	if call := w.last("token"); call.ClientID != "app" || call.Header.Get("X-Device") != "d" || call.Form.Has("scope") {
		t.Errorf("%+v", call)
	}
	if n := w.bad(bundle.RefreshToken, "made-up", reason.CredentialRefused); n != 10 {
		t.Errorf("remembered for %d s", n)
	}
	next := w.good(bundle.RefreshToken, s.Refresh)
	if next.Refresh == s.Refresh {
		t.Error("no rotation")
	}
	// One that stays is not handed out anew.
	w.idp.Set(func(o *idp.Options) { o.Rotate = false })
	if s := w.good(bundle.RefreshToken, next.Refresh); s.Refresh != "" {
		t.Errorf("%+v", s)
	}
}

// A refresh token that is good once comes from many workers at nearly the same time,
// and from instances of several routes. It is sent once, and everybody gets what came
// for it, as long as that holds.
func TestConcurrentRotation(t *testing.T) {
	w := newWorld(t, "")
	token := w.tokens("openid").Refresh
	release := w.idp.Hold("token")
	other := *w.in
	other.ID = "q" // on another route, with the same realm
	var wait sync.WaitGroup
	answers := make([]wire.Answer, 200)
	for i := range answers {
		in := w.in
		if i%2 == 1 {
			in = &other
		}
		wait.Go(func() {
			answers[i] = w.svc.Ask(t.Context(), in, w.provider, &wire.Question{Method: "refresh_token", Value: token})
		})
	}
	w.idp.Await(t, "token", 1)
	release()
	wait.Wait()
	answers = append(answers, w.ask(bundle.RefreshToken, token))
	w.seconds(299)
	answers = append(answers, w.ask(bundle.RefreshToken, token))
	for _, a := range answers {
		if a.Session == nil || a.Session.Refresh != answers[0].Session.Refresh || a.Session.Token != answers[0].Session.Token {
			t.Fatalf("%v %+v", a.Code, a.Session)
		}
	}
	if n := w.idp.Count("token"); n != 1 {
		t.Errorf("sent %d times", n)
	}
	w.seconds(1)
	w.bad(bundle.RefreshToken, token, reason.CredentialRefused)
}

// Whoever asks first and goes takes nothing with them: the token was sent, and what
// comes for it is there for the next.
func TestWhoeverAsksMayGo(t *testing.T) {
	w := newWorld(t, "")
	token := w.tokens("openid").Refresh
	release := w.idp.Hold("token")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan wire.Answer)
	go func() {
		gone <- w.svc.Ask(ctx, w.in, w.provider, &wire.Question{Method: "refresh_token", Value: token})
	}()
	w.idp.Await(t, "token", 1)
	cancel()
	if a := <-gone; a.Code != reason.IssuerUnavailable || a.Until != 0 {
		t.Errorf("%v", a.Code)
	}
	release()
	if s := w.good(bundle.RefreshToken, token); s.Refresh == "" || w.idp.Count("token") != 1 {
		t.Errorf("%+v, sent %d times", s, w.idp.Count("token"))
	}
}

// An issuer that repeats the refresh token has not rotated it.
func TestRepeatedRefreshToken(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte(`{"access_token":"a","token_type":"bearer","expires_in":"60","refresh_token":"` + r.PostFormValue("refresh_token") + `"}`))
	}))
	defer front.Close()
	w := newWorld(t, "token_endpoint: "+front.URL)
	if s := w.good(bundle.RefreshToken, "r1"); s.Refresh != "" || s.Access != "{}" || s.Until != w.now().Unix()+60 {
		t.Errorf("%+v", s)
	}
}

// Tokens that have come for one that is good once are not lost because the issuer's
// keys are away.
func TestRefreshThatCannotBeJudged(t *testing.T) {
	w := newWorld(t, "")
	token := w.tokens("openid").Refresh
	for _, kid := range []string{"a", "b", "c", "d"} { // the issuer may not be asked any more
		w.provider.LookupOwn(t.Context(), kid)
	}
	w.idp.FlowFault(idp.IDKidLate)
	for range 3 {
		if n := w.bad(bundle.RefreshToken, token, reason.KeysThrottled); n != 0 {
			t.Errorf("remembered for %d s", n)
		}
	}
	w.seconds(20)
	s := w.good(bundle.RefreshToken, token)
	if s.Refresh == "" || s.Until != w.now().Unix()+280 {
		t.Errorf("%+v", s)
	}
	if n := w.idp.Count("token"); n != 1 {
		t.Errorf("sent %d times", n)
	}
	// Once they are judged they are judged: what they are too old for is asked anew.
	w = newWorld(t, "")
	token = w.tokens("openid").Refresh
	for _, kid := range []string{"a", "b", "c", "d"} {
		w.provider.LookupOwn(t.Context(), kid)
	}
	w.idp.Set(func(o *idp.Options) { o.AccessLifetime = 20 * time.Second })
	w.idp.FlowFault(idp.IDKidLate)
	w.bad(bundle.RefreshToken, token, reason.KeysThrottled)
	w.seconds(20)
	if s := w.good(bundle.RefreshToken, token); s.Until != 0 || len(w.svc.good.entries) != 0 {
		t.Errorf("%+v", s)
	}
}
