package logins

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const (
	consumerID = "5f0c1a0e-7f1e-4a53-9a39-1d6a4a3f6e11"
	fedUp      = 5 * time.Second // two seconds, and what a busy machine adds
)

// knownConsumers are found by one name or another.
const knownConsumers = `consumers:
- {username: alice@example.com, custom_id: c-alice}
- {username: bob@example.com}
- {username: by-custom, custom_id: bob-2}
- {id: ` + consumerID + `, username: by-id}
- {username: "42"}
`

// TestConsumers: a claim names a consumer, by the names that count, and an address
// only when somebody vouches for it.
func TestConsumers(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, waysAnd(knownConsumers,
			way{"email", "consumer_claim: email"},
			way{"trust", "consumer_claim: [email]\ntrust_email: true"},
			way{"opt", "consumer_claim: [email]\nconsumer_optional: true"},
			way{"sub", "consumer_claim: [sub]"},
			way{"user", "consumer_claim: [sub]\nconsumer_by: [username]"},
			way{"id", "consumer_claim: [cid]\nconsumer_by: [id]"},
			way{"noid", "consumer_claim: [cid]"},
			way{"number", "consumer_claim: [number]"},
			way{"list", "consumer_claims: [[absent], [deep, name], [sub]]"},
			way{"strange", "consumer_claim: [groups]"},
		), func(s *idp.Server) {
			s.AddUser(idp.User{Name: "carol", Password: "carol", Subject: "carol-4", Claims: map[string]any{
				"cid": consumerID, "number": 42, "deep": map[string]any{"name": "by-custom"}, "groups": []string{"bob-2"}, "email": "nobody@example.com", "email_verified": true}})
			// One whose token says something else than the address's own token does.
			s.AddUser(idp.User{Name: "mallory", Password: "mallory", Subject: "mallory-5",
				Claims:       map[string]any{"email_verified": true},
				AccessClaims: map[string]any{"email": "alice@example.com"}})
			s.AddUser(idp.User{Name: "texts", Password: "texts", Subject: "texts-6",
				Claims: map[string]any{"email": "alice@example.com", "email_verified": "true"}})
		}, stack.Options{})
		for _, c := range []struct {
			way, user, consumer string
			status              int
			reason              string
		}{
			{"email", "alice", "alice@example.com", 200, ""},
			{"email", "bob", "", 403, "email_unverified"},
			{"email", "carol", "", 403, "consumer_missing"},
			{"email", "mallory", "", 403, "email_unverified"},
			{"email", "texts", "", 403, "email_unverified"},
			{"trust", "bob", "bob@example.com", 200, ""},
			{"opt", "alice", "alice@example.com", 200, ""},
			{"opt", "bob", "", 200, ""},
			{"opt", "carol", "", 200, ""},
			{"opt", "mallory", "", 200, ""},
			{"sub", "bob", "by-custom", 200, ""},
			{"sub", "alice", "", 403, "consumer_missing"},
			{"user", "bob", "", 403, "consumer_missing"},
			{"id", "carol", "by-id", 200, ""},
			{"id", "alice", "", 403, "consumer_missing"},
			{"noid", "carol", "", 403, "consumer_missing"},
			{"number", "carol", "42", 200, ""},
			{"list", "carol", "by-custom", 200, ""},
			{"list", "bob", "by-custom", 200, ""},
			{"strange", "carol", "", 403, "consumer_missing"},
		} {
			t.Run(c.way+" "+c.user, func(t *testing.T) {
				v := r.entered(t, "/"+c.way+"/page", c.user)
				for range 3 { // asked for, and remembered
					p, seen := r.ask(t, v, "/"+c.way+"/page", c.status, forged("X-Consumer-Username", "X-Consumer-ID", "X-Consumer-Custom-ID")...)
					if c.reason != "" {
						r.reason(t, p, c.reason)
						continue
					}
					unforged(t, seen)
					if got := seen.Header("X-Consumer-Username"); got != c.consumer || (seen.Header("X-Consumer-ID") == "") != (c.consumer == "") {
						t.Errorf("the upstream received consumer %q, id %q, want %q", got, seen.Header("X-Consumer-ID"), c.consumer)
					}
				}
			})
		}
	})
}

// everywhere waits until every worker answers a visitor with a status and tells the
// upstream a consumer.
func (r *rig) everywhere(t testing.TB, what string, line, target string, status int, consumer string) {
	t.Helper()
	begun := time.Now()
	testenv.Eventually(t, fedUp, what, func() bool {
		for range 12 {
			id := tokens.Random()
			p := visitor.New(t).Fetch(r.URL+target, line, echo.TestID+": "+id)
			seen := r.up.Seen(id)
			if p.StatusCode != status || status == 200 && (len(seen) != 1 || seen[0].Header("X-Consumer-Username") != consumer) {
				return false
			}
		}
		return true
	})
	testenv.Evidence(t, "%s: %s was in force in every worker after %v", r.Host, what, time.Since(begun).Round(10*time.Millisecond))
}

