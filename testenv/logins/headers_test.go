package logins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// people gives the provider somebody with claims of every kind, in each token other
// ones.
func people(s *idp.Server) {
	s.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1",
		Claims: map[string]any{
			"email": "alice@example.com", "email_verified": true, "name": "Alice Liddell", "https://example.com/dotted.claim": "dotted",
			"address": map[string]any{"locality": "Wien", "geo": map[string]any{"lat": 48.2}}, "tags": []any{"a", "b"},
			"numbers": []any{1, 2.5, true}, "mixed": []any{"a", map[string]any{"b": 1}}, "none": []any{},
			"level": 7, "ratio": 0.25, "active": false, "empty": "", "groups": []any{"sales", "staff-1", "staff-2", "my-staff-3"},
			"evil": "a\r\nX-Injected: 1\x00\x7f\tz", "evils": []any{"a\nb", "c"}, "both": "of the ID token", "loud": "ALICE-1", "one_group": "staff-7", "staff": 7,
		},
		AccessClaims: map[string]any{
			"realm_access": map[string]any{"roles": []any{"admin", "user"}}, "both": "of the access token",
			"groups": []any{"access-1", "staff-9"}, "cid": "credential-7",
		},
		UserInfo: map[string]any{"nickname": "Al", "both": "of userinfo", "groups": []any{"info-1", "staff-5"}},
	})
	s.AddUser(idp.User{Name: "carol", Password: "carol"})
}

// spelled returns the values of all headers that some server takes for a name.
func spelled(r *echo.Request, name string) (values []string) {
	for have, list := range r.Headers {
		if strings.EqualFold(strings.NewReplacer("_", "-", ".", "-").Replace(have), name) {
			values = append(values, list...)
		}
	}
	return values
}

// spoofed are a header's spellings with a caller's value.
func spoofed(names ...string) (lines []string) {
	for _, name := range names {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
			lines = append(lines, spelling+": spoofed")
		}
	}
	return lines
}

