package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/page"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// denyBrowser answers for an instance with sessions: the sidecar's response where
// there is one, else where the configuration sends people, else a page for people
// and JSON for programs.
func (r *run) denyBrowser(code reason.Code, c *bundle.OIDC) Response {
	l := c.Login
	if res := r.try.response; res != nil && !r.try.bare {
		out := Response{Status: int(res.Status), Body: res.Body}
		for _, h := range res.Headers {
			out.Headers = append(out.Headers, abi.Pair{Key: h.Name, Value: headerValue(h.Value)})
		}
		return out
	}
	status := code.Status()
	var extra []abi.Pair
	to := ""
	switch {
	case status == 503:
		to, extra = l.UnexpectedRedirect, []abi.Pair{{Key: "retry-after", Value: "1"}}
	case status == 403:
		to = l.ForbiddenRedirect
	case status == 401:
		to = l.UnauthorizedRedirect
	}
	for _, cookie := range r.try.setCookies {
		extra = append(extra, abi.Pair{Key: "set-cookie", Value: headerValue(cookie)})
	}
	if status == 403 && r.try.session != nil && (l.DropForbidden || !l.KeepForbidden && r.navigation()) {
		extra = r.expire(extra, l)
	}
	if to != "" {
		return Response{Status: 302, Headers: append(extra, abi.Pair{Key: "location", Value: to},
			abi.Pair{Key: "cache-control", Value: "no-store"})}
	}
	if r.forPerson() {
		out := r.page(code, l)
		out.Headers = append(out.Headers, extra...)
		if status == 401 {
			out.Headers = append(out.Headers, challenge(c.Realm, code, ""))
		}
		return out
	}
	if status == 503 {
		return response(503, refusalBody(code.Text(), code, r.facts.id, l), extra...)
	}
	out := r.denyOIDC(code, c)
	out.Body = refusalBody(refusalText(code, l), code, r.facts.id, l)
	out.Headers = append(out.Headers, extra...)
	return out
}

// refusalText is what a program, or a person, is told in one sentence.
func refusalText(code reason.Code, l *bundle.Login) string {
	switch code.Status() {
	case 401:
		if l.UnauthorizedText != "" {
			return l.UnauthorizedText
		}
		return "Unauthorized"
	case 403:
		if l.ForbiddenText != "" {
			return l.ForbiddenText
		}
		return "Forbidden"
	}
	return code.Text()
}

// refusalBody is Kong's message, and with display_errors the reason.
func refusalBody(text string, code reason.Code, id string, l *bundle.Login) string {
	w := &jsonx.Writer{}
	w.Open('{')
	w.StringMember("message", text)
	if l.DisplayErrors {
		w.StringMember("reason", code.Error())
		w.StringMember("request_id", id)
	}
	w.Close('}')
	return string(w.Buf)
}

// page writes a refusal as a page.
func (r *run) page(code reason.Code, l *bundle.Login) Response {
	p := page.Page{Text: code.Text(), Reason: code.Error(), RequestID: r.facts.id}
	switch code.Status() {
	case 401:
		p.Title, p.Text = "You are not signed in", "This page is for people who have signed in."
		if l.UnauthorizedText != "" {
			p.Text = l.UnauthorizedText
		}
		if l.Begin {
			p.Link, p.LinkText = cleanTarget(r.facts.path), "Sign in"
		}
	case 403:
		p.Title, p.Text = "You may not open this page", "Your account does not have the rights that it needs."
		if l.ForbiddenText != "" {
			p.Text = l.ForbiddenText
		}
		if l.DisplayErrors && r.try.note != "" {
			p.Detail = r.try.note
		}
	case 503:
		p.Title = "Please try again in a moment"
		p.Link, p.LinkText = cleanTarget(r.facts.path), "Try again"
	default:
		p.Title = "This request cannot be answered"
	}
	out := Response{Status: code.Status(), Body: p.HTML()}
	for _, h := range page.Headers {
		out.Headers = append(out.Headers, abi.Pair{Key: h[0], Value: h[1]})
	}
	return out
}

// expire ends the session in the browser that it was shown by.
func (r *run) expire(headers []abi.Pair, l *bundle.Login) []abi.Pair {
	for _, c := range r.cookiesOf(l, true, false) {
		value := c.Name + "=; Max-Age=0; HttpOnly"
		if l.CookieAttributes != "" {
			value += "; " + l.CookieAttributes
		}
		if strings.HasPrefix(c.Name, bundle.HostPrefix) {
			value += "; Secure"
		}
		headers = append(headers, abi.Pair{Key: "set-cookie", Value: value})
	}
	return headers
}
