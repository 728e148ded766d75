package bundle

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Encode returns the encoding. Routes are written in the order of their names,
// so that equal bundles have equal encodings.
func (b *Bundle) Encode() []byte {
	w := &jsonx.Writer{}
	w.Open('{')
	w.IntMember("version", Version)
	w.StringMember("epoch", b.Epoch)
	w.IntMember("generation", int64(b.Generation))
	w.StringMember("source", b.Source)
	w.Name("trust")
	w.Open('[')
	for _, t := range b.Trust {
		t.Write(w)
	}
	w.Close(']')
	w.Name("plugins")
	w.Open('[')
	index := make(map[*Plugin]int, len(b.Plugins))
	for i, p := range b.Plugins {
		index[p] = i
		p.write(w)
	}
	w.Close(']')
	w.Name("routes")
	w.Open('[')
	for _, name := range slices.Sorted(maps.Keys(b.Routes)) {
		b.Routes[name].write(w, index)
	}
	w.Close(']')
	w.Close('}')
	return w.Buf
}

func (r *Route) write(w *jsonx.Writer, index map[*Plugin]int) {
	w.Open('{')
	w.StringMember("name", r.Name)
	w.StringMember("broken", r.Broken)
	w.IntMember("require_https", int64(r.RequireHTTPS))
	w.BoolMember("grpc", r.GRPC)
	if len(r.Chain) > 0 {
		w.Name("chain")
		w.Open('[')
		for _, p := range r.Chain {
			w.Int(int64(index[p]))
		}
		w.Close(']')
	}
	w.Close('}')
}

func (p *Plugin) write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", p.ID)
	switch {
	case p.JWT != nil:
		w.Name("jwt")
		w.Open('{')
		p.JWT.Common.write(w)
		w.StringMember("key_claim", p.JWT.KeyClaim)
		w.BoolMember("verify_exp", p.JWT.VerifyExp)
		w.BoolMember("verify_nbf", p.JWT.VerifyNbf)
		w.IntMember("maximum_expiration", p.JWT.MaximumExpiration)
		w.BoolMember("base64", p.JWT.Base64)
		w.Close('}')
	case p.OIDC != nil:
		w.Name("oidc")
		w.Open('{')
		p.OIDC.Common.write(w)
		w.StringMember("trust", p.OIDC.TrustID)
		w.Name("required")
		w.Open('[')
		for _, r := range p.OIDC.Required {
			w.Open('{')
			w.StringsMember("claim", r.Claim)
			w.Name("any")
			w.Open('[')
			for _, all := range r.Any {
				w.String(strings.Join(all, " "))
			}
			w.Close(']')
			w.BoolMember("scope", r.Scope)
			w.Close('}')
		}
		w.Close(']')
		names := make([]string, len(p.OIDC.Methods))
		for i, m := range p.OIDC.Methods {
			names[i] = m.String()
		}
		w.StringsMember("methods", names)
		w.StringsMember("forbidden", p.OIDC.Forbidden)
		w.StringsMember("hide", p.OIDC.Hide)
		if p.OIDC.Inquiry != nil {
			w.Name("inquiry")
			p.OIDC.Inquiry.write(w)
		}
		if p.OIDC.Login != nil {
			w.Name("login")
			p.OIDC.Login.write(w)
		}
		w.Name("identity")
		p.OIDC.Identity.write(w)
		w.Close('}')
	case p.ACL != nil:
		w.Name("acl")
		w.Open('{')
		w.StringsMember("groups", p.ACL.Groups)
		w.BoolMember("deny", p.ACL.Deny)
		w.BoolMember("hide_header", p.ACL.HideHeader)
		w.BoolMember("authenticated", p.ACL.Authenticated)
		w.Close('}')
	case p.Registration != nil:
		w.Name("registration")
		w.Open('{')
		w.StringMember("service", p.Registration.Service)
		w.BoolMember("consumers", p.Registration.Consumers)
		w.Close('}')
	case p.KeyAuth != nil:
		w.Name("key_auth")
		w.Open('{')
		p.KeyAuth.Common.write(w)
		w.BoolMember("hide", p.KeyAuth.Hide)
		w.Close('}')
	case p.BasicAuth != nil:
		w.Name("basic_auth")
		w.Open('{')
		p.BasicAuth.Common.write(w)
		w.BoolMember("hide", p.BasicAuth.Hide)
		w.Close('}')
	}
	w.Close('}')
}

func (c *Common) write(w *jsonx.Writer) {
	if c.Anonymous != nil {
		w.Name("anonymous")
		c.Anonymous.Write(w)
	}
	w.BoolMember("skip_preflight", c.SkipPreflight)
	w.StringMember("realm", c.Realm)
	w.BoolMember("accept_id_tokens", c.AcceptIDTokens)
	w.StringsMember("headers", c.HeaderNames)
	w.StringsMember("queries", c.QueryNames)
	w.StringsMember("cookies", c.CookieNames)
	w.IntMember("leeway", c.Leeway)
	w.StringsMember("audiences", c.Audiences)
	w.StringsMember("issuers", c.Issuers)
	writeAlgs(w, c.Algorithms)
}

// Write writes a consumer, which also travels in answers.
func (c *Consumer) Write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", c.ID)
	w.StringMember("username", c.Username)
	w.StringMember("custom_id", c.CustomID)
	w.StringsMember("groups", c.Groups)
	w.BoolMember("application", c.Application)
	w.StringsMember("contracts", c.Contracts)
	w.Close('}')
}

func writeAlgs(w *jsonx.Writer, algs []jose.Alg) {
	if len(algs) == 0 {
		return
	}
	w.Name("alg")
	w.Open('[')
	for _, a := range algs {
		w.String(a.String())
	}
	w.Close(']')
}

// Write writes a trust record, which also travels in answers.
func (t *Trust) Write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", t.ID)
	w.StringMember("hash", t.Hash)
	w.StringsMember("issuers", t.Issuers)
	w.StringMember("unavailable", t.Unavailable)
	writeKeys(w, t.Keys)
	w.Close('}')
}

func writeKeys(w *jsonx.Writer, keys []Key) {
	if len(keys) == 0 {
		return
	}
	w.Name("keys")
	w.Open('[')
	for _, k := range keys {
		w.Open('{')
		w.StringMember("kid", k.ID)
		writeAlgs(w, k.Alg)
		if k.DER != "" {
			w.StringMember("der", base64.StdEncoding.EncodeToString([]byte(k.DER)))
		}
		w.StringMember("unusable", k.Unusable)
		w.Close('}')
	}
	w.Close(']')
}

// Write writes a credential, which only travels in answers.
func (c *Credential) Write(w *jsonx.Writer) {
	w.Open('{')
	w.StringMember("id", c.ID)
	w.StringMember("key", c.Key)
	w.StringMember("version", c.Version)
	writeAlgs(w, c.Alg)
	writeKeys(w, c.Keys)
	w.BoolMember("remote", c.Remote)
	if c.Consumer != nil {
		w.Name("consumer")
		c.Consumer.Write(w)
	}
	w.IntMember("expires", c.Expires)
	w.StringsMember("issuers", c.Issuers)
	w.StringsMember("audiences", c.Audiences)
	w.IntMember("leeway", c.Leeway)
	w.Close('}')
}