// TestConsumersChange: consumers come, are renamed and go by a reload, under sessions
// that stay.
func TestConsumersChange(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		file := func(consumers string) string {
			return waysAnd("consumers: ["+consumers+"]\n", way{"must", "consumer_claim: [sub]"}, way{"may", "consumer_claim: [sub]\nconsumer_optional: true"})
		}
		r := start(t, host, file(""), nil, stack.Options{})
		must, may := r.cookieLine(r.entered(t, "/must/page", "alice")), r.cookieLine(r.entered(t, "/may/page", "alice"))
		const id = "id: 5f0c1a0e-7f1e-4a53-9a39-1d6a4a3f6e10, "
		for i, step := range []struct{ what, consumers, name string }{
			{"nobody", "", ""},
			{"a new consumer", "{" + id + "username: first, custom_id: alice-1}", "first"},
			{"a renamed consumer", "{" + id + "username: second, custom_id: alice-1}", "second"},
			{"another's custom_id", "{" + id + "username: second, custom_id: other}", ""},
			{"found by user name", "{" + id + "username: alice-1, custom_id: other}", "alice-1"},
			{"another consumer in its place", "{username: alice-1}", "alice-1"},
			{"a consumer that has gone", "{username: other}", ""},
		} {
			if i > 0 {
				r.Write(r.fill(file(step.consumers)))
			}
			status := 200
			if step.name == "" {
				status = 403
			}
			r.everywhere(t, step.what, must, "/must/page", status, step.name)
			r.everywhere(t, step.what+", optional", may, "/may/page", 200, step.name)
		}
	})
}

// TestRights: what tokens say decides for sessions as it does for bearer tokens,
// whether or not the access token can be read.
func TestRights(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"scope", "scopes: [openid, read, write]\nscopes_required: [\"read write\", admin]"},
			way{"admin", "scopes: [openid, admin]\nscopes_required: [admin]"},
			way{"aud", "audience_required: [api]"},
			way{"group", "groups_required: [\"staff dev\", root]"},
			way{"role", "roles_claim: [realm_access, roles]\nroles_required: [a]"},
			way{"info", "search_user_info: true\ngroups_required: [info-group]"},
			way{"scp", "scopes: [openid, read]\nscopes_claim: [scp]\nscopes_required: [read]"},
		), func(s *idp.Server) {
			s.AddUser(idp.User{Name: "staff", Password: "staff",
				AccessClaims: map[string]any{"aud": []string{"api", "b"}, "groups": []string{"staff", "dev"}, "realm_access": map[string]any{"roles": []string{"a"}}, "scp": []string{"read"}},
				UserInfo:     map[string]any{"groups": []string{"info-group"}}})
			s.AddUser(idp.User{Name: "id", Password: "id", Claims: map[string]any{"groups": []string{"root"}, "realm_access": map[string]any{"roles": []string{"a"}}}})
			s.AddUser(idp.User{Name: "less", Password: "less", AccessClaims: map[string]any{"scope": "openid read", "groups": []string{"staff"}, "aud": "other"}})
			s.AddUser(idp.User{Name: "more", Password: "more", AccessClaims: map[string]any{"scope": "admin", "groups": "root"}})
		}, stack.Options{})
		for _, c := range []struct {
			way, user     string
			jwt, opaque   int
			withoutScopes int // status with an opaque token whose response has no scope
		}{
			{"scope", "staff", 200, 200, 200},
			{"scope", "less", 403, 200, 200}, // what the token says counts, where it says something
			{"scope", "more", 200, 200, 200},
			{"admin", "staff", 200, 200, 200},
			{"admin", "less", 403, 200, 200},
			{"aud", "staff", 200, 0, 0}, // of opaque tokens see below
			{"group", "staff", 200, 403, 403},
			{"group", "id", 200, 200, 200},
			{"group", "less", 403, 403, 403},
			{"group", "more", 200, 403, 403},
			{"role", "staff", 200, 403, 403},
			{"role", "id", 200, 200, 200},
			{"role", "less", 403, 403, 403},
			{"info", "staff", 403, 200, 200}, // the access token's groups come first
			{"info", "less", 403, 403, 403},
			{"scp", "staff", 200, 0, 0},
			{"scp", "less", 403, 0, 0},
		} {
			for kind, want := range map[string]int{"JWT": c.jwt, "opaque": c.opaque, "no scope": c.withoutScopes} {
				if want == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s %s %s", c.way, c.user, kind), func(t *testing.T) {
					r.idp.Set(func(o *idp.Options) { o.OpaqueAccess, o.OmitScope = kind != "JWT", kind == "no scope" })
					v := r.entered(t, "/"+c.way+"/page", c.user)
					r.ask(t, v, "/"+c.way+"/page", want)
				})
			}
		}
		r.idp.Set(func(o *idp.Options) { o.OpaqueAccess, o.OmitScope = true, false })
		t.Run("opaque, audience", func(t *testing.T) {
			v := r.entered(t, "/aud/page", "staff")
			r.ask(t, v, "/aud/page", 403) // the ID token's audience is the client, not api
		})
	})
}
