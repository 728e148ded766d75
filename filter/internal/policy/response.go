package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// deny refuses the request in the words of the plugin that did, or in the
// proxy's own where p is nil.
func (r *run) deny(code reason.Code, p *bundle.Plugin) *Step {
	return r.engine.become(r.denial(code, p))
}

func (r *run) denial(code reason.Code, p *bundle.Plugin) Step {
	if code.Passes() {
		code = reason.Internal
	}
	s := Step{Kind: Deny, Reason: code, Note: r.try.note, RequestID: r.facts.id}
	if p != nil && p.OIDC != nil && p.OIDC.Login != nil {
		s.Plugin, s.Response = "openid-connect", r.denyBrowser(code, p.OIDC)
		return s
	}
	switch {
	case code.Ours():
		s.Response = response(503, message(code.Text()), abi.Pair{Key: "retry-after", Value: "1"})
	case code == reason.HTTPSRequired:
		s.Response = r.requireHTTPS()
	case p == nil:
		s.Response = response(code.Status(), message(code.Text()), r.who.cookies()...)
	case p.ACL != nil:
		s.Plugin, s.Response = "acl", response(code.Status(), message(code.Text()), r.who.cookies()...)
	case p.Registration != nil:
		s.Plugin, s.Response = "application-registration", response(code.Status(), message(code.Text()), r.who.cookies()...)
	case p.JWT != nil:
		s.Plugin, s.Response = "jwt", r.denyJWT(code, p.JWT)
	case p.KeyAuth != nil:
		s.Plugin, s.Response = "key-auth", denyKeyAuth(code, p.KeyAuth)
	case p.BasicAuth != nil:
		s.Plugin, s.Response = "basic-auth", denyBasicAuth(p.BasicAuth)
	default:
		s.Plugin, s.Response = "openid-connect", r.denyOIDC(code, p.OIDC)
	}
	return s
}

// Denial returns the response for an outcome that no run produced: the filter
// could not even read the request.
func Denial(code reason.Code) *Step {
	s := (&run{}).denial(code, nil)
	return &s
}

func response(status int, body string, headers ...abi.Pair) Response {
	headers = append(headers, abi.Pair{Key: "content-type", Value: "application/json; charset=utf-8"})
	return Response{Status: status, Headers: headers, Body: body}
}

func message(text string) string {
	return string(append(jsonx.AppendString([]byte(`{"message":`), text), '}'))
}

// requireHTTPS answers plain HTTP on a route that takes HTTPS only.
func (r *run) requireHTTPS() Response {
	status := r.route.RequireHTTPS
	if status == 426 { // RFC 9110 §15.5.22 asks for Upgrade
		return response(426, message(reason.HTTPSRequired.Text()),
			abi.Pair{Key: "connection", Value: "Upgrade"}, abi.Pair{Key: "upgrade", Value: "TLS/1.2, HTTP/1.1"})
	}
	return Response{Status: status, Headers: []abi.Pair{{Key: "location", Value: "https://" + r.facts.authority + r.facts.path}}}
}

// challenge returns a WWW-Authenticate value (RFC 6750 §3).
func challenge(realm string, code reason.Code, scope string) abi.Pair {
	return challengeBy("Bearer", realm, code, scope)
}

// challengeBy is challenge for another scheme.
func challengeBy(value, realm string, code reason.Code, scope string) abi.Pair {
	sep := " "
	add := func(name, text string) {
		if text != "" {
			value += sep + name + `="` + quoted(text) + `"`
			sep = ", "
		}
	}
	add("realm", realm)
	add("error", code.OAuth())
	add("scope", scope)
	return abi.Pair{Key: "www-authenticate", Value: value}
}

// quoted escapes for a quoted-string (RFC 9110 §5.6.4).
func quoted(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return headerValue(string(out))
}

// denyJWT answers as Kong's jwt plugin does: always 401.
func (r *run) denyJWT(code reason.Code, c *bundle.JWT) Response {
	body := ""
	if e := r.try.claims; e != (claimErrors{}) {
		w := &jsonx.Writer{}
		w.Open('{')
		w.StringMember("exp", e.exp)
		w.StringMember("nbf", e.nbf)
		w.Close('}')
		body = string(w.Buf)
	} else {
		key := ""
		if r.try.credential != nil {
			key = r.try.credential.Key
		}
		body = message(kongMessage(code, c.KeyClaim, key))
	}
	if code == reason.ConsumerUnknown {
		return response(401, body)
	}
	if code.OAuth() != "" {
		code = reason.SignatureInvalid // the plugin knows one error: invalid_token
	}
	return response(401, body, challenge(c.Realm, code, ""))
}

// denyKeyAuth answers as Kong's key-auth plugin does: always 401.
func denyKeyAuth(code reason.Code, c *bundle.KeyAuth) Response {
	text := "Unauthorized"
	switch code {
	case reason.CredentialMissing:
		text = "No API key found in request"
	case reason.CredentialMultiple:
		text = "Duplicate API key found"
	}
	return response(401, message(text), challengeBy("Key", c.Realm, reason.Unspecified, ""))
}

// denyBasicAuth answers as Kong's basic-auth plugin does: 401, whatever was wrong.
func denyBasicAuth(c *bundle.BasicAuth) Response {
	return response(401, message("Unauthorized"), challengeBy("Basic", c.Realm, reason.Unspecified, ""))
}

// denyOIDC answers by RFC 6750 §3.1.
func (r *run) denyOIDC(code reason.Code, c *bundle.OIDC) Response {
	scope := ""
	if code == reason.ScopeMissing {
		for i := range c.Required {
			if c.Required[i].Scope && scope == "" {
				scope = strings.Join(c.Required[i].Any[0], " ")
			}
		}
	}
	text := "Unauthorized"
	switch code.Status() {
	case 403:
		text = "Forbidden"
	case 400:
		text = code.Text()
	}
	return response(code.Status(), message(text), challenge(c.Realm, code, scope))
}
