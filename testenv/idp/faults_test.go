package idp

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// complaints are what a careful relying party finds wrong with an ID token, by its
// own reading of OIDC Core §3.1.3.7.
func (p *rp) complaints(body map[string]any, keys []jwk) []string {
	p.t.Helper()
	token, ok := body["id_token"].(string)
	if !ok {
		return []string{"missing"}
	}
	j, err := parseJWS(token)
	if err != nil {
		return []string{"unreadable"}
	}
	var all []string
	note := func(wrong bool, what string) {
		if wrong {
			all = append(all, what)
		}
	}
	now := time.Now().Unix()
	iat, _ := j.seconds("iat")
	exp, _ := j.seconds("exp")
	nbf, _ := j.seconds("nbf")
	payload := payloadOf(token)
	note(j.header.Alg != "RS256", "alg")
	note(!slices.ContainsFunc(keys, func(k jwk) bool { return k.Kid == j.header.Kid }) && j.header.Alg != "none", "kid")
	note(!verified(p.t, token, keys), "signature")
	note(j.text("iss") != p.s.TokenIssuer(), "iss")
	note(!slices.Contains(j.audience(), p.id), "aud")
	note(len(j.audience()) > 1, "aud of two")
	note(j.claims["azp"] != nil && j.text("azp") != p.id, "azp")
	note(j.text("nonce") != "n-1", "nonce")
	note(j.text("at_hash") != atHash("RS256", body["access_token"].(string)), "at_hash")
	note(exp <= now, "exp")
	note(iat > now, "iat")
	note(nbf > now, "nbf")
	note(j.text("sub") == "", "no sub")
	note(j.text("sub") != "" && j.text("sub") != "sub-alice", "sub")
	note(strings.Count(payload, `"sub":`) > 1, "duplicate")
	return all
}

func payloadOf(token string) string {
	text, _ := decodeText(strings.Split(token, ".")[1])
	return text
}

func decodeText(part string) (string, error) {
	var raw json.RawMessage
	err := decodePart(part, &raw)
	return string(raw), err
}

func TestFaultsOfIDTokens(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fault Fault
		want  string
	}{
		{"", ""},
		{NonceWrong, "nonce"}, {NonceMissing, "nonce"}, {NonceArray, "nonce"},
		{IDWrongIss, "iss"}, {IDWrongAud, "aud"}, {IDAudNoAzp, "aud of two"}, {IDAudWrongAzp, "aud of two, azp"}, {IDWrongAzp, "azp"},
		{IDWrongAtHash, "at_hash"}, {IDNoSub, "no sub"}, {IDOtherSubject, "sub"}, {IDDuplicate, "duplicate"},
		{IDExpired, "exp"}, {IDFutureIat, "iat"}, {IDFutureNbf, "nbf"}, {IDMissing, "missing"}, {IDNotJWT, "unreadable"},
		{IDAlgNone, "alg, signature"}, {IDHS256, "alg, signature"}, {IDHS256Key, "alg, signature"}, {IDTampered, "signature"},
		{IDOtherKey, "signature"}, {IDUnknownKid, "kid, signature"}, {IDKidLate, "kid, signature"},
	}
	if want := len(spoils) + 2; len(cases) != want { // none, and IDMissing
		t.Errorf("%d cases, want %d", len(cases), want)
	}
	p := party(t)
	p.s.Set(func(o *Options) { o.RefreshNonce = true })
	for _, c := range cases {
		t.Run(string(c.fault), func(t *testing.T) {
			p.t = t
			keys := p.published()
			p.s.FlowFault(c.fault)
			body := p.login(alice)
			equal(t, "at the sign-in", strings.Join(p.complaints(body, keys), ", "), c.want)
			keys = p.published()
			p.s.FlowFault(OnRefresh(c.fault))
			good := p.login(alice)
			equal(t, "before the refresh", strings.Join(p.complaints(good, keys), ", "), "")
			_, refreshed := p.post("token", refreshForm(good["refresh_token"]))
			equal(t, "at the refresh", strings.Join(p.complaints(refreshed, keys), ", "), c.want)
			if c.fault == IDKidLate {
				equal(t, "after a fetch", strings.Join(p.complaints(refreshed, p.published()), ", "), "")
			}
		})
	}
}

