package logins

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

const handsOn = `
upstream_headers_names: [x-mail, x-full_name, X-Level]
upstream_headers_claims: [email, full, level]
upstream_id_token_header: x-id-token
upstream_user_info_header: x-info
upstream_session_id_header: x-sid
upstream_claims:
- {claim: [groups], match: "team-.*"}
downstream_headers_names: [x-who, x-level-down]
downstream_headers_claims: [full, level]
downstream_session_id_header: x-sid-down
search_user_info: true
auth_methods: [authorization_code, session, bearer]
`

// TestForgeryOfIdentity sends in the caller's name what an upstream takes for ours.
func TestForgeryOfIdentity(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{}, nil,
			site{path: "/app", idp: "main", config: handsOn},
			site{path: "/null", idp: "main", config: "upstream_access_token_header: null\nsession_audience: null-header\nauth_methods: [authorization_code, session, bearer]"},
			site{path: "/own", idp: "main", config: "upstream_access_token_header: null\nsession_audience: own\nauth_methods: [authorization_code, session]"},
			site{path: "/places", idp: "main", config: "bearer_token_param_type: [header, query, cookie]\nbearer_token_cookie_name: token\nauth_methods: [bearer, session]"})
		t.Run("headers", l.spoofs)
		t.Run("claims", l.claims)
		t.Run("two people", l.twoPeople)
		t.Run("bearer sessions", l.places)
		l.quiet(t, l.idp.Token("k1", map[string]any{"sub": "bob-2"})[:60])
	})
}

// spellings of a header's name that end up as one environment variable.
func spellings(name string) []string {
	out := []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")}
	for _, c := range []string{".", "~", "!", "*", "'", "+"} {
		out = append(out, strings.ReplaceAll(name, "-", c), strings.Replace(name, "-", c, 1))
	}
	return out
}

func level(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

func (l *lab) spoofs(t *testing.T) {
	names := []string{"x-mail", "x-full-name", "x-level", "x-id-token", "x-info", "x-sid", "x-authenticated-groups", "x-userinfo",
		"x-consumer-id", "x-consumer-username", "x-consumer-custom-id", "x-credential-identifier", "x-anonymous-consumer", "x-consumer-groups"}
	var forged []string
	for _, name := range names {
		for _, s := range spellings(name) {
			forged = append(forged, s+": forged")
		}
	}
	// bob has no e-mail address, no name and no groups: nothing of ours takes the place.
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "bob")
	session := cookieHeader("session=" + v.Cookies(l.URL)["session"])
	bearer := "Authorization: Bearer " + l.idp.Token("k1", map[string]any{"sub": "bob-2"})
	for what, credential := range map[string]string{"session": session, "bearer": bearer} {
		for some := range slices.Chunk(forged, 60) { // Envoy takes a hundred headers
			p, seen := l.raw(t, "GET", "/app/page", append([]string{credential}, some...)...)
			if p.StatusCode != 200 || len(seen) != 1 {
				t.Fatalf("%s: %s: %d %s", l.Host, what, p.StatusCode, p.Body)
			}
			for name, values := range seen[0].Headers {
				if strings.Contains(strings.Join(values, ""), "forged") {
					t.Errorf("%s: %s: the upstream received %s: %s", l.Host, what, name, values)
				}
			}
			if got := seen[0].Header("X-Credential-Identifier"); got != "bob-2" {
				t.Errorf("%s: %s: credential %q", l.Host, what, got)
			}
		}
		testenv.Evidence(t, "%s: %d forged headers beside a %s -> upstream received none", l.Host, len(forged), what)
	}
	// Hop-by-hop tricks remove nothing of ours (RFC 9110 §7.6.1).
	l.idp.AddUser(idp.User{Name: "level", Password: "level", Subject: "level-4", Claims: map[string]any{"level": "low"}})
	v = newVisitor(t)
	l.signIn(t, v, "/app/page", "level")
	session = cookieHeader("session=" + v.Cookies(l.URL)["session"])
	p, seen := l.raw(t, "GET", "/app/page", session, "Connection: x-level, x-credential-identifier, authorization", "X-Level: high")
	if p.StatusCode != 200 || len(seen) != 1 || seen[0].Header("X-Level") != "low" || seen[0].Header("X-Credential-Identifier") != "level-4" {
		t.Errorf("%s: Connection: %d %v", l.Host, p.StatusCode, seen)
	}
}

