package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Names of the checks.
const (
	checkSession    = "session"
	checkCredential = "credential"
	checkForm       = "form"
	checkPurpose    = "purpose"
	checkKeyClaim   = "key claim"
	checkKnown      = "jwt credential"
	checkAlgorithm  = "algorithm"
	checkKeys       = "issuer's keys"
	checkIssuer     = "issuer"
	checkTimes      = "times"
	checkAudience   = "audience"
	checkSignature  = "signature"
	checkInquiry    = "issuer's word"
	checkForbidden  = "forbidden claims"
	checkRights     = "claims"
	checkConsumer   = "consumer"
	checkGroups     = "groups"
	checkContract   = "contract"
)

// judged gives each check its result: those before the one that failed have passed,
// those behind it were not made.
func (v *verdict) judged(list []Check) []Check {
	failing := ""
	if !v.cause.Passes() {
		failing = v.failing()
	}
	result := Passed
	for i := range list {
		c := &list[i]
		switch {
		case c.Name == failing:
			c.Result, c.Reason, result = Failed, v.cause.Error(), NotMade
		case c.Result == "": // else a session that is none: a bearer token may do
			c.Result = result
		}
	}
	return list
}

// jwtChecks are the checks of policy/jwt.go.
func (v *verdict) jwtChecks() []Check {
	c := v.plugin.JWT
	cred := v.credential()
	list := []Check{
		v.found(), {Name: checkForm}, {Name: checkPurpose, Detail: "made to be shown to a resource"},
		{Name: checkKeyClaim, Detail: c.KeyClaim + " names the credential"},
		{Name: checkKnown},
		{Name: checkAlgorithm}, v.signature(cred),
	}
	if cred == nil {
		cred = &bundle.Credential{}
	} else {
		list[4].Detail = strconv.Quote(cred.Key) + " of " + consumer(cred.Consumer)
		list[5].Detail = "the credential allows " + algs(cred.Alg)
	}
	if len(c.Algorithms) > 0 {
		list[5].Detail = strings.TrimPrefix(list[5].Detail+", the plugin "+algs(c.Algorithms), ", ")
	}
	leeway := c.Leeway
	if cred.Leeway != 0 {
		leeway = cred.Leeway
	}
	var wants []string
	if c.VerifyExp {
		wants = append(wants, "exp")
	}
	if c.VerifyNbf {
		wants = append(wants, "nbf")
	}
	if c.MaximumExpiration > 0 {
		wants = append(wants, fmt.Sprintf("at most %d s to live", c.MaximumExpiration))
	}
	if len(wants) > 0 {
		list = append(list, v.times(strings.Join(wants, ", "), leeway))
	} else {
		list = append(list, Check{Name: checkTimes, Detail: "no claims_to_verify: exp and nbf are not looked at"})
	}
	list = both(list, checkIssuer, c.Issuers, cred.Issuers)
	list = both(list, checkAudience, c.Audiences, cred.Audiences)
	return append(list, Check{Name: checkConsumer, Detail: "the credential has one"})
}

// both appends the check of what plugin and credential accept, where they say so.
func both(list []Check, name string, plugin, credential []string) []Check {
	var parts []string
	if len(plugin) > 0 {
		parts = append(parts, "the plugin "+oneOf(plugin))
	}
	if len(credential) > 0 {
		parts = append(parts, "the credential "+oneOf(credential))
	}
	if parts == nil {
		return list
	}
	return append(list, Check{Name: name, Detail: strings.Join(parts, ", ")})
}

