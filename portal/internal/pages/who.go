package pages

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// Identity is who has signed in at the identity provider, by a verified ID token.
type Identity struct {
	Issuer, Subject string
	// Email is what consumer_claim names: the address that an account is found by. ""
	// when there is none, or none that is one.
	Email string
	// Verified is whether the issuer answers for the address.
	Verified bool
	Name     string
	Session  string // id of the session
}

// Claims says where in tokens an Identity is found.
type Claims struct {
	// IDToken, UserInfo and Session are the headers that the filter sets.
	IDToken, UserInfo, Session string
	// Account are the paths of which the first that is there has the address; without
	// any it is email. TrustEmail takes an address of the claim email for verified
	// though the issuer does not say so.
	Account    [][]string
	TrustEmail bool
}

var claimLimits = jsonx.Limits{Bytes: 64 << 10, Depth: 16, Nodes: 1 << 12}

// Of returns who has sent a request, as the filter says; false for nobody. The token's
// signature and claims have been judged by the sidecar when it came from the issuer.
func (c *Claims) Of(r *http.Request) (Identity, bool) {
	raw := r.Header[http.CanonicalHeaderKey(c.IDToken)]
	session := r.Header[http.CanonicalHeaderKey(c.Session)]
	if len(raw) != 1 || len(session) != 1 || session[0] == "" {
		return Identity{}, false
	}
	tok, code := jose.Parse(raw[0])
	if code != reason.Unspecified {
		return Identity{}, false
	}
	id := tok.Claims.Root()
	var info jsonx.Value
	if list := r.Header[http.CanonicalHeaderKey(c.UserInfo)]; c.UserInfo != "" && len(list) == 1 {
		if doc, err := jsonx.Parse(list[0], claimLimits); err == nil && doc.Root().Kind() == jsonx.Object {
			info = doc.Root()
		}
	}
	who := Identity{Issuer: word(id.Get("iss")), Subject: word(id.Get("sub")), Session: session[0]}
	if who.Issuer == "" || who.Subject == "" {
		return Identity{}, false
	}
	for _, root := range [...]jsonx.Value{id, info} {
		for _, name := range [...]string{"name", "preferred_username", "nickname"} {
			if s := clean(word(root.Get(name))); who.Name == "" && s != "" && line(s, maxName) {
				who.Name = s
			}
		}
	}
	who.Email, who.Verified = c.account(id, info)
	return who, true
}

// account finds the address of an account. As in the filter, the claim email counts
// only with email_verified beside it; another claim is one that the issuer answers for,
// unless it says that the address is not verified.
func (c *Claims) account(id, info jsonx.Value) (email string, verified bool) {
	paths := c.Account
	if len(paths) == 0 {
		paths = [][]string{{"email"}}
	}
	for _, path := range paths {
		for _, root := range [...]jsonx.Value{id, info} {
			v := claims.Lookup(root, path)
			if !v.Exists() || v.Kind() == jsonx.Null {
				continue
			}
			email = word(v)
			if !address(email) {
				return "", false
			}
			said := root.Get("email_verified")
			yes, isBool := said.Bool()
			switch {
			case yes && isBool:
				verified = true
			case path[len(path)-1] == "email":
				verified = c.TrustEmail
			default:
				verified = !said.Exists()
			}
			return email, verified
		}
	}
	return "", false
}

func word(v jsonx.Value) string {
	if v.Kind() != jsonx.String {
		return ""
	}
	s, _ := v.Text()
	return strings.Clone(s)
}