// TestClaimHeaders: claims and tokens become headers of the request and of the
// response, and a caller's own are removed in every spelling, whether or not there is
// a claim.
func TestClaimHeaders(t *testing.T) {
	type headers = map[string]string
	cases := []struct {
		name, config string
		want, down   headers // "" for none
		opaque       bool
	}{
		{name: "nested", config: `upstream_headers: [{header: X-City, path: [address, locality]}, {header: X-Lat, path: [address, geo, lat]}, {header: X-Deep, path: [address, locality, x]}]
downstream_headers: [{header: X-Roles, path: [realm_access, roles]}, {header: X-No, path: [nobody]}]`,
			want: headers{"X-City": "Wien", "X-Lat": "48.2", "X-Deep": ""}, down: headers{"X-Roles": "admin,user", "X-No": ""}},
		{name: "pairs", config: `upstream_headers_names: [X-Mail, X-Dotted, X-Missing, X-Empty]
upstream_headers_claims: [email, "https://example.com/dotted.claim", nobody, empty]
downstream_headers_names: [X-Name]
downstream_headers_claims: [name]`,
			want: headers{"X-Mail": "alice@example.com", "X-Dotted": "dotted", "X-Missing": "", "X-Empty": ""}, down: headers{"X-Name": "Alice Liddell"}},
		{name: "kinds", config: `upstream_headers_names: [X-Tags, X-Numbers, X-Mixed, X-None, X-Object, X-Level, X-Ratio, X-Active, X-Verified]
upstream_headers_claims: [tags, numbers, mixed, none, address, level, ratio, active, email_verified]`,
			want: headers{"X-Tags": "a,b", "X-Numbers": "1,2.5,true", "X-Mixed": `["a",{"b":1}]`, "X-None": "", "X-Level": "7", "X-Ratio": "0.25",
				"X-Object": `{"geo":{"lat":48.2},"locality":"Wien"}`, "X-Active": "false", "X-Verified": "true"}},
		{name: "order", config: "search_user_info: true\nupstream_headers_names: [X-Both, X-Nick, X-Mail]\nupstream_headers_claims: [both, nickname, email]",
			want: headers{"X-Both": "of the access token", "X-Nick": "Al", "X-Mail": "alice@example.com"}},
		{name: "order-opaque", opaque: true, config: "search_user_info: true\nupstream_headers_names: [X-Both, X-Nick]\nupstream_headers_claims: [both, nickname]",
			want: headers{"X-Both": "of the ID token", "X-Nick": "Al"}},
		{name: "control", config: "upstream_headers_names: [X-Evil, X-Evils]\nupstream_headers_claims: [evil, evils]\ndownstream_headers_names: [X-Evil]\ndownstream_headers_claims: [evil]",
			want: headers{"X-Evil": "a??X-Injected: 1???z", "X-Evils": "a?b,c", "X-Injected": ""}, down: headers{"X-Evil": "a??X-Injected: 1???z", "X-Injected": ""}},
		{name: "no-token", config: "upstream_access_token_header: null", want: headers{"Authorization": "", "X-Credential-Identifier": "alice-1"}},
		{name: "other", config: "upstream_access_token_header: X-Access-Token\ndownstream_access_token_header: X-Access-Token:bearer",
			want: headers{"X-Access-Token": "<access>", "Authorization": ""}, down: headers{"X-Access-Token": "Bearer <access>"}},
		{name: "bearer", config: "upstream_access_token_header: X-Access-Token:bearer", want: headers{"X-Access-Token": "Bearer <access>"}},
		{name: "bare", config: "upstream_access_token_header: authorization", want: headers{"Authorization": "<access>"}},
		{name: "tokens", config: `search_user_info: true
upstream_id_token_header: X-ID-Token
upstream_user_info_header: X-User-Info
upstream_session_id_header: X-Session-ID
downstream_id_token_header: X-ID-Token:bearer
downstream_user_info_header: X-User-Info
downstream_session_id_header: X-Session-ID`,
			want: headers{"Authorization": "Bearer <access>", "X-Id-Token": "<id>", "X-User-Info": "<info>", "X-Session-Id": "<session>"},
			down: headers{"X-Id-Token": "Bearer <id>", "X-User-Info": "<info>", "X-Session-Id": "<session>"}},
		{name: "info", config: "upstream_user_info_header: X-User-Info", want: headers{"X-User-Info": "<info>"}}, // fetched without search_user_info
		{name: "match", config: `search_user_info: true
upstream_claims:
- {claim: [groups], match: "staff-\\d", type: id_token}
- {claim: [groups], match: "staff-\\d", type: access_token, header: X-Access-Groups}
- {claim: [groups], match: "staff-.*", type: user_info, header: X-Info-Groups}
- {claim: [realm_access, roles], match: "admin|owner", header: X-Role}
- {claim: [one_group], match: "staff-[0-9]", type: id_token, header: X-One}
- {claim: [one_group], match: "staff", type: id_token, header: X-Part}
- {claim: [staff], type: id_token, header: X-Number}
- {claim: [email_verified], match: "true", type: id_token, header: X-Bool}
- {claim: [email], type: access_token, header: X-Elsewhere}`,
			want: headers{"X-Authenticated-Groups": "staff-1, staff-2", "X-Access-Groups": "staff-9", "X-Info-Groups": "staff-5", "X-Role": "admin",
				"X-One": "staff-7", "X-Part": "", "X-Number": "7", "X-Bool": "true", "X-Elsewhere": ""}},
		{name: "credential", config: "credential_claim: [cid]", want: headers{"X-Credential-Identifier": "credential-7"}},
		{name: "credential-path", config: "credential_claim: [address, locality]", want: headers{"X-Credential-Identifier": "Wien"}},
		{name: "credential-number", config: "credential_claim: [level]", want: headers{"X-Credential-Identifier": "7"}},
		{name: "credential-none", config: "credential_claim: [nobody]", want: headers{"X-Credential-Identifier": ""}},
		{name: "plain", want: headers{"X-Credential-Identifier": "alice-1", "X-Consumer-Id": "", "X-Consumer-Username": "", "X-Consumer-Custom-Id": "", "X-Anonymous-Consumer": ""}},
	}
	inBoth(t, func(t *testing.T, host string) {
		var list []way
		for _, c := range cases {
			list = append(list, way{c.name, c.config})
		}
		r := start(t, host, ways(list...), people, stack.Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = c.opaque })
				defer r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = false })
				v := r.entered(t, "/"+c.name+"/page", "alice")
				var names []string
				for name := range c.want {
					if name != "Authorization" && name != "X-Injected" { // the latter is the upstream's own business
						names = append(names, name)
					}
				}
				for _, lines := range [][]string{nil, spoofed(names...)} {
					p, seen := r.ask(t, v, "/"+c.name+"/page", 200, lines...)
					for name, want := range c.want {
						if got := spelled(seen, name); !r.isHeader(got, want) {
							t.Errorf("%s: the upstream's %s is %q, want %q", host, name, got, want)
						}
					}
					for name, want := range c.down {
						if got := p.Header.Values(name); !r.isHeader(got, want) {
							t.Errorf("%s: the client's %s is %q, want %q", host, name, got, want)
						}
					}
					testenv.Evidence(t, "%s: %s: %d copies of %d headers sent -> the upstream has ours alone", host, c.name, len(lines), len(names))
				}
				if _, seen := r.fetch(t, visitor.New(t), r.URL+"/"+c.name+"/page", spoofed(names...)...); len(seen) > 0 {
					t.Error("somebody without a session got through")
				}
			})
		}
	})
}

