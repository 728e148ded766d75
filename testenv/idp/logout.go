package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// backchannelEvent is the member that makes a JWT a logout token.
const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// serveEndSession signs the user out (OIDC RP-Initiated Logout §2). It asks
// nobody whether that is meant, and redirects only a client that it knows by
// id_token_hint or client_id.
func (s *Server) serveEndSession(w *answer, r *http.Request) {
	if f := w.repeated(); f != nil {
		w.stop(f.detail)
		return
	}
	q := w.call.Form
	id, sid, detail := s.hinted(q)
	w.identify(id, "")
	if detail != "" {
		w.stop(detail)
		return
	}
	back := q.Get("post_logout_redirect_uri")
	s.mu.Lock()
	c, known := s.client(id)
	s.mu.Unlock()
	if back != "" {
		u, err := url.Parse(back)
		switch {
		case !known:
			w.stop("post_logout_redirect_uri of nobody")
			return
		case err != nil || !u.IsAbs() || !registered(c.PostLogoutRedirectURIs, back):
			w.stop("post_logout_redirect_uri is not registered")
			return
		}
	}
	s.mu.Lock()
	if sid != "" {
		s.endSession(sid)
	} else if one := s.sessionOf(r); one != nil {
		s.endSession(one.sid)
	}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if back == "" {
		w.page(http.StatusOK, messagePage, "Signed out")
		return
	}
	if state, ok := q["state"]; ok {
		join := "?"
		if strings.Contains(back, "?") {
			join = "&"
		}
		back += join + url.Values{"state": state}.Encode()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", back)
	w.WriteHeader(http.StatusFound)
}

// hinted reads who a logout is for. An ID token that has expired is as good as
// another.
func (s *Server) hinted(q url.Values) (client, sid, detail string) {
	client = q.Get("client_id")
	hint := q.Get("id_token_hint")
	if hint == "" {
		return client, "", ""
	}
	t, err := parseJWS(hint)
	if err != nil {
		return client, "", "id_token_hint: " + err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.signers[t.header.Kid]
	aud := t.audience()
	switch {
	case !ok || t.header.Alg != k.alg || !t.verify(k.key.Public()):
		return client, "", "id_token_hint: not signed here"
	case t.text("iss") != s.tokenIssuer() || len(aud) == 0:
		return client, "", "id_token_hint: not issued here"
	case client != "" && !slices.Contains(aud, client):
		return client, "", "client_id is not that of id_token_hint"
	case client == "":
		client = aud[0]
	}
	return client, t.text("sid"), ""
}

// LogoutToken returns a logout token (OIDC Back-Channel Logout §2.4) for a test to
// post: of the last sign-in that got tokens, signed with the key of that kid, ""
// being the one that signs now. Claims and header members are added or replaced; a
// nil value removes one. alg none leaves it unsigned.
func (s *Server) LogoutToken(kid string, claims, header map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.signer(kid)
	now := s.options.Now().Unix()
	d := &draft{
		header: map[string]any{"alg": k.alg, "typ": "logout+jwt", "kid": k.kid},
		claims: map[string]any{
			"iss": s.tokenIssuer(), "aud": "client", "iat": now, "exp": now + 120, "jti": tokens.Random(),
			"events": map[string]any{backchannelEvent: map[string]any{}}, "sub": "user-1", "sid": "sid-1",
		},
		alg: k.alg, key: k.key,
	}
	if g := s.last; g != nil {
		merge(d.claims, map[string]any{"aud": g.client, "sub": s.users[g.user].Subject, "sid": g.sid})
		if g.sid == "" {
			delete(d.claims, "sid")
		}
	}
	merge(d.claims, claims)
	merge(d.header, header)
	if d.header["alg"] == "none" {
		d.alg = "none"
	}
	return d.sign()
}
