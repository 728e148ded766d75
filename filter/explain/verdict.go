package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// verdict is what one plugin made of the request.
type verdict struct {
	*outcome
	driver *driver
	plugin *bundle.Plugin
	code   reason.Code
	cause  reason.Code // code, but for a login the reason why it was begun

	places []policy.Place
	token  *jose.Token // nil where there is none, or more than one, or it cannot be read
	form   reason.Code // why it cannot be read
	claims claims.Set
}

// answered reports whether the sidecar has answered the client.
func (v *verdict) answered() bool {
	if len(v.asked) == 0 {
		return false
	}
	switch v.asked[len(v.asked)-1].question.Kind {
	case wire.Begin, wire.Callback, wire.Logout:
		return true
	}
	return false
}

// last returns the last exchange of a kind, nil for none.
func (v *verdict) last(kind wire.Kind) *exchange {
	for i := len(v.asked) - 1; i >= 0; i-- {
		if v.asked[i].question.Kind == kind {
			return &v.asked[i]
		}
	}
	return nil
}

// explain fills in what is to be said of the plugin.
func (v *verdict) explain(out *Plugin) {
	out.Reason = v.code.Error()
	if c := v.plugin.OIDC; c == nil || c.Takes(bundle.Bearer) || c.Takes(bundle.Introspection) || c.Takes(bundle.UserInfo) {
		v.places = policy.Places(v.driver.request.Headers, v.plugin)
	}
	for _, place := range v.places {
		if v.plugin.BasicAuth != nil { // a hash of a password would help to find it
			out.Credentials = append(out.Credentials, Credential{Place: place.Kind + " " + place.Name + ", scheme Basic"})
			continue
		}
		if v.plugin.KeyAuth != nil {
			out.Credentials = append(out.Credentials, credential(place, nil))
			continue
		}
		tok, code := jose.Parse(place.Token)
		if len(v.places) == 1 {
			v.form = code
			if v.token = tok; tok != nil {
				v.claims = claims.Read(tok.Claims.Root())
			}
		}
		out.Credentials = append(out.Credentials, credential(place, tok))
	}
	if open := v.last(wire.Open); open != nil {
		for _, c := range open.question.Request.Cookies {
			out.Credentials = append(out.Credentials, Credential{Place: "cookie " + c.Name + ", a session", Fingerprint: fingerprint(c.Value)})
		}
	}
	switch {
	case v.plugin.JWT != nil:
		out.Checks = v.judged(v.jwtChecks())
	case v.plugin.KeyAuth != nil:
		out.Checks = v.judged(v.keyAuthChecks())
	case v.plugin.BasicAuth != nil:
		out.Checks = v.judged(v.basicAuthChecks())
	case v.code.Step() && v.code != reason.LoginStarted, v.answered() && v.last(wire.Begin) == nil:
		// A way out, or back from the identity provider: nothing else is looked at.
	default:
		out.Checks = v.judged(v.oidcChecks())
	}
	for i := range v.asked {
		out.Questions = append(out.Questions, v.asked[i].explain())
	}
}

// credential describes a token.
func credential(place policy.Place, tok *jose.Token) Credential {
	c := Credential{Place: place.Kind + " " + place.Name, Fingerprint: fingerprint(place.Token)}
	if tok == nil {
		return c
	}
	c.Alg, c.KeyID = tok.Alg.String(), tok.KeyID
	set := claims.Read(tok.Claims.Root())
	c.Issuer, _ = set.Issuer.Text()
	if exp, ok := set.ExpiresAt(); ok {
		c.Expires = &exp
	}
	return c
}

// explain says what was asked and what the answer was.
func (x *exchange) explain() Question {
	q := &x.question
	out := Question{Kind: q.Kind.String()}
	under := "the issuer's keys"
	if q.Credential != "" {
		under = "the keys of the credential " + strconv.Quote(q.Credential)
	}
	switch q.Kind {
	case wire.Lookup:
		out.For = "the credential " + strconv.Quote(q.Key)
		if q.Input != "" {
			out.For += ", and whether the signature holds"
		}
	case wire.Verify:
		out.For = "whether the signature holds under " + under
	case wire.Keys:
		out.For = "the key " + strconv.Quote(q.KeyID) + ", which is not among " + under
	case wire.Consumer:
		out.For = "the consumer whose " + strings.Join(q.By, " or ") + " is " + strconv.Quote(q.Value)
	case wire.Inquire:
		out.For = "what the issuer says of " + inquired[bundle.ParseMethod(q.Method)]
	case wire.Open:
		out.For = "the session of the cookies"
	case wire.Establish:
		out.For = "a session for the bearer token"
	case wire.Begin:
		out.For = "where the browser goes to sign in"
	case wire.Callback:
		out.For = "what comes of the identity provider's answer"
	case wire.Logout:
		out.For = "the end of the session"
	case wire.APIKey:
		out.For = "whose the API key is"
	case wire.Password:
		out.For = "whether the password is that of " + strconv.Quote(q.Key)
	}
	out.Answer = x.answered()
	return out
}

// inquired says of a method what the issuer judges.
var inquired = map[bundle.Method]string{
	bundle.Introspection:     "the access token, by introspection",
	bundle.UserInfo:          "the access token, by userinfo",
	bundle.RefreshToken:      "the refresh token, by redeeming it",
	bundle.Password:          "user and password, by the password grant",
	bundle.ClientCredentials: "a client's id and secret, by the client credentials grant",
	bundle.IDToken:           "the ID token beside",
}

func (x *exchange) answered() string {
	a := &x.answer
	var parts []string
	add := func(text string) { parts = append(parts, text) }
	if x.failure != reason.Unspecified {
		add("none: " + x.failure.Error())
	}
	if a.Code != reason.Unspecified {
		add(a.Code.Error())
	}
	switch c := a.Credential; {
	case c == nil:
	case x.question.Kind == wire.APIKey || x.question.Kind == wire.Password:
		add("it is that of " + consumer(c.Consumer))
	default:
		add("it is known, for " + algs(c.Alg) + ", of " + consumer(c.Consumer))
	}
	if a.Trust != nil {
		add("the issuer has it now")
	}
	switch a.Verdict {
	case wire.Valid:
		add("the signature holds")
	case wire.Invalid:
		add("the signature does not hold")
	}
	if a.Consumer != nil {
		add(consumer(a.Consumer))
	}
	switch {
	case a.Session == nil:
	case x.question.Kind == wire.Inquire:
		add("it holds, to be asked for again at " + instant(a.Session.Until))
	default:
		add("a session that holds, to be asked for again at " + instant(a.Session.Until))
	}
	if a.Response != nil {
		add("a response " + strconv.FormatInt(a.Response.Status, 10))
	}
	if len(a.SetCookies) > 0 {
		add(count(len(a.SetCookies), "cookie"))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func consumer(c *bundle.Consumer) string {
	if c == nil {
		return "no consumer"
	}
	return "consumer " + firstOf(c.Username, c.CustomID, c.ID)
}

func algs(list []jose.Alg) string {
	var names []string
	for _, a := range list {
		names = append(names, a.String())
	}
	if len(names) == 0 {
		return "no algorithm"
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func instant(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
