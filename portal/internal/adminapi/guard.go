package adminapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// roles are what a token may do, one bit each. The zero roles may nothing.
type roles uint8

// The roles.
const (
	admin       roles = 1 << iota // everything but reading secrets
	credentials                   // reads consumers and their credentials, secrets too
	approve                       // developers, applications, and what is approved of them
	read                          // reads everything but secrets
	nobody      roles = 0
	anybody           = admin | credentials | approve | read
)

// roleNames are the roles by the names that tokens have them by.
var roleNames = []struct {
	role roles
	name string
}{{admin, "admin"}, {credentials, "credentials:read"}, {approve, "portal:approve"}, {read, "read"}}

// names returns what roles are called, in order.
func (r roles) names() (list []string) {
	for _, n := range roleNames {
		if r&n.role != 0 {
			list = append(list, n.name)
		}
	}
	return list
}

// parseRoles reads names; ok is false where one is no role's.
func parseRoles(names []string) (r roles, ok bool) {
	for _, name := range names {
		i := slices.IndexFunc(roleNames, func(n struct {
			role roles
			name string
		}) bool {
			return n.name == name
		})
		if i < 0 {
			return nobody, false
		}
		r |= roleNames[i].role
	}
	return r, true
}

// caller is who asks.
type caller struct {
	actor registry.Actor
	roles roles
}

// guard lets a request on that comes for a name of this machine, not too often, and with
// a token.
func (c *call) guard() error {
	if !c.hostAllowed(c.r.Host) {
		return errHost
	}
	from := remote(c.r)
	if !c.requests.take(from) {
		return errRate
	}
	token, ok := presented(c.r.Header)
	if !ok {
		return errToken
	}
	// Before the token is looked at: who guesses learns nothing by going on.
	if c.failures.empty(from) {
		return errRate
	}
	who, err := c.callerBy(c.r.Context(), token, from)
	if errors.Is(err, errToken) {
		c.failures.take(from)
		c.Logger.Warn("a token of the admin API is refused", "remote", from)
	}
	c.who = who
	return err
}

// presented returns the one token of a request. Two that differ are none: whoever looks at
// one of them in front of us would not know which counts.
func presented(h map[string][]string) (token string, ok bool) {
	var found []string
	found = append(found, h["Kong-Admin-Token"]...)
	for _, v := range h["Authorization"] {
		scheme, value, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", false
		}
		found = append(found, strings.TrimLeft(value, " "))
	}
	for _, t := range found {
		if t == "" || len(t) > maxToken || t != found[0] {
			return "", false
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return found[0], true
}

// maxToken bounds a token, in bytes.
const maxToken = 512

// callerBy returns whose a token is, errToken for nobody's.
func (c *call) callerBy(ctx context.Context, token, from string) (caller, error) {
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(c.Token.Reveal()))
	if !c.Token.Empty() && subtle.ConstantTimeCompare(have[:], want[:]) == 1 {
		all := anybody
		return caller{registry.Actor{Kind: "token", ID: "bootstrap", Name: "bootstrap", Role: strings.Join(all.names(), " "), Remote: from}, all}, nil
	}
	if c.Registry == nil && c.api.Registry != nil {
		return caller{}, errOurs
	}
	if c.Registry == nil {
		return caller{}, errToken
	}
	t, err := c.Registry.AdminTokenBy(ctx, token)
	if errors.Is(err, registry.ErrNotFound) || err == nil && !t.Expires.IsZero() && !t.Expires.After(c.Now()) {
		return caller{}, errToken
	}
	if err != nil {
		return caller{}, err
	}
	// A role that this program does not know was given by a newer one: it opens nothing.
	var held roles
	for _, name := range t.Roles {
		r, _ := parseRoles([]string{name})
		held |= r
	}
	return caller{registry.Actor{Kind: "token", ID: t.ID, Name: t.Name, Role: strings.Join(t.Roles, " "), Remote: from}, held}, nil
}

// hostAllowed reports whether a Host header names this machine.
func (a *api) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && addr.IsLoopback() {
		return true
	}
	return name != "" && slices.ContainsFunc(a.Hosts, func(allowed string) bool {
		return strings.EqualFold(allowed, host) || strings.EqualFold(allowed, name)
	})
}
