package policy

import (
	"strconv"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestJWTClaims: times, issuers and audiences, of the plugin and of the credential.
func TestJWTClaims(t *testing.T) {
	exp := func(after int64) string { return `,"exp":` + strconv.FormatInt(start+after, 10) }
	for name, tt := range map[string]struct {
		plugin     bundle.JWT
		credential bundle.Credential
		claims     string
		want       reason.Code
		body       string
	}{
		"nothing asked": {want: reason.Allowed},

		"maximum":              {plugin: bundle.JWT{MaximumExpiration: 100}, claims: exp(100), want: reason.Allowed},
		"beyond the maximum":   {plugin: bundle.JWT{MaximumExpiration: 100}, claims: exp(101), want: reason.LifetimeTooLong, body: `{"exp":"exceeds maximum allowed expiration"}`},
		"maximum, leeway":      {plugin: bundle.JWT{MaximumExpiration: 100, Common: bundle.Common{Leeway: 10}}, claims: exp(110), want: reason.Allowed},
		"beyond the leeway":    {plugin: bundle.JWT{MaximumExpiration: 100, Common: bundle.Common{Leeway: 10}}, claims: exp(111), want: reason.LifetimeTooLong},
		"the credential's":     {plugin: bundle.JWT{MaximumExpiration: 100, Common: bundle.Common{Leeway: 10}}, credential: bundle.Credential{Leeway: 5}, claims: exp(106), want: reason.LifetimeTooLong},
		"maximum, without exp": {plugin: bundle.JWT{MaximumExpiration: 100}, want: reason.LifetimeTooLong},

		"no exp":      {plugin: bundle.JWT{VerifyExp: true}, want: reason.ClaimInvalid, body: `{"exp":"must be a number"}`},
		"exp is half": {plugin: bundle.JWT{VerifyExp: true}, claims: `,"exp":1.5`, want: reason.ClaimInvalid, body: `{"exp":"must be an integer"}`},
		"expired":     {plugin: bundle.JWT{VerifyExp: true}, claims: exp(0), want: reason.TokenExpired, body: `{"exp":"token expired"}`},
		"just not":    {plugin: bundle.JWT{VerifyExp: true}, claims: exp(1), want: reason.Allowed},
		"nbf is half": {plugin: bundle.JWT{VerifyNbf: true}, claims: `,"nbf":1.5`, want: reason.ClaimInvalid, body: `{"nbf":"must be an integer"}`},
		"both are bad": {plugin: bundle.JWT{VerifyExp: true, VerifyNbf: true}, claims: exp(0) + `,"nbf":1800000001`, want: reason.TokenExpired,
			body: `{"exp":"token expired","nbf":"token not valid yet"}`},

		"the plugin's issuer":       {plugin: bundle.JWT{Common: bundle.Common{Issuers: []string{"a"}}}, want: reason.Allowed},
		"another issuer":            {plugin: bundle.JWT{Common: bundle.Common{Issuers: []string{"b"}}}, want: reason.IssuerUnknown},
		"the credential's issuer":   {credential: bundle.Credential{Issuers: []string{"b"}}, want: reason.IssuerUnknown},
		"the plugin's audience":     {plugin: bundle.JWT{Common: bundle.Common{Audiences: []string{"x"}}}, claims: `,"aud":"x"`, want: reason.Allowed},
		"another audience":          {plugin: bundle.JWT{Common: bundle.Common{Audiences: []string{"x"}}}, claims: `,"aud":"y"`, want: reason.AudienceMismatch},
		"the credential's audience": {credential: bundle.Credential{Audiences: []string{"x"}}, claims: `,"aud":"y"`, want: reason.AudienceMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			p := jwtPlugin("j", headerOnly)
			tt.plugin.HeaderNames, tt.plugin.KeyClaim = p.JWT.HeaderNames, p.JWT.KeyClaim
			p.JWT = &tt.plugin
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
			answer := lookup("a", wire.Valid)
			answer.Credential.Issuers, answer.Credential.Audiences, answer.Credential.Leeway = tt.credential.Issuers, tt.credential.Audiences, tt.credential.Leeway
			s := ask(e, start, "r", withToken(secretToken("a", tt.claims)))
			s = e.Resume(s.Pending, s.Question, answer, reason.Unspecified, start)
			if s.Reason != tt.want || tt.body != "" && s.Response.Body != tt.body {
				t.Errorf("%v %s, want %v %s", s.Reason, s.Response.Body, tt.want, tt.body)
			}
		})
	}
}

// TestWhatTheSidecarSaid: an answer without a credential is passed on as it is, and
// one that says nothing is the sidecar's fault.
func TestWhatTheSidecarSaid(t *testing.T) {
	for _, tt := range []struct {
		answer wire.Answer
		want   reason.Code
	}{
		{wire.Answer{Code: reason.CredentialUnknown}, reason.CredentialUnknown},
		{wire.Answer{Code: reason.SidecarRefused}, reason.SidecarRefused},
		{wire.Answer{Code: reason.Overloaded}, reason.Overloaded},
		{wire.Answer{}, reason.SidecarAnswer},
		{lookup("another", wire.Valid), reason.SidecarAnswer},
	} {
		e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
		s := ask(e, start, "r", withToken(secretToken("a", "")))
		if s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start); s.Kind != Deny || s.Reason != tt.want {
			t.Errorf("%+v: %v, want %v", tt.answer, s.Reason, tt.want)
		}
	}
}

// TestAskedOnce: there is one question of a kind for one attempt, whatever is answered.
func TestAskedOnce(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {oidcPlugin("o", headerOnly, rsaKey("k"))}})
	for _, tt := range []struct {
		answer wire.Answer
		want   reason.Code
	}{
		{wire.Answer{Verdict: wire.Valid}, reason.Allowed}, {wire.Answer{Verdict: wire.Invalid}, reason.SignatureInvalid},
		{wire.Answer{}, reason.SidecarAnswer}, {wire.Answer{Code: reason.IssuerUnavailable}, reason.IssuerUnavailable},
	} {
		s := ask(e, start, "r", withToken(issuedTo(tt.want.Error())))
		if s.Kind != Ask || s.Question.Kind != wire.Verify || s.Question.Trust != "to" {
			t.Fatalf("no question: %+v", s)
		}
		if s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start); s.Kind == Ask || s.Reason != tt.want {
			t.Errorf("%+v: %v, want %v", tt.answer, s.Reason, tt.want)
		}
	}
}