// isHeader compares the values of a header with the one that is wanted, in which
// <access>, <id>, <info> and <session> stand for what they are.
func (r *rig) isHeader(got []string, want string) bool {
	if want == "" {
		return len(got) == 0
	}
	if len(got) != 1 {
		return false
	}
	rest, bearer := strings.CutPrefix(want, "Bearer ")
	value := got[0]
	if bearer {
		var ok bool
		if value, ok = strings.CutPrefix(value, "Bearer "); !ok {
			return false
		}
	}
	switch rest {
	case "<access>":
		return claimsOf(r.t, value)["client_id"] == "app"
	case "<id>":
		return claimsOf(r.t, value)["aud"] == "app"
	case "<info>":
		var info map[string]any
		return json.Unmarshal([]byte(value), &info) == nil && info["sub"] == "alice-1" && info["nickname"] == "Al"
	case "<session>":
		return len(value) >= 16
	}
	return value == rest
}

// A preflight that passes, and an anonymous consumer, bring no header of a caller's.
func TestClaimHeadersWithoutSession(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		const set = "upstream_headers_names: [X-Mail]\nupstream_headers_claims: [email]\nupstream_access_token_header: X-Access-Token\n"
		r := start(t, host, waysAnd("consumers: [{username: guest}]\n",
			way{"preflight", set + "run_on_preflight: false"}, way{"guest", set + "anonymous: guest"}), people, stack.Options{})
		for _, c := range []struct{ method, path string }{{"OPTIONS", "/preflight/page"}, {"GET", "/guest/page"}} {
			id := tokens.Random()
			p := visitor.New(t).Send(c.method, r.URL+c.path, append(spoofed("X-Mail", "X-Access-Token", "X-Consumer-Username"), echo.TestID+": "+id)...)
			seen := r.evidence(t, c.method, r.URL+c.path, p, id)
			if p.StatusCode != 200 || len(seen) != 1 {
				t.Fatalf("%s %s: %d", c.method, c.path, p.StatusCode)
			}
			if list := append(spelled(&seen[0], "X-Mail"), spelled(&seen[0], "X-Access-Token")...); len(list) > 0 {
				t.Errorf("%s %s: the upstream received %q", c.method, c.path, list)
			}
			if name := spelled(&seen[0], "X-Consumer-Username"); slices.Contains(name, "spoofed") {
				t.Errorf("%s %s: the consumer is %q", c.method, c.path, name)
			}
		}
	})
}

