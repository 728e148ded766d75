package bundle

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Errors of Decode. A bundle is taken over whole or not at all.
var (
	ErrVersion = errors.New("bundle: written for another version of the filter")
	ErrInvalid = errors.New("bundle: not a bundle")
)

// limits of a bundle. The depth is that of plugins → oidc → identity → matches →
// claim, and a little more.
var limits = jsonx.Limits{Bytes: MaxBytes, Depth: 10, Nodes: 1 << 19}

// Decode reads an encoding. The result shares no memory with src.
func Decode(src string) (*Bundle, error) {
	doc, err := jsonx.Parse(strings.Clone(src), limits)
	if err != nil {
		return nil, err
	}
	root := doc.Root()
	if v, ok := root.Get("version").Int(); !ok || v != Version {
		return nil, ErrVersion
	}
	d := decoder{}
	b := &Bundle{
		Epoch:      d.text(root.Get("epoch")),
		Generation: uint64(d.int(root.Get("generation"))),
		Source:     d.text(root.Get("source")),
		Routes:     make(map[string]*Route),
	}
	trust := make(map[string]*Trust)
	for c := d.list(root.Get("trust")); c.Next(); {
		t := d.trust(c.Value())
		if trust[t.ID] != nil {
			d.bad = true
		}
		trust[t.ID] = t
		b.Trust = append(b.Trust, t)
	}
	for c := d.list(root.Get("plugins")); c.Next(); {
		p := d.plugin(c.Value())
		if p.OIDC != nil {
			if p.OIDC.Trust = trust[p.OIDC.TrustID]; p.OIDC.Trust == nil {
				d.bad = true
			}
		}
		b.Plugins = append(b.Plugins, p)
	}
	for c := d.list(root.Get("routes")); c.Next(); {
		r := d.route(c.Value(), b.Plugins)
		if r.Name == "" || b.Routes[r.Name] != nil {
			d.bad = true
		}
		b.Routes[r.Name] = r
	}
	if d.bad || b.Epoch == "" {
		return nil, ErrInvalid
	}
	return b, nil
}

// ReadTrust reads a trust record of an answer; nil when it is none.
func ReadTrust(v jsonx.Value) *Trust {
	d := decoder{}
	t := d.trust(v)
	if d.bad {
		return nil
	}
	return t
}

// ReadConsumer reads a consumer of an answer; nil when it is none.
func ReadConsumer(v jsonx.Value) *Consumer {
	d := decoder{}
	c := d.consumer(v)
	if d.bad || c == nil || c.ID == "" {
		return nil
	}
	return c
}

// ReadCredential reads a credential of an answer; nil when it is none.
func ReadCredential(v jsonx.Value) *Credential {
	d := decoder{}
	c := &Credential{
		ID:        d.text(v.Get("id")),
		Key:       d.text(v.Get("key")),
		Version:   d.text(v.Get("version")),
		Alg:       d.algs(v.Get("alg")),
		Keys:      d.keys(v.Get("keys")),
		Remote:    d.bool(v.Get("remote")),
		Consumer:  d.consumer(v.Get("consumer")),
		Expires:   d.int(v.Get("expires")),
		Issuers:   d.texts(v.Get("issuers")),
		Audiences: d.texts(v.Get("audiences")),
		Leeway:    d.int(v.Get("leeway")),
	}
	if d.bad || c.ID == "" || c.Version == "" {
		return nil
	}
	return c
}

// decoder reads members; bad is set by the first that has the wrong type. An
// absent member is the zero value.
type decoder struct{ bad bool }

func (d *decoder) text(v jsonx.Value) string {
	s, ok := v.Text()
	d.bad = d.bad || v.Exists() && !ok
	return s
}

func (d *decoder) int(v jsonx.Value) int64 {
	i, ok := v.Int()
	d.bad = d.bad || v.Exists() && (!ok || i < 0)
	return i
}

func (d *decoder) bool(v jsonx.Value) bool {
	b, ok := v.Bool()
	d.bad = d.bad || v.Exists() && !ok
	return b
}

func (d *decoder) list(v jsonx.Value) jsonx.Cursor {
	d.bad = d.bad || v.Exists() && v.Kind() != jsonx.Array
	return v.Cursor()
}

func (d *decoder) texts(v jsonx.Value) []string {
	var out []string
	for c := d.list(v); c.Next(); {
		s, ok := c.Value().Text()
		d.bad = d.bad || !ok
		out = append(out, s)
	}
	return out
}

func (d *decoder) algs(v jsonx.Value) []jose.Alg {
	var out []jose.Alg
	for _, name := range d.texts(v) {
		a := jose.ParseAlg(name)
		d.bad = d.bad || a == jose.Unsupported
		out = append(out, a)
	}
	return out
}

func (d *decoder) object(v jsonx.Value) { d.bad = d.bad || v.Kind() != jsonx.Object }

func (d *decoder) trust(v jsonx.Value) *Trust {
	d.object(v)
	t := &Trust{
		ID:          d.text(v.Get("id")),
		Hash:        d.text(v.Get("hash")),
		Issuers:     d.texts(v.Get("issuers")),
		Keys:        d.keys(v.Get("keys")),
		Unavailable: d.text(v.Get("unavailable")),
	}
	d.bad = d.bad || t.ID == "" || t.Hash == ""
	return t
}