// claims are what a provider lets people write themselves.
func (l *lab) claims(t *testing.T) {
	const nasty = "a\r\nX-Evil: 1\r\nSet-Cookie: evil=1\x00\x7f\t\"; äöü 😀 \u2028end"
	l.idp.AddUser(idp.User{Name: "nasty", Password: "nasty", Subject: "na\r\nX-Evil: 1", Claims: map[string]any{
		"email": "a@b\r\nX-Evil: 1", "full": nasty, "level": []any{"1\n2", 3, true, nil}, "groups": []any{"team-a\r\nX-Evil: 1", "team-b", "other\nteam-c"},
	}, AccessClaims: map[string]any{"groups": []any{"team-a\r\nX-Evil: 1", "team-b", "other\nteam-c", "xteam-d"}}, UserInfo: map[string]any{"sub": "na\r\nX-Evil: 1", "x": nasty}})
	v := newVisitor(t)
	v.Open(l.begin(t, v, "/app/page", "nasty"))
	id := tokens.Random()
	p := v.Fetch(l.URL+"/app/page", echo.TestID+": "+id)
	seen := l.up.Seen(id)
	if p.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("%s: %d %s %s", l.Host, p.StatusCode, p.Body, l.Gateway.Tail())
	}
	for name, values := range seen[0].Headers {
		if level(name) == "x-evil" {
			t.Errorf("%s: the upstream received %s", l.Host, name)
		}
		if len(values) > 1 && strings.HasPrefix(name, "X-") {
			t.Errorf("%s: the upstream received %s twice: %q", l.Host, name, values)
		}
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00\x7f") {
				t.Errorf("%s: the upstream received %s: %q", l.Host, name, value)
			}
		}
	}
	if p.Header.Get("X-Evil") != "" || strings.Contains(strings.Join(p.Header.Values("Set-Cookie"), ""), "evil") {
		t.Errorf("%s: the client received %v", l.Host, p.Header)
	}
	if got := seen[0].Header("X-Full_name"); !strings.Contains(got, "äöü 😀") || got != p.Header.Get("X-Who") {
		t.Errorf("%s: UTF-8 arrived as %q and %q", l.Host, got, p.Header.Get("X-Who"))
	}
	if got := seen[0].Header("X-Authenticated-Groups"); strings.Contains(got, "X-Evil: 1\n") || strings.Contains(got, "other") || strings.Contains(got, "xteam") || !strings.Contains(got, "team-b") {
		t.Errorf("%s: groups %q", l.Host, got)
	}
}