// oidcChecks are the checks of policy/oidc.go and policy/subject.go.
func (v *verdict) oidcChecks() (list []Check) {
	c := v.plugin.OIDC
	opened := false
	if c.Login != nil && c.Login.Session {
		session := Check{Name: checkSession, Result: NotMade, Detail: "no cookie of a session"}
		if open := v.last(wire.Open); open != nil {
			session = Check{Name: checkSession, Result: Failed, Detail: open.answered()}
			if opened = open.answer.Session != nil; opened {
				session.Result = ""
			}
		}
		list = append(list, session)
	}
	if !opened {
		list = append(list, v.methodChecks()...)
	}
	if len(c.Forbidden) > 0 {
		list = append(list, Check{Name: checkForbidden, Detail: "wants none of " + strings.Join(c.Forbidden, ", ")})
	}
	if len(c.Required) > 0 {
		var wants []string
		for _, r := range c.Required {
			name := strings.Join(r.Claim, ".")
			if r.Scope {
				name = "scopes"
			}
			wants = append(wants, name+": "+alternatives(r.Any))
		}
		list = append(list, Check{Name: checkRights, Detail: "wants " + strings.Join(wants, "; ")})
	}
	if id := &c.Identity; len(id.ConsumerClaims) > 0 {
		var paths []string
		for _, p := range id.ConsumerClaims {
			paths = append(paths, strings.Join(p, "."))
		}
		detail := strings.Join(paths, " or ") + " names one by " + strings.Join(id.ConsumerBy, " or ")
		if id.ConsumerOptional {
			detail += ", or nobody"
		}
		list = append(list, Check{Name: checkConsumer, Detail: detail})
	}
	return list
}

// methodChecks are the checks of the method that found a credential of its own, those of
// bearer tokens where none did.
func (v *verdict) methodChecks() (list []Check) {
	c := v.plugin.OIDC
	word := Check{Name: checkInquiry} // of the last one that was asked
	var words []string
	verified := true
	for i := range v.asked {
		q := &v.asked[i].question
		if q.Kind != wire.Inquire {
			continue
		}
		m := bundle.ParseMethod(q.Method)
		verified = verified && (m == bundle.IDToken || m == bundle.Introspection && c.Inquiry != nil && c.Inquiry.IntrospectJWT)
		words = append(words, q.Method+": "+v.asked[i].answered())
	}
	switch {
	case !verified:
		list = append(list, Check{Name: checkCredential, Detail: "one that the issuer judges"})
	case c.Takes(bundle.Bearer):
		list = v.bearerChecks()
	default:
		var names []string
		for _, m := range c.Methods {
			if m != bundle.Session {
				names = append(names, m.String())
			}
		}
		detail := "bearer tokens are not accepted"
		if len(names) > 0 {
			detail = "none for " + strings.Join(names, ", ")
		}
		list = append(list, Check{Name: checkCredential, Detail: detail})
	}
	if words != nil {
		word.Detail = strings.Join(words, "; ")
		list = append(list, word)
	}
	if !verified {
		list = append(list, Check{Name: checkPurpose, Detail: "an access token, as far as the issuer says"}, v.times("exp and nbf, where they are there", c.Leeway))
		if len(c.Audiences) > 0 {
			list = append(list, Check{Name: checkAudience, Detail: oneOf(c.Audiences)})
		}
	}
	return list
}

func (v *verdict) bearerChecks() []Check {
	c := v.plugin.OIDC
	algorithm := "a signature with a public key"
	if len(c.Algorithms) > 0 {
		algorithm = algs(c.Algorithms)
	}
	list := []Check{
		v.found(), {Name: checkForm}, {Name: checkPurpose, Detail: "an access token"}, {Name: checkAlgorithm, Detail: algorithm},
		{Name: checkKeys}, {Name: checkIssuer}, v.times("exp, and nbf if it is there", c.Leeway),
	}
	issuers := c.Issuers
	if t := c.Trust; t != nil && t.Unavailable == "" {
		list[4].Detail = count(len(t.Keys), "key")
		if len(issuers) == 0 {
			issuers = t.Issuers
		}
	} else {
		list[4].Detail = "the sidecar has none of this issuer"
	}
	if len(issuers) > 0 {
		list[5].Detail = oneOf(issuers)
	}
	if len(c.Audiences) > 0 {
		list = append(list, Check{Name: checkAudience, Detail: oneOf(c.Audiences)})
	}
	return append(list, v.signature(nil))
}