func (d *decoder) keys(v jsonx.Value) []Key {
	var out []Key
	for c := d.list(v); c.Next(); {
		k := Key{
			ID:       d.text(c.Value().Get("kid")),
			Alg:      d.algs(c.Value().Get("alg")),
			Unusable: d.text(c.Value().Get("unusable")),
		}
		der, err := base64.StdEncoding.DecodeString(d.text(c.Value().Get("der")))
		d.bad = d.bad || err != nil
		k.DER = string(der)
		out = append(out, k)
	}
	return out
}

func (d *decoder) consumer(v jsonx.Value) *Consumer {
	if !v.Exists() {
		return nil
	}
	d.object(v)
	c := &Consumer{
		ID: d.text(v.Get("id")), Username: d.text(v.Get("username")), CustomID: d.text(v.Get("custom_id")), Groups: d.texts(v.Get("groups")),
		Application: d.bool(v.Get("application")), Contracts: d.texts(v.Get("contracts")),
	}
	d.bad = d.bad || len(c.Contracts) > MaxContracts || len(c.Contracts) > 0 && !c.Application
	return c
}

func (d *decoder) plugin(v jsonx.Value) *Plugin {
	p := &Plugin{ID: d.text(v.Get("id"))}
	j, o, a, k, b, g := v.Get("jwt"), v.Get("oidc"), v.Get("acl"), v.Get("key_auth"), v.Get("basic_auth"), v.Get("registration")
	kinds := 0
	for _, kind := range [...]jsonx.Value{j, o, a, k, b, g} {
		if kind.Exists() {
			kinds++
		}
	}
	d.bad = d.bad || p.ID == "" || kinds != 1
	switch {
	case a.Exists():
		d.object(a)
		p.ACL = &ACL{
			Groups:        d.texts(a.Get("groups")),
			Deny:          d.bool(a.Get("deny")),
			HideHeader:    d.bool(a.Get("hide_header")),
			Authenticated: d.bool(a.Get("authenticated")),
		}
		d.bad = d.bad || len(p.ACL.Groups) == 0
	case g.Exists():
		d.object(g)
		p.Registration = &Registration{Service: d.text(g.Get("service")), Consumers: d.bool(g.Get("consumers"))}
		d.bad = d.bad || p.Registration.Service == ""
	case k.Exists():
		d.object(k)
		p.KeyAuth = &KeyAuth{Common: d.common(k), Hide: d.bool(k.Get("hide"))}
	case b.Exists():
		d.object(b)
		p.BasicAuth = &BasicAuth{Common: d.common(b), Hide: d.bool(b.Get("hide"))}
	case j.Exists():
		d.object(j)
		p.JWT = &JWT{
			Common:            d.common(j),
			KeyClaim:          d.text(j.Get("key_claim")),
			VerifyExp:         d.bool(j.Get("verify_exp")),
			VerifyNbf:         d.bool(j.Get("verify_nbf")),
			MaximumExpiration: d.int(j.Get("maximum_expiration")),
			Base64:            d.bool(j.Get("base64")),
		}
		d.bad = d.bad || p.JWT.KeyClaim == ""
	default:
		d.object(o)
		p.OIDC = &OIDC{Common: d.common(o), TrustID: d.text(o.Get("trust"))}
		for c := d.list(o.Get("required")); c.Next(); {
			r := Requirement{
				Claim: d.texts(c.Value().Get("claim")),
				Any:   claims.ParseRequirement(d.texts(c.Value().Get("any"))),
				Scope: d.bool(c.Value().Get("scope")),
			}
			// Without alternatives it would be met by every token.
			d.bad = d.bad || len(r.Claim) == 0 || len(r.Any) == 0
			p.OIDC.Required = append(p.OIDC.Required, r)
		}
		p.OIDC.Methods = d.methods(o.Get("methods"))
		p.OIDC.Forbidden = d.texts(o.Get("forbidden"))
		p.OIDC.Hide = d.texts(o.Get("hide"))
		p.OIDC.Inquiry = d.inquiry(o.Get("inquiry"))
		p.OIDC.Login = d.login(o.Get("login"))
		p.OIDC.Identity = d.identity(o.Get("identity"))
	}
	return p
}

func (d *decoder) common(v jsonx.Value) Common {
	return Common{
		Anonymous:      d.consumer(v.Get("anonymous")),
		SkipPreflight:  d.bool(v.Get("skip_preflight")),
		Realm:          d.text(v.Get("realm")),
		AcceptIDTokens: d.bool(v.Get("accept_id_tokens")),
		HeaderNames:    d.texts(v.Get("headers")),
		QueryNames:     d.texts(v.Get("queries")),
		CookieNames:    d.texts(v.Get("cookies")),
		Leeway:         d.int(v.Get("leeway")),
		Audiences:      d.texts(v.Get("audiences")),
		Issuers:        d.texts(v.Get("issuers")),
		Algorithms:     d.algs(v.Get("alg")),
	}
}

func (d *decoder) route(v jsonx.Value, plugins []*Plugin) *Route {
	d.object(v)
	r := &Route{
		Name:         d.text(v.Get("name")),
		Broken:       d.text(v.Get("broken")),
		RequireHTTPS: int(d.int(v.Get("require_https"))),
		GRPC:         d.bool(v.Get("grpc")),
	}
	switch r.RequireHTTPS {
	case 0, 426, 301, 302, 307, 308:
	default:
		d.bad = true
	}
	for c := d.list(v.Get("chain")); c.Next(); {
		i, ok := c.Value().Int()
		if !ok || i < 0 || i >= int64(len(plugins)) {
			d.bad = true
			return r
		}
		r.Chain = append(r.Chain, plugins[i])
	}
	return r
}
