package bundle

import (
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/match"
)

func (l *Login) write(w *jsonx.Writer) {
	w.Open('{')
	w.BoolMember("session", l.Session)
	w.BoolMember("begin", l.Begin)
	w.BoolMember("bearer_session", l.BearerSession)
	w.StringMember("session_cookie", l.SessionCookie.Name)
	w.BoolMember("session_cookie_host", l.SessionCookie.Host)
	w.StringMember("flow_cookie", l.FlowCookie.Name)
	w.BoolMember("flow_cookie_host", l.FlowCookie.Host)
	w.StringMember("cookie_attributes", l.CookieAttributes)
	w.StringsMember("logout_methods", l.LogoutMethods)
	w.StringMember("logout_query", l.LogoutQuery)
	w.StringMember("logout_suffix", l.LogoutSuffix)
	w.StringMember("unauthorized_redirect", l.UnauthorizedRedirect)
	w.StringMember("forbidden_redirect", l.ForbiddenRedirect)
	w.StringMember("unexpected_redirect", l.UnexpectedRedirect)
	w.StringMember("unauthorized_text", l.UnauthorizedText)
	w.StringMember("forbidden_text", l.ForbiddenText)
	w.BoolMember("display_errors", l.DisplayErrors)
	w.BoolMember("keep_forbidden", l.KeepForbidden)
	w.BoolMember("drop_forbidden", l.DropForbidden)
	w.Close('}')
}

func (d *decoder) login(v jsonx.Value) *Login {
	if !v.Exists() {
		return nil
	}
	d.object(v)
	l := &Login{
		Session:              d.bool(v.Get("session")),
		Begin:                d.bool(v.Get("begin")),
		BearerSession:        d.bool(v.Get("bearer_session")),
		SessionCookie:        Cookie{d.text(v.Get("session_cookie")), d.bool(v.Get("session_cookie_host"))},
		FlowCookie:           Cookie{d.text(v.Get("flow_cookie")), d.bool(v.Get("flow_cookie_host"))},
		CookieAttributes:     d.text(v.Get("cookie_attributes")),
		LogoutMethods:        d.texts(v.Get("logout_methods")),
		LogoutQuery:          d.text(v.Get("logout_query")),
		LogoutSuffix:         d.text(v.Get("logout_suffix")),
		UnauthorizedRedirect: d.text(v.Get("unauthorized_redirect")),
		ForbiddenRedirect:    d.text(v.Get("forbidden_redirect")),
		UnexpectedRedirect:   d.text(v.Get("unexpected_redirect")),
		UnauthorizedText:     d.text(v.Get("unauthorized_text")),
		ForbiddenText:        d.text(v.Get("forbidden_text")),
		DisplayErrors:        d.bool(v.Get("display_errors")),
		KeepForbidden:        d.bool(v.Get("keep_forbidden")),
		DropForbidden:        d.bool(v.Get("drop_forbidden")),
	}
	d.bad = d.bad || l.SessionCookie.Name == "" || l.FlowCookie.Name == "" || l.SessionCookie.Name == l.FlowCookie.Name
	return l
}

func (i *Identity) write(w *jsonx.Writer) {
	claimHeaders := func(name string, list []ClaimHeader) {
		if len(list) == 0 {
			return
		}
		w.Name(name)
		w.Open('[')
		for _, h := range list {
			w.Open('{')
			w.StringMember("header", h.Header)
			w.StringsMember("claim", h.Claim)
			w.Close('}')
		}
		w.Close(']')
	}
	w.Open('{')
	claimHeaders("upstream", i.Upstream)
	claimHeaders("downstream", i.Downstream)
	if len(i.Tokens) > 0 {
		w.Name("tokens")
		w.Open('[')
		for _, t := range i.Tokens {
			w.Open('{')
			w.StringMember("header", t.Header)
			w.StringMember("token", t.Token)
			w.BoolMember("bearer", t.Bearer)
			w.BoolMember("response", t.Response)
			w.Close('}')
		}
		w.Close(']')
	}
	if len(i.Matches) > 0 {
		w.Name("matches")
		w.Open('[')
		for _, m := range i.Matches {
			w.Open('{')
			w.StringMember("header", m.Header)
			w.StringsMember("claim", m.Claim)
			w.Name("match")
			m.Match.Write(w)
			w.StringMember("token", m.Token)
			w.Close('}')
		}
		w.Close(']')
	}
	w.StringsMember("credential_claim", i.CredentialClaim)
	if len(i.ConsumerClaims) > 0 {
		w.Name("consumer_claims")
		w.Open('[')
		for _, path := range i.ConsumerClaims {
			w.Open('[')
			for _, name := range path {
				w.String(name)
			}
			w.Close(']')
		}
		w.Close(']')
	}
	w.StringsMember("consumer_by", i.ConsumerBy)
	w.StringsMember("groups_claim", i.GroupsClaim)
	w.BoolMember("consumer_optional", i.ConsumerOptional)
	w.BoolMember("trust_email", i.TrustEmail)
	w.Close('}')
}

func (d *decoder) identity(v jsonx.Value) (i Identity) {
	if !v.Exists() {
		return i
	}
	d.object(v)
	header := func(v jsonx.Value) string {
		name := d.text(v.Get("header"))
		d.bad = d.bad || name == ""
		return name
	}
	path := func(v jsonx.Value) []string {
		p := d.texts(v)
		d.bad = d.bad || len(p) == 0
		return p
	}
	claimHeaders := func(v jsonx.Value) (out []ClaimHeader) {
		for c := d.list(v); c.Next(); {
			out = append(out, ClaimHeader{header(c.Value()), path(c.Value().Get("claim"))})
		}
		return out
	}
	i.Upstream, i.Downstream = claimHeaders(v.Get("upstream")), claimHeaders(v.Get("downstream"))
	for c := d.list(v.Get("tokens")); c.Next(); {
		t := TokenHeader{
			Header: header(c.Value()), Token: d.text(c.Value().Get("token")),
			Bearer: d.bool(c.Value().Get("bearer")), Response: d.bool(c.Value().Get("response")),
		}
		switch t.Token {
		case "access_token", "id_token", "user_info", "introspection", "refresh_token", "session_id":
		default:
			d.bad = true
		}
		i.Tokens = append(i.Tokens, t)
	}
	for c := d.list(v.Get("matches")); c.Next(); {
		m := ClaimMatch{Header: header(c.Value()), Claim: path(c.Value().Get("claim")), Token: d.text(c.Value().Get("token"))}
		m.Match = match.Read(c.Value().Get("match"))
		d.bad = d.bad || m.Match == nil
		i.Matches = append(i.Matches, m)
	}
	i.CredentialClaim = d.texts(v.Get("credential_claim"))
	for c := d.list(v.Get("consumer_claims")); c.Next(); {
		i.ConsumerClaims = append(i.ConsumerClaims, path(c.Value()))
	}
	i.ConsumerBy = d.texts(v.Get("consumer_by"))
	i.GroupsClaim = d.texts(v.Get("groups_claim"))
	i.ConsumerOptional, i.TrustEmail = d.bool(v.Get("consumer_optional")), d.bool(v.Get("trust_email"))
	d.bad = d.bad || len(i.ConsumerClaims) > 0 && len(i.ConsumerBy) == 0
	return i
}
