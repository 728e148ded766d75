package login

import (
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/page"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// redirect sends the browser on. Nothing between here and there may keep the answer:
// it has cookies, and a location that is good once.
func redirect(code reason.Code, status int64, location string, cookies []string) wire.Answer {
	res := &wire.Response{Status: status, Headers: []wire.Header{
		{Name: "location", Value: location}, {Name: "cache-control", Value: "no-store"}, {Name: "referrer-policy", Value: "no-referrer"}}}
	return wire.Answer{Code: code, Response: withCookies(res, cookies)}
}

func withCookies(res *wire.Response, cookies []string) *wire.Response {
	for _, c := range cookies {
		res.Headers = append(res.Headers, wire.Header{Name: "set-cookie", Value: c})
	}
	return res
}

// text is what a person reads of an outcome.
type text struct{ title, sentence string }

var texts = map[reason.Code]text{
	reason.LoginRefused:         {"The sign-in was not completed", "The identity provider ended it without signing you in."},
	reason.LoginExpired:         {"The sign-in took too long", "Please begin again."},
	reason.LoginStateUnknown:    {"This sign-in is not known any more", "This page was loaded again, or cookies from this site are not allowed. Allow them, then sign in again."},
	reason.LoginStateInvalid:    {"This sign-in does not belong to your browser", "It was begun elsewhere, or was changed on the way. Please begin again."},
	reason.DomainMismatch:       {"This account may not sign in here", "It belongs to another organisation."},
	reason.SessionTooLarge:      {"The sign-in cannot be kept", "What the identity provider says of you is larger than a browser's cookies may be. Please tell the people who run this site."},
	reason.LoginMisconfigured:   {"The sign-in is not set up correctly", "Please tell the people who run this site."},
	reason.IssuerUnavailable:    {"The identity provider cannot be reached", "Please try again in a moment."},
	reason.LoginRedirectRefused: {"There is no sign-in at this address", "Please use the address that you were given."},
}

// refuse answers a login that came to nothing. again is where it can be begun anew;
// detail is the other side's word, shown only where display_errors permits.
func (s *Service) refuse(in *Instance, r *wire.Request, code reason.Code, again, detail string, cookies []string) wire.Answer {
	l := in.Login()
	status := int64(code.Status())
	to := ""
	switch status {
	case 401:
		to = l.UnauthorizedTo
	case 403:
		to = l.ForbiddenTo
	case 503:
		to = l.UnexpectedTo
	}
	if to != "" {
		return redirect(code, 302, to, cookies)
	}
	if !l.DisplayErrors {
		detail = ""
	}
	if !r.Navigation {
		w := &jsonx.Writer{}
		w.Open('{')
		w.StringMember("message", code.Text())
		if l.DisplayErrors {
			w.StringMember("reason", code.Error())
			w.StringMember("detail", detail)
			w.StringMember("request_id", r.ID)
		}
		w.Close('}')
		res := &wire.Response{Status: status, Body: string(w.Buf), Headers: []wire.Header{
			{Name: "content-type", Value: "application/json; charset=utf-8"}, {Name: "cache-control", Value: "no-store"}}}
		return wire.Answer{Code: code, Response: withCookies(res, cookies)}
	}
	t, ok := texts[code]
	if !ok {
		t = text{"The sign-in cannot be accepted", code.Text() + "."}
	}
	if l.Unauthorized != "" && status == 401 {
		t.sentence = l.Unauthorized
	}
	if l.Forbidden != "" && status == 403 {
		t.sentence = l.Forbidden
	}
	p := page.Page{Title: t.title, Text: t.sentence, Detail: detail, Reason: code.Error(), RequestID: r.ID}
	if again != "" {
		p.Link, p.LinkText = again, "Sign in again"
	}
	res := showPage(status, p)
	if status == 503 {
		res.Headers = append(res.Headers, wire.Header{Name: "retry-after", Value: "1"})
	}
	return wire.Answer{Code: code, Response: withCookies(res, cookies)}
}

func showPage(status int64, p page.Page) *wire.Response {
	res := &wire.Response{Status: status, Body: p.HTML()}
	for _, h := range page.Headers {
		res.Headers = append(res.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	return res
}
