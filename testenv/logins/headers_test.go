package logins

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// rich is a user with claims of every form, in each of the three places.
var rich = idp.User{Name: "rich", Password: "rich", Subject: "rich-3",
	Claims: map[string]any{
		"user.login": "rich@okta", "only_id": "from the ID token", "both": "id", "name": "Zoë\r\nX-Evil: 1",
		"roles": []string{"reader", "writer"},
	},
	AccessClaims: map[string]any{
		"both": "access", "realm_access": map[string]any{"roles": []string{"a", "b"}, "deep.er": map[string]any{"x.y": 7}},
		"groups": []any{"/staff/dev", "/staff/ops", "guests", 7, true}, "number": 1.5, "truth": true, "nothing": nil,
		"list": []any{1, "two", true}, "nested": []any{"a", []any{"b"}}, "object": map[string]any{"k": "v"}, "empty": "", "scope": "openid read write",
	},
	UserInfo: map[string]any{"only_info": "from userinfo", "groups": []string{"info-group"}},
}

// TestHeaders: claims and tokens become headers for the upstream and for the client,
// from the place that says them first, and nobody else's header of that name arrives.
func TestHeaders(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"new", `search_user_info: true
upstream_headers:
- {header: X-Both, path: [both]}
- {header: X-Only-ID, path: only_id}
- {header: X-Only-Info, path: [only_info]}
- {header: X-Login, path: [user.login]}
- {header: X-Roles, path: [realm_access, roles]}
- {header: X-Deep, path: [realm_access, deep.er, x.y]}
- {header: X-Number, path: [number]}
- {header: X-Truth, path: [truth]}
- {header: X-Nothing, path: [nothing]}
- {header: X-List, path: [list]}
- {header: X-Nested, path: [nested]}
- {header: X-Object, path: [object]}
- {header: X-Empty, path: [empty]}
- {header: X-Name, path: [name]}
- {header: X-Missing, path: [a, b]}
downstream_headers:
- {header: X-Down, path: [realm_access, roles]}
- {header: X-Down-Missing, path: [a]}`},
			way{"old", `upstream_headers_claims: [sub, user.login]
upstream_headers_names: [X-Sub, X-Login]
downstream_headers_claims: [both]
downstream_headers_names: [X-Both]`},
			way{"tokens", `upstream_access_token_header: X-Access-Token
upstream_id_token_header: X-ID-Token:bearer
upstream_user_info_header: X-User-Info
upstream_session_id_header: X-Session-ID
downstream_access_token_header: Authorization:bearer
downstream_id_token_header: X-ID-Token
downstream_user_info_header: X-User-Info
downstream_session_id_header: X-Session-ID`},
			way{"quiet", "upstream_access_token_header: null"},
			way{"match", `upstream_claims:
- {claim: groups, match: "/staff/.*", value_from: claims, type: access_token}
- {claim: groups, type: user_info, header: X-Info-Groups}
- {claim: roles, match: "writ", type: id_token, header: X-None}
- {claim: roles, match: "(?i)WRIT(er)?", type: id_token, header: X-Writer}
- {claim: [realm_access, roles], match: "[ab]", header: X-Realm}
- {claim: roles, match: ".*", type: access_token, header: X-Other-Token}`},
			way{"cred", "credential_claim: user.login"},
			way{"credpath", "credential_claim: [realm_access, deep.er, x.y]"},
		), func(s *idp.Server) { s.AddUser(rich) }, stack.Options{})
		for name, test := range map[string]func(*testing.T, *rig){
			"upstream_headers": newHeaders, "upstream_headers_names": oldHeaders, "tokens": tokenHeaders,
			"upstream_access_token_header null": noToken, "S0-10": matchedClaims, "credential_claim": credentialClaims,
		} {
			t.Run(name, func(t *testing.T) { test(t, r) })
		}
	})
}

// differ compares headers, name by name.
func differ(t *testing.T, got func(name string) string, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got(name) != want[name] {
			t.Errorf("%s is %q, want %q", name, got(name), want[name])
		}
	}
}

// forged are headers of a caller's own.
func forged(names ...string) (lines []string) {
	for _, name := range names {
		lines = append(lines, name+": forged", strings.ReplaceAll(name, "-", "_")+": forged")
	}
	return lines
}

func newHeaders(t *testing.T, r *rig) {
	v := r.entered(t, "/new/page", "rich")
	want := map[string]string{
		"X-Both": "access", "X-Only-ID": "from the ID token", "X-Only-Info": "from userinfo", "X-Login": "rich@okta", "X-Roles": "a,b",
		"X-Deep": "7", "X-Number": "1.5", "X-Truth": "true", "X-Nothing": "", "X-List": "1,two,true", "X-Nested": `["a",["b"]]`,
		"X-Object": `{"k":"v"}`, "X-Empty": "", "X-Missing": "", "X-Evil": "", "X-Down": "", "X-Name": "Zoë??X-Evil: 1",
	}
	p, seen := r.ask(t, v, "/new/page", 200, forged(slices.Sorted(maps.Keys(want))[1:]...)...)
	delete(want, "X-Evil") // nobody's business, but for a name that breaks out
	delete(want, "X-Down")
	differ(t, seen.Header, want)
	unforged(t, seen, "X-Evil", "X-Down")
	differ(t, p.Header.Get, map[string]string{"X-Down": "a,b", "X-Down-Missing": "", "X-Both": ""})
	testenv.Evidence(t, "%s: the upstream received x-roles %q, x-login %q, x-only-info %q", r.Host, seen.Header("X-Roles"), seen.Header("X-Login"), seen.Header("X-Only-Info"))
}

