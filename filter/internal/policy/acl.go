package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// acl is the acl plugin: who may pass by groups (kong/plugins/acl/handler.lua). Groups
// are the consumer's, or those that the authentication has found in a token where there
// is no consumer, none with a credential, or the plugin wants these first.
func (r *run) acl(c *bundle.ACL) reason.Code {
	who := &r.who
	groups, header, own := who.groups, identity.AuthenticatedGroups, false
	if who.consumer != nil && (groups == nil || who.authenticated && !c.Authenticated) {
		groups, header, own = who.consumer.Groups, identity.ConsumerGroups, true
	}
	refused := reason.GroupRefused
	if !who.authenticated {
		refused = reason.CredentialMissing
	}
	switch {
	case len(groups) == 0 && (who.consumer == nil || !c.Deny):
		return refused // nobody's, or not one that could be allowed
	case inGroups(groups, c.Groups) == c.Deny:
		return reason.GroupRefused
	}
	who.permitted = who.permitted || own && !c.Deny
	if !c.HideHeader {
		if value := groupsText(groups); value != "" {
			who.request = append(who.request, abi.Pair{Key: header, Value: headerValue(value)})
		}
	}
	return reason.Allowed
}

// inGroups reports whether one of the groups is among those listed.
func inGroups(groups, listed []string) bool {
	for _, g := range groups {
		for _, l := range listed {
			if g == l {
				return true
			}
		}
	}
	return false
}

// groupsText lists groups for an upstream. One with a comma, which only a token can
// have, is left out: it would read as two.
func groupsText(groups []string) string {
	var out strings.Builder
	for _, g := range groups {
		if strings.IndexByte(g, ',') >= 0 {
			continue
		}
		if out.Len() > 0 {
			out.WriteString(", ")
		}
		out.WriteString(g)
	}
	return out.String()
}

// groupsOf returns the groups that a claim of a subject lists, nil for none. The
// elements of a list are groups as they stand, spaces and all: a word of a name must
// neither let anybody pass nor hide a group from deny. A string is a list of words, as
// scope is.
func groupsOf(s *subject, claim []string) (groups []string) {
	if len(claim) == 0 {
		return nil
	}
	v, _ := s.claim(claim)
	if v.Kind() != jsonx.Array {
		claims.Words(v, func(w string) bool {
			groups = append(groups, w)
			return true
		})
		return groups
	}
	for c := v.Cursor(); c.Next(); {
		if g := scalar(c.Value()); g != "" {
			groups = append(groups, g)
		}
	}
	return groups
}