// TestRights: what has to be among somebody's scopes, audiences, groups and roles,
// with access tokens that can be read and with those that cannot.
func TestRights(t *testing.T) {
	cases := []struct {
		name, config string
		opaque, omit bool // kind of access token; no scope in the token response
		audience     []string
		reason       string // "" for a pass
	}{
		{name: "scope", config: "scopes: [openid, read]\nscopes_required: [read]"},
		{name: "scope-alternatives", config: "scopes: [openid, read]\nscopes_required: [write, openid read]"},
		{name: "scope-missing", config: "scopes: [openid, read]\nscopes_required: [read write]", reason: "scope_missing"},
		{name: "scope-opaque", config: "scopes: [openid, read]\nscopes_required: [read]", opaque: true},
		{name: "scope-opaque-missing", config: "scopes: [openid, read]\nscopes_required: [write]", opaque: true, reason: "scope_missing"},
		{name: "scope-opaque-omitted", config: "scopes: [openid, read]\nscopes_required: [read]", opaque: true, omit: true},
		{name: "scope-opaque-omitted-missing", config: "scopes: [openid, read]\nscopes_required: [write]", opaque: true, omit: true, reason: "scope_missing"},
		{name: "scope-claim", config: "scopes_claim: [realm_access, roles]\nscopes_required: [admin]"},
		{name: "scope-claim-of-id", config: "scopes_claim: [name]\nscopes_required: [Alice]", reason: "scope_missing"},
		{name: "audience", config: "audience_required: [api]", audience: []string{"api"}},
		{name: "audience-list", config: "audience_required: [other api, api2]", audience: []string{"api", "other"}},
		{name: "audience-missing", config: "audience_required: [api]", audience: []string{"other"}, reason: "claim_missing_required"},
		{name: "audience-not-of-id", config: "audience_required: [app]", reason: "claim_missing_required"},
		{name: "audience-opaque", config: "audience_required: [app]", opaque: true},
		{name: "audience-opaque-missing", config: "audience_required: [api]", opaque: true, reason: "claim_missing_required"},
		{name: "groups", config: "groups_required: [access-1]"},
		{name: "groups-of-id-only", config: "groups_required: [sales]", reason: "claim_missing_required"},
		{name: "groups-opaque", config: "groups_required: [sales staff-1]", opaque: true},
		{name: "groups-opaque-missing", config: "groups_required: [access-1]", opaque: true, reason: "claim_missing_required"},
		{name: "groups-claim-of-info", config: "search_user_info: true\ngroups_claim: [nickname]\ngroups_required: [Al]"},
		{name: "roles", config: "roles_claim: [realm_access, roles]\nroles_required: [admin user]"},
		{name: "roles-missing", config: "roles_required: [admin]", reason: "claim_missing_required"},
		{name: "roles-opaque", config: "roles_claim: [realm_access, roles]\nroles_required: [admin]", opaque: true, reason: "claim_missing_required"},
		{name: "all", config: "scopes: [openid, read]\nscopes_required: [read]\ngroups_required: [nobody]", reason: "claim_missing_required"},
	}
	inBoth(t, func(t *testing.T, host string) {
		var list []way
		for _, c := range cases {
			list = append(list, way{c.name, c.config})
		}
		r := start(t, host, ways(list...), people, stack.Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				r.idp.Set(func(o *idp.Options) { o.OpaqueAccess, o.OmitScope, o.AccessAudience = c.opaque, c.omit, c.audience })
				v := r.entered(t, "/"+c.name+"/page", "alice")
				if c.reason == "" {
					r.ask(t, v, "/"+c.name+"/page", 200)
					return
				}
				p, _ := r.ask(t, v, "/"+c.name+"/page", 403)
				r.reason(t, p, c.reason)
				if got := p.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) {
					t.Errorf("the challenge is %q", got)
				}
				// Not again and again to the provider: it could not help.
				if p := v.Open(r.URL + "/" + c.name + "/page"); p.StatusCode != 403 || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
					t.Errorf("a page: %d to %q", p.StatusCode, p.Location())
				}
			})
		}
	})
}