func TestFaultsOfAuthorize(t *testing.T) {
	t.Parallel()
	p := party(t)
	for _, c := range []struct {
		fault                    Fault
		err, state, iss, comment string
		codes                    int
	}{
		{"", "", "st&te", "right", "", 1},
		{AuthorizeDenied, "access_denied", "st&te", "right", Script, 0},
		{AuthorizeDeniedState, "access_denied", "nobody's-state", "right", Script, 0},
		{AuthorizeWrongState, "", "nobody's-state", "right", "", 1},
		{AuthorizeNoState, "", "", "right", "", 1},
		{AuthorizeRepeatedCode, "", "st&te", "right", "", 2},
		{IssWrong, "", "st&te", "https://evil.example", "", 1},
		{IssMissing, "", "st&te", "", "", 1},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			p.t = t
			p.s.FlowFault(c.fault)
			back := p.answer(alice)
			want := c.iss
			if want == "right" {
				want = p.s.Issuer()
			}
			equal(t, "callback", []any{back.Get("error"), back.Get("state"), back.Get("iss"), back.Get("error_description"), len(back["code"])},
				[]any{c.err, c.state, want, c.comment, c.codes})
			equal(t, "advertised", p.s.Discovery()["authorization_response_iss_parameter_supported"], true)
		})
	}
}

func TestFaultsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.login(alice)
	p.browser.Timeout = 0
	for _, c := range []struct {
		fault Fault
		want  string
		used  bool // the code
	}{
		{Token500, "500 ", false},
		{TokenHTML, "200 <!doctype html>", false},
		{TokenRedirect, "307 ", false},
		{TokenHangUp, "cut off", false},
		{TokenTruncated, "200 {", true}, // and then cut off
		{TokenLost, "cut off", true},
		{TokenHuge, `200 {"padding":"xxx`, true},
		{TokenEndless, "200      ", false},
		{TokenDuplicate, `200 {"access_token":"of-somebody-else","access_token":"e`, true},
		{TokenError("invalid_grant"), `400 {"error":"invalid_grant","error_description":"\u003cscript`, false},
		{TokenError("invalid_client"), `401 {"error":"invalid_client"`, false},
		{TokenWrongType, "200 {", true},
		{TokenNoAccess, `200 {"expires_in"`, true},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			p.t = t
			p.s.FlowFault(c.fault)
			code := p.answer("").Get("code")
			res, err := p.try("token", codeForm(code))
			got := "cut off"
			if err == nil {
				start := make([]byte, 100)
				n, _ := io.ReadFull(res.Body, start)
				got = res.Status[:4] + string(start[:n])
				res.Body.Close()
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			p.s.FlowFault()
			if status, body := p.post("token", codeForm(code)); (status == 400) != c.used {
				t.Errorf("the code afterwards: %d %v", status, body)
			}
		})
	}
	p.t = t
	p.s.FlowFault(TokenWrongType, IDMissing)
	body := p.login("")
	equal(t, "two faults", []any{body["token_type"], body["id_token"]}, []any{"mac", nil})

	p.s.FlowFault(TokenRedirect)
	gullible := *p.browser
	gullible.CheckRedirect = nil
	p.browser = &gullible
	if status, body := p.post("token", clientCredentials); status != 200 || p.s.Count("elsewhere") != 1 {
		t.Errorf("followed: %d %v", status, body)
	}
	equal(t, "leaked", p.s.Calls("elsewhere")[0].ClientID, "rp")
}

func TestASlowTokenEndpointLetsGoOfWhoGoes(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(*Server){
		"fault": func(s *Server) { s.FlowFault(TokenSlow) },
		"delay": func(s *Server) { s.Set(func(o *Options) { o.TokenDelay = time.Hour }) },
		"hold":  func(s *Server) { s.Hold("token") },
	} {
		t.Run(name, func(t *testing.T) {
			p := party(t)
			slow(p.s)
			answered := make(chan error, 1)
			go func() {
				res, err := p.try("token", clientCredentials)
				if err == nil {
					drain(res)
				}
				answered <- err
			}()
			p.s.Await(t, "token", 1)
			select {
			case err := <-answered:
				t.Fatalf("answered: %v", err)
			default:
			}
			p.s.Close() // does not wait for it
			<-answered
		})
	}
}

func TestFaultsOfRefreshes(t *testing.T) {
	t.Parallel()
	p := party(t)
	for _, c := range []struct {
		fault  Fault
		status int
		sub    any
	}{
		{RefreshInvalidGrant, 400, nil}, {Refresh500, 500, nil}, {RefreshOtherSubject, 200, "somebody-else"},
	} {
		p.s.FlowFault(c.fault)
		body := p.login(alice)
		equal(t, string(c.fault)+" at the sign-in", p.claims(body["id_token"])["sub"], "sub-alice")
		status, body := p.post("token", refreshForm(body["refresh_token"]))
		equal(t, string(c.fault), status, c.status)
		if c.sub != nil {
			equal(t, string(c.fault), p.claims(body["id_token"])["sub"], c.sub)
		}
	}
}