// unforged fails where a caller's header has arrived, but for those that mean nothing.
func unforged(t *testing.T, seen *echo.Request, but ...string) {
	t.Helper()
	for name, values := range seen.Headers {
		plain := strings.ReplaceAll(name, "_", "-")
		if slices.Contains(values, "forged") && !slices.ContainsFunc(but, func(b string) bool { return strings.EqualFold(b, plain) }) {
			t.Errorf("a caller's %s has arrived: %q", name, values)
		}
	}
}

func oldHeaders(t *testing.T, r *rig) {
	v := r.entered(t, "/old/page", "rich")
	p, seen := r.ask(t, v, "/old/page", 200, forged("X-Sub", "X-Login")...)
	differ(t, seen.Header, map[string]string{"X-Sub": "rich-3", "X-Login": "rich@okta", "X-Both": ""})
	unforged(t, seen)
	differ(t, p.Header.Get, map[string]string{"X-Both": "access", "X-Sub": ""})
}

func tokenHeaders(t *testing.T, r *rig) {
	v := r.entered(t, "/tokens/page", "rich")
	p, seen := r.ask(t, v, "/tokens/page", 200, forged("X-Access-Token", "X-ID-Token", "X-User-Info", "X-Session-ID")...)
	unforged(t, seen)
	access := claimsOf(t, seen.Header("X-Access-Token"))
	id := claimsOf(t, strings.TrimPrefix(seen.Header("X-ID-Token"), "Bearer "))
	var info map[string]any
	if err := json.Unmarshal([]byte(seen.Header("X-User-Info")), &info); err != nil {
		t.Fatalf("%q: %v", seen.Header("X-User-Info"), err)
	}
	if access["both"] != "access" || id["both"] != "id" || info["only_info"] != "from userinfo" || !strings.HasPrefix(seen.Header("X-ID-Token"), "Bearer ") {
		t.Errorf("the upstream received %v", seen.Headers)
	}
	session := seen.Header("X-Session-ID")
	if session == "" || strings.Contains(r.cookieLine(v), session) || seen.Header("Authorization") != "" {
		t.Errorf("session id %q, authorization %q", session, seen.Header("Authorization"))
	}
	differ(t, p.Header.Get, map[string]string{
		"Authorization": "Bearer " + seen.Header("X-Access-Token"), "X-ID-Token": strings.TrimPrefix(seen.Header("X-ID-Token"), "Bearer "),
		"X-User-Info": seen.Header("X-User-Info"), "X-Session-ID": session,
	})
	if _, again := r.ask(t, v, "/tokens/page", 200); again.Header("X-Session-ID") != session {
		t.Error("the session's id changes")
	}
	w := r.entered(t, "/tokens/page", "rich")
	if _, other := r.ask(t, w, "/tokens/page", 200); other.Header("X-Session-ID") == session {
		t.Error("two sessions have one id")
	}
}

func noToken(t *testing.T, r *rig) {
	v := r.entered(t, "/quiet/page", "rich")
	_, seen := r.ask(t, v, "/quiet/page", 200)
	if got := fmt.Sprint(seen.Headers); strings.Contains(got, "eyJ") || seen.Header("Authorization") != "" {
		t.Errorf("a token has reached the upstream: %s", got)
	}
}

// matchedClaims: S0-10, groups that match an expression as a whole, of a chosen token.
func matchedClaims(t *testing.T, r *rig) {
	v := r.entered(t, "/match/page", "rich")
	_, seen := r.ask(t, v, "/match/page", 200, forged("X-Authenticated-Groups", "X-None", "X-Writer")...)
	unforged(t, seen)
	differ(t, seen.Header, map[string]string{
		"X-Authenticated-Groups": "/staff/dev, /staff/ops", "X-Info-Groups": "info-group", "X-None": "", "X-Writer": "writer",
		"X-Realm": "a, b", "X-Other-Token": "",
	})
	testenv.Evidence(t, "%s: the upstream received groups %q of the access token", r.Host, seen.Header("X-Authenticated-Groups"))
	w := r.entered(t, "/match/page", "bob")
	_, seen = r.ask(t, w, "/match/page", 200, forged("X-Authenticated-Groups")...)
	unforged(t, seen)
	if seen.Header("X-Authenticated-Groups") != "" {
		t.Errorf("bob's groups: %q", seen.Header("X-Authenticated-Groups"))
	}
}

func credentialClaims(t *testing.T, r *rig) {
	for name, want := range map[string]string{"cred": "rich@okta", "credpath": "7", "quiet": "rich-3"} {
		v := r.entered(t, "/"+name+"/page", "rich")
		_, seen := r.ask(t, v, "/"+name+"/page", 200, forged("X-Credential-Identifier")...)
		unforged(t, seen)
		if got := seen.Header("X-Credential-Identifier"); got != want {
			t.Errorf("%s: the credential is %q, want %q", name, got, want)
		}
	}
}
