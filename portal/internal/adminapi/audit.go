package adminapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// auditJSON is a row of the audit log.
type auditJSON struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"` // RFC 3339
	Actor  actorJSON `json:"actor"`
	Action string    `json:"action"`
	Kind   string    `json:"kind"`
	ID     string    `json:"id"`
	Detail string    `json:"detail"`
}

type actorJSON struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Role   string `json:"role"`
	Remote string `json:"remote"`
}

func listAudits(c *call) (int, any, error) {
	q, err := c.query()
	if err != nil {
		return 0, nil, err
	}
	want := registry.AuditFilter{ActorID: q.Get("actor"), Action: q.Get("action"), Kind: q.Get("kind"), ID: q.Get("id")}
	wrong := map[string]string{}
	for name, dst := range map[string]*time.Time{"since": &want.Since, "until": &want.Until} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n <= maxTime {
			*dst = time.Unix(n, 0)
		} else if *dst, err = time.Parse(time.RFC3339, text); err != nil {
			wrong[name] = "expected seconds since 1970, or a time as 2006-01-02T15:04:05Z"
		}
	}
	if len(wrong) > 0 {
		return 0, nil, violation(wrong)
	}
	return c.page(nil, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.Audits(c.r.Context(), want, p)
		return each(list, err, func(a registry.Audit) any {
			return auditJSON{a.Seq, a.At, actorJSON(a.Actor), a.Action, a.Kind, a.ID, a.Detail}
		})
	})
}

// tokenJSON is a token of the admin API, without the token unless it has just been made.
type tokenJSON struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Roles    []string `json:"roles"`
	Token    *string  `json:"token,omitempty"`
	Expires  *int64   `json:"expires_at"`
	Created  *int64   `json:"created_at"`
	LastUsed *int64   `json:"last_used_at"`
}

func showToken(t registry.AdminToken) any { return viewToken(t, redact.Secret{}) }

func viewToken(t registry.AdminToken, token redact.Secret) any {
	return tokenJSON{t.ID, t.Name, t.Roles, orNull(token.Reveal()), seconds(t.Expires), seconds(t.Created), seconds(t.LastUsed)}
}

func listTokens(c *call) (int, any, error) {
	return c.page(nil, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.AdminTokens(c.r.Context(), p)
		return each(list, err, showToken)
	})
}

// createToken makes a token. Nobody hands out a role that they do not have: who may not
// read secrets could otherwise make a token that may.
func createToken(c *call) (int, any, error) {
	body, err := c.body("admin_token", "")
	if err != nil {
		return 0, nil, err
	}
	var t registry.AdminToken
	f := newFields(body)
	f.text("name", &t.Name)
	f.texts("roles", &t.Roles)
	f.moment("expires_at", &t.Expires)
	mayGive := c.who.roles
	if mayGive&admin != 0 { // whoever may do everything may let others do a part of it
		mayGive |= approve | read
	}
	switch wanted, ok := parseRoles(t.Roles); {
	case !ok || wanted == nobody:
		f.fail("roles", "expected some of admin, credentials:read, portal:approve and read")
	case wanted&^mayGive != 0:
		f.fail("roles", "has a role that this token does not have itself")
	}
	if !t.Expires.IsZero() && !t.Expires.After(c.Now()) {
		f.fail("expires_at", "has passed")
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	t, token, err := c.Registry.CreateAdminToken(c.r.Context(), c.who.actor, t, redact.Secret{})
	return http.StatusCreated, viewToken(t, token), err
}

func deleteToken(c *call) (int, any, error) {
	return noContent(c.Registry.DeleteAdminToken(c.r.Context(), c.who.actor, c.path["token"]))
}