func TestFaultsOfUserinfo(t *testing.T) {
	t.Parallel()
	p := party(t)
	token := p.login(alice)["access_token"]
	for _, c := range []struct {
		fault       Fault
		status      int
		contentType string
		want        string
	}{
		{UserinfoOtherSub, 200, "application/json", `"sub":"somebody-else"`},
		{UserinfoNoSub, 200, "application/json", `{"email":"alice@example.com","preferred_username":"alice"}`},
		{Userinfo500, 500, "application/json", ""},
		{UserinfoHTML, 200, "text/html", "<!doctype html>"},
		{UserinfoJWT, 200, "application/jwt", "eyJ"},
		{UserinfoHuge, 200, "application/json", `{"padding":"x`},
	} {
		p.s.FlowFault(c.fault)
		status, header, body := p.ask("userinfo", token)
		if status != c.status || header.Get("Content-Type") != c.contentType || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s %.100s", c.fault, status, header.Get("Content-Type"), body)
		}
		if c.fault == UserinfoJWT {
			equal(t, "signed", p.claims(body)["aud"], "rp")
		}
	}
	p.s.FlowFault()
	for _, token := range []any{nil, "guess"} {
		if status, header, _ := p.ask("userinfo", token); status != 401 || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%v: %d %v", token, status, header)
		}
	}
	p.s.Set(func(o *Options) { o.AccessLifetime = -time.Second })
	if status, _, _ := p.ask("userinfo", p.login(alice)["access_token"]); status != 401 {
		t.Errorf("expired: %d", status)
	}
}

func TestFaultsOfDiscovery(t *testing.T) {
	t.Parallel()
	s := Start(t)
	client := newClient(t)
	document := func() map[string]any {
		res, err := client.Get(s.Endpoint("discovery"))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal([]byte(drain(res)), &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	trap := s.Trap()
	if trap == s.URL || trap != s.Trap() {
		t.Errorf("trap at %s, server at %s", trap, s.URL)
	}
	for _, c := range []struct {
		fault        Fault
		member, want string
	}{
		{NoTokenEndpoint, "token_endpoint", "null"},
		{NoAuthorizeEndpoint, "authorization_endpoint", "null"},
		{TokenAtLinkLocal, "token_endpoint", "http://169.254.169.254/latest/token"},
		{UserinfoAtLinkLocal, "userinfo_endpoint", "http://169.254.169.254/latest/userinfo"},
		{KeysAtLinkLocal, "jwks_uri", "http://169.254.169.254/latest/jwks"},
		{TokenAtLoopback, "token_endpoint", trap + "/token"},
		{AuthorizeAtLoopback, "authorization_endpoint", trap + "/authorize"},
		{UserinfoAtLoopback, "userinfo_endpoint", trap + "/userinfo"},
		{KeysAtLoopback, "jwks_uri", trap + "/jwks"},
		{OtherIssuer, "issuer", "https://evil.example"},
		{"", "token_endpoint", s.URL + "/token"},
	} {
		s.Misbehave(c.fault)
		got := document()[c.member]
		if c.want == "null" {
			equal(t, string(c.fault), got, nil)
			continue
		}
		equal(t, string(c.fault), got, c.want)
	}
	s.MisbehaveWithKeys(TokenAtLoopback)
	equal(t, "keys only", document()["token_endpoint"], s.URL+"/token")
	s.Advertise(map[string]any{"token_endpoint": nil, "extra": 1})
	equal(t, "advertised", []any{document()["token_endpoint"], document()["extra"]}, []any{nil, 1})
	s.Advertise(nil)
	equal(t, "advertised no more", []any{document()["token_endpoint"], document()["extra"]}, []any{s.URL + "/token", nil})

	res, err := client.PostForm(trap+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"x"}, "client_secret": {"y"}})
	if err != nil {
		t.Fatal(err)
	}
	if body := drain(res); res.StatusCode != 200 || s.Count("elsewhere") != 1 || s.Count("token") != 0 {
		t.Errorf("the trap: %d %s", res.StatusCode, body)
	}
}

func TestFaultsOfTransportAtDiscovery(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.CacheFor(90 * time.Second)
	client := newClient(t)
	for fault, want := range map[Fault]string{
		Error500: "500 ", NotJSON: "200 <!doctype", Redirect: "302 ", Loop: "302 ", HangUp: "cut off", Truncated: "cut off",
		Huge: `200 {"padding"`, Duplicate: `200 {"issuer":"x","issuer":"y","`, NoKeys: `200 {"keys":[]}`,
		Symmetric: `200 {"keys":[{`, Private: `200 {"keys":[{`, "": `200 {"keys":[{`,
	} {
		s.MisbehaveWithKeys(fault)
		got := "cut off"
		res, err := client.Get(s.Endpoint("jwks"))
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				got = res.Status[:4] + string(body)
			}
			res.Body.Close()
			equal(t, "cache", res.Header.Get("Cache-Control"), "max-age=90")
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.80q, want %q", fault, got, want)
		}
	}
}