// found says where a token was looked for and how many there are.
func (v *verdict) found() Check {
	c := Check{Name: checkCredential}
	switch len(v.places) {
	case 0:
		common := v.plugin.Common()
		var where []string
		for _, in := range []struct {
			kind  string
			names []string
		}{{"query", common.QueryNames}, {"cookie", common.CookieNames}, {"header", common.HeaderNames}} {
			for _, name := range in.names {
				where = append(where, in.kind+" "+name)
			}
		}
		c.Detail = "no " + v.sought() + " in " + strings.Join(where, ", ")
	case 1:
		c.Detail = "in " + v.places[0].Kind + " " + v.places[0].Name
	default:
		c.Detail = count(len(v.places), strings.TrimPrefix(v.sought(), "bearer "))
	}
	return c
}

// sought is what the plugin looks for.
func (v *verdict) sought() string {
	switch {
	case v.plugin.KeyAuth != nil:
		return "API key"
	case v.plugin.BasicAuth != nil:
		return "user name and password"
	}
	return "bearer token"
}

// times says what is asked of exp and nbf, and what exp is.
func (v *verdict) times(wants string, leeway int64) Check {
	c := Check{Name: checkTimes, Detail: fmt.Sprintf("%s, leeway %d s", wants, leeway)}
	if v.token == nil {
		return c
	}
	if exp, ok := v.claims.ExpiresAt(); ok {
		c.Detail += "; exp " + instant(exp) + ", now " + instant(v.driver.request.Now)
	}
	return c
}

// signature says by whom and with which key it was checked.
func (v *verdict) signature(cred *bundle.Credential) Check {
	c := Check{Name: checkSignature}
	var list []bundle.Key
	switch {
	case cred != nil:
		list = cred.Keys
	case v.plugin.OIDC != nil && v.plugin.OIDC.Trust != nil:
		list = v.plugin.OIDC.Trust.Keys
		if k := v.last(wire.Keys); k != nil && k.answer.Trust != nil {
			list = k.answer.Trust.Keys
		}
	}
	var with []string
	for _, call := range v.verified {
		name := "a key"
		if i := slices.IndexFunc(list, func(k bundle.Key) bool { return k.DER == call.der }); i >= 0 && list[i].ID != "" {
			name = "the key " + strconv.Quote(list[i].ID)
		}
		if call.verdict == wire.Unjudged {
			name += " that cannot be read"
		}
		with = append(with, name)
	}
	if x := v.judge(); x != nil {
		with = append(with, "by the sidecar")
	}
	if len(with) > 0 {
		c.Detail = "with " + strings.Join(with, ", ")
		c.Detail = strings.Replace(c.Detail, "with by", "by", 1)
	}
	return c
}

// judge returns the exchange in which the sidecar judged the signature, nil for none.
func (v *verdict) judge() *exchange {
	for i := range v.asked {
		if v.asked[i].answer.Verdict != wire.Unjudged {
			return &v.asked[i]
		}
	}
	return nil
}

// presented returns the credential behind an API key or a password, nil for none.
func (v *verdict) presented(kind wire.Kind) *bundle.Credential {
	if x := v.last(kind); x != nil {
		return x.answer.Credential
	}
	return nil
}

// credential returns the credential of the jwt plugin that the sidecar has found.
func (v *verdict) credential() *bundle.Credential {
	for _, kind := range []wire.Kind{wire.Keys, wire.Lookup} {
		if x := v.last(kind); x != nil && x.answer.Credential != nil {
			return x.answer.Credential
		}
	}
	return nil
}

func oneOf(list []string) string {
	if len(list) == 1 {
		return "wants " + list[0]
	}
	return "wants one of " + strings.Join(list, ", ")
}

// alternatives writes a requirement as the file does.
func alternatives(r claims.Requirement) string {
	var parts []string
	for _, all := range r {
		parts = append(parts, strings.Join(all, " and "))
	}
	return strings.Join(parts, ", or ")
}
