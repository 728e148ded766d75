package policy

import (
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// passed returns what the upstream gets of the named headers.
func passed(t *testing.T, s *Step, sent []abi.Pair, names ...string) (list []string) {
	t.Helper()
	if s.Kind != Allow {
		t.Fatalf("refused: %v", s.Reason)
	}
	for _, name := range names {
		ours := false
		for _, h := range s.Edits.Set {
			if h.Key == name {
				list, ours = append(list, h.Value), true
			}
		}
		for _, h := range sent {
			if h.Key == name && !ours && !slices.Contains(s.Edits.Remove, name) {
				list = append(list, h.Value)
			}
		}
	}
	return list
}

// TestTokensForTheUpstream: where our token goes to the upstream in the Authorization
// header, it is the only one there.
func TestTokensForTheUpstream(t *testing.T) {
	token := issued("")
	ours, forged := withToken(token), withToken("forged")
	cookie := abi.Pair{Key: "cookie", Value: "t=" + token}
	inHeader, inCookie := headerOnly, bundle.Common{CookieNames: []string{"t"}}
	for name, tt := range map[string]struct {
		places bundle.Common
		sent   []abi.Pair
		bearer bool
		want   []string
	}{
		"it is there":             {inHeader, []abi.Pair{ours}, true, []string{ours.Value}},
		"in other letters":        {inHeader, []abi.Pair{{Key: "authorization", Value: "bearer  " + token}}, true, []string{ours.Value}},
		"from a cookie":           {inCookie, []abi.Pair{cookie}, true, []string{ours.Value}},
		"another in its place":    {inCookie, []abi.Pair{cookie, forged}, true, []string{ours.Value}},
		"another before it":       {inCookie, []abi.Pair{cookie, forged, ours}, true, []string{ours.Value}},
		"another behind it":       {inCookie, []abi.Pair{cookie, ours, forged}, true, []string{ours.Value}},
		"another, joined":         {inCookie, []abi.Pair{cookie, {Key: "authorization", Value: forged.Value + "," + ours.Value}}, true, []string{ours.Value}},
		"bare":                    {inCookie, []abi.Pair{cookie}, false, []string{token}},
		"bare, another before it": {inCookie, []abi.Pair{cookie, forged, {Key: "authorization", Value: token}}, false, []string{token}},
	} {
		t.Run(name, func(t *testing.T) {
			p := oidcPlugin("o", tt.places, rsaKey("k"))
			p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: tt.bearer}}
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
			if got := passed(t, ask(e, start, "r", tt.sent...), tt.sent, "authorization"); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