// TestConsumerOfSession: a claim names a consumer, and what the file says of consumers
// counts in every worker soon after it is changed.
func TestConsumerOfSession(t *testing.T) {
	const consumers = `consumers:
- {username: alice@example.com, custom_id: alice-1, id: 0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10}
- {username: Wien, custom_id: city}
- {username: bob@example.com}
- {username: "7", custom_id: level}
- {username: ALICE Liddell}
`
	cases := []struct {
		name, config, user, reason, consumer string
	}{
		{"email", "consumer_claim: [email]", "alice", "", "alice@example.com"},
		{"custom-id", "consumer_claim: [sub]", "alice", "", "alice@example.com"},
		{"by-username", "consumer_claim: [sub]\nconsumer_by: [username]", "alice", "consumer_missing", ""},
		{"by-id", "consumer_claim: [sub]\nconsumer_by: [id]", "alice", "consumer_missing", ""},
		{"by-case", "consumer_claim: [name]", "alice", "consumer_missing", ""},
		{"any-case", "consumer_claim: [name]\nby_username_ignore_case: true", "alice", "", "ALICE Liddell"},
		{"any-case-of-id", "consumer_claim: [loud]\nby_username_ignore_case: true", "alice", "consumer_missing", ""},
		{"path", "consumer_claim: [address, locality]", "alice", "", "Wien"},
		{"number", "consumer_claim: [level]", "alice", "", "7"},
		{"list", "consumer_claim: [tags]", "alice", "consumer_missing", ""},
		{"several", "consumer_claims: [[nobody], [address, locality], [email]]", "alice", "", "Wien"},
		{"first-counts", "consumer_claims: [[name], [email]]", "alice", "consumer_missing", ""},
		{"missing-claim", "consumer_claim: [nobody]", "alice", "consumer_missing", ""},
		{"optional", "consumer_claim: [nobody]\nconsumer_optional: true", "alice", "", ""},
		{"optional-unknown", "consumer_claim: [name]\nconsumer_optional: true", "alice", "", ""},
		{"unverified", "consumer_claim: [email]", "bob", "email_unverified", ""},
		{"unverified-optional", "consumer_claim: [email]\nconsumer_optional: true", "bob", "", ""},
		{"trusted", "consumer_claim: [email]\ntrust_email: true", "bob", "", "bob@example.com"},
		{"nobody", "consumer_claim: [email]", "carol", "consumer_missing", ""},
	}
	inBoth(t, func(t *testing.T, host string) {
		var list []way
		for _, c := range cases {
			list = append(list, way{c.name, c.config})
		}
		r := start(t, host, waysAnd(consumers, list...), people, stack.Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				v := r.entered(t, "/"+c.name+"/page", c.user)
				if c.reason != "" {
					p, _ := r.ask(t, v, "/"+c.name+"/page", 403, spoofed("X-Consumer-Username")...)
					r.reason(t, p, c.reason)
					return
				}
				_, seen := r.ask(t, v, "/"+c.name+"/page", 200, spoofed("X-Consumer-Username", "X-Consumer-Id", "X-Consumer-Custom-Id")...)
				if got := spelled(seen, "X-Consumer-Username"); !r.isHeader(got, c.consumer) {
					t.Errorf("%s: the consumer is %q, want %q", host, got, c.consumer)
				}
				if c.consumer == "" && len(spelled(seen, "X-Consumer-Id"))+len(spelled(seen, "X-Consumer-Custom-Id")) > 0 {
					t.Errorf("%s: the upstream received %v", host, seen.Headers)
				}
				if c.consumer == "alice@example.com" && (seen.Header("X-Consumer-Id") != "0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10" || seen.Header("X-Consumer-Custom-Id") != "alice-1") {
					t.Errorf("%s: the upstream received %v", host, seen.Headers)
				}
			})
		}
		t.Run("reload", func(t *testing.T) {
			alice := r.entered(t, "/email/page", "alice")
			carol := r.entered(t, "/nobody/page", "alice")
			for _, step := range []struct{ what, from, to, consumer string }{
				{"renamed", "username: alice@example.com, custom_id: alice-1", "username: Alice, custom_id: alice@example.com", "Alice"},
				{"removed", "- {username: alice@example.com, custom_id: alice-1, id: 0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10}\n", "", ""},
				{"added", "alice-1, id: 0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10", "alice-2", "alice@example.com"},
			} {
				r.Write(r.fill(waysAnd(strings.Replace(consumers, step.from, step.to, 1), list...)))
				for path, v := range map[string]*visitor.Visitor{"/email/page": alice, "/nobody/page": carol} {
					r.everyWorker(t, v, path, step.consumer)
				}
				testenv.Evidence(t, "%s: the consumer is %s: every worker knows", host, step.what)
			}
		})
	})
}

// everyWorker waits until every worker takes a session for a consumer, or for nobody.
func (r *rig) everyWorker(t *testing.T, v *visitor.Visitor, target, consumer string) {
	t.Helper()
	last, row := "", 0
	err := testenv.Poll(10*time.Second, func() bool {
		id := tokens.Random()
		p, err := v.Try(http.MethodGet, r.URL+target, echo.TestID+": "+id, "Accept: */*")
		if err != nil {
			row = 0
			return false
		}
		got := ""
		for _, seen := range r.up.Seen(id) {
			got = seen.Header("X-Consumer-Username")
		}
		last = fmt.Sprint(p.StatusCode, " ", got)
		want := fmt.Sprint(200, " ", consumer)
		if consumer == "" {
			want = "403 "
		}
		if row++; last != want {
			row = 0
		}
		return row == 16
	})
	if err != nil {
		t.Fatalf("%s: %s: the last answer was %q, want %q", r.Host, target, last, consumer)
	}
}