// twoPeople are one in the session and another in the header.
func (l *lab) twoPeople(t *testing.T) {
	for _, c := range []struct{ path, authorization string }{
		{"/app/page", "alice-1"}, {"/null/page", ""}, {"/own/page", "forged"},
	} {
		v := newVisitor(t)
		l.signIn(t, v, c.path, "alice")
		session := cookieHeader("session=" + v.Cookies(l.URL)["session"])
		for _, token := range []string{
			l.idp.Token("k1", map[string]any{"sub": "bob-2"}),
			tokens.Sign("rsa4096", map[string]any{"alg": "RS256", "kid": "k1"}, map[string]any{"iss": l.idp.Issuer(), "sub": "forged", "exp": tokens.In(600)}),
			"garbage",
		} {
			p, seen := l.raw(t, "GET", c.path, session, "Authorization: Bearer "+token)
			if p.StatusCode != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "alice-1" || setsSession(p) {
				t.Fatalf("%s: %s: %d %v %v", l.Host, c.path, p.StatusCode, p.Header, seen)
			}
			// Nobody has looked at the token of the header: where the upstream is used to
			// tokens that were, it must not see this one.
			got := seen[0].Header("Authorization")
			switch {
			case c.authorization == "alice-1" && subjectOf(got) != "alice-1",
				c.authorization == "" && got != "",
				c.authorization == "forged" && got != "Bearer "+token:
				t.Errorf("%s: %s: alice's session, another's token: the upstream received Authorization of %q: %q", l.Host, c.path, subjectOf(got), got)
			}
		}
		if p, seen := l.raw(t, "GET", c.path, session, "Authorization: Basic dTpw"); p.StatusCode != 200 || len(seen) != 1 {
			t.Errorf("%s: Basic: %d", l.Host, p.StatusCode)
		}
	}
	// A session that is over, and a token that holds: the token counts, and only it.
	bob := "Authorization: Bearer " + l.idp.Token("k1", map[string]any{"sub": "bob-2"})
	p, seen := l.raw(t, "GET", "/app/page", cookieHeader("session=1.AAAA"), bob)
	if p.StatusCode != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "bob-2" {
		t.Errorf("%s: a dead session beside a token: %d %v", l.Host, p.StatusCode, seen)
	}
	// Neither holds: 401, no redirection, whoever asks.
	p, _ = l.raw(t, "GET", "/app/page", append(navigate, cookieHeader("session=1.AAAA"), "Authorization: Bearer garbage")...)
	l.refusedWith(t, p, 401, "token_malformed")
}

// subjectOf reads sub of a bearer token without a look at its signature.
func subjectOf(authorization string) string {
	parts := strings.Split(authorization, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	_, rest, _ := strings.Cut(string(claims), `"sub":"`)
	sub, _, _ := strings.Cut(rest, `"`)
	return sub
}

// places are where a page, or a link, can put a token into somebody else's browser.
func (l *lab) places(t *testing.T) {
	token := l.idp.Token("k1", map[string]any{"sub": "bob-2"})
	for what, header := range map[string]string{"cookie": "Cookie: token=" + token, "quoted cookie": `Cookie: token="` + token + `"`} {
		if p, seen := l.raw(t, "GET", "/places/page", header); p.StatusCode != 200 || len(seen) != 1 || setsSession(p) {
			t.Errorf("%s: %s: %d %q", l.Host, what, p.StatusCode, p.Header.Values("Set-Cookie"))
		}
	}
	if p, seen := l.raw(t, "GET", "/places/page?access_token="+token, "X: y"); p.StatusCode != 200 || len(seen) != 1 || setsSession(p) {
		t.Errorf("%s: query: %d %q", l.Host, p.StatusCode, p.Header.Values("Set-Cookie"))
	}
	p, seen := l.raw(t, "GET", "/places/page", "Authorization: Bearer "+token)
	if p.StatusCode != 200 || len(seen) != 1 || !setsSession(p) {
		t.Errorf("%s: header: %d %q", l.Host, p.StatusCode, p.Header.Values("Set-Cookie"))
	}
	// An ID token, which travels through addresses and logs, is none for the API.
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "alice")
	_, seen = l.fetch(t, v, l.URL+"/app/page")
	if len(seen) != 1 || seen[0].Header("X-Id-Token") == "" {
		t.Fatalf("%s: no ID token for the upstream: %v", l.Host, seen)
	}
	for _, path := range []string{"/app/page", "/places/page"} {
		p, _ = l.raw(t, "GET", path, "Authorization: Bearer "+seen[0].Header("X-Id-Token"))
		l.refusedWith(t, p, 401, "token_is_id")
	}
	// Nor is a logout token.
	p, _ = l.raw(t, "GET", "/places/page", "Authorization: Bearer "+l.idp.LogoutToken("", nil, nil))
	l.refusedWith(t, p, 401, "token_type")
}
