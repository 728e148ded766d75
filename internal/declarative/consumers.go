package declarative

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
)

// consumer reads a consumer with its nested credentials.
func (p *parser) consumer(v at) {
	c := &Consumer{}
	var secrets, apiKeys, passwords []at
	known := p.entity(v, &c.Entity, fields{
		"username":              p.text(&c.Username, notEmpty, printable),
		"custom_id":             p.text(&c.CustomID, notEmpty, printable),
		"jwt_secrets":           p.list(func(v at) { secrets = append(secrets, v) }),
		"keyauth_credentials":   p.list(func(v at) { apiKeys = append(apiKeys, v) }),
		"basicauth_credentials": p.list(func(v at) { passwords = append(passwords, v) }),
		"groups":                p.refuseUnless("consumer groups are a Kong Enterprise entity"),
		"plugins":               p.list(p.ofConsumer),
	})
	var groups []at
	known["acls"] = p.list(func(v at) { groups = append(groups, v) })
	for _, name := range []string{"hmacauth_credentials", "oauth2_credentials", "mtls_auth_credentials"} {
		known[name] = p.refuseCollection(refusedCollections[name])
	}
	if !p.record(v, known) {
		return
	}
	if c.Username == "" && c.CustomID == "" {
		if !p.failedAt(v.path) {
			p.fail(v, "has neither username nor custom_id: expected one of them")
		}
		return
	}
	if c.ID == "" {
		c.ID = kongID("consumers", firstNonEmpty(c.Username, c.CustomID))
	}
	p.file.Consumers = append(p.file.Consumers, c)
	for _, s := range secrets {
		p.jwtSecret(s, c)
	}
	for _, k := range apiKeys {
		p.apiKey(k, c)
	}
	for _, s := range passwords {
		p.password(s, c)
	}
	for _, g := range groups {
		p.acl(g, c)
	}
}

// ofConsumer reads a plugin that is nested in a consumer: there is none of ours that
// could be.
func (p *parser) ofConsumer(v at) {
	name, enabled := "", true
	p.members(v, func(member string, _, value at) {
		if value, ok := p.resolve(value); ok && value.node.Kind == yaml.ScalarNode {
			switch member {
			case "name":
				name = value.node.Value
			case "enabled":
				enabled = value.node.Value != "false"
			}
		}
	})
	if name != "" && !slices.Contains(own, name) {
		p.foreign(v, name, enabled)
		return
	}
	p.fail(v, "is bound to a consumer: authentication plugins run before there is one, and Kong refuses this too")
}

// jwtSecret reads a credential of the jwt plugin; consumer is the one it is
// nested in.
func (p *parser) jwtSecret(v at, consumer *Consumer) {
	s := &JWTSecret{Consumer: consumer}
	algorithm := ""
	var jwks at
	var algorithms []string
	known := p.entity(v, &s.Entity, fields{
		"key": p.text(&s.Key, notEmpty, printable, maxLength(512)),
		"secret": func(v at) {
			if p.secret(&s.Secret, notEmpty)(v); s.Secret != "" {
				s.written = v
			}
		},
		"rsa_public_key": p.text(&s.PublicPEM),
		"algorithm":      p.text(&algorithm, oneOf(jose.Algs()...)),
		"tags":           p.texts(&s.Tags),

		// Beyond Kong.
		"jwks":       func(v at) { jwks = v },
		"jwks_uri":   p.address(&s.JWKSURI, jwksURIPlainHTTP, "anybody in between can hand out keys of their own"),
		"algorithms": p.texts(&algorithms, oneOf(jose.Algs()...)),
		"issuers": func(v at) {
			if p.texts(&s.Issuers, notEmpty)(v); len(s.Issuers) > 1 {
				p.note(issuersShareKeys, v, shareKeys)
			}
		},
		"audiences": p.texts(&s.Audiences, notEmpty),
		"leeway":    p.leeway(&s.Leeway),
	})
	if consumer == nil {
		known["consumer"] = p.reference(&s.consumer)
	}
	before := p.errors
	if !p.record(v, known) {
		return
	}
	if consumer == nil && !s.consumer.set {
		p.fail(v, "has no consumer")
	}
	for _, name := range algorithms {
		s.Algorithms = append(s.Algorithms, jose.ParseAlg(name))
	}
	if p.errors == before {
		p.keyMaterial(v, s, algorithm, jwks)
	}
	p.file.JWTSecrets = append(p.file.JWTSecrets, s)
}

// keyMaterial checks that a credential has one kind of key, which fits its
// algorithm. decK writes a dummy secret beside a public key, which Kong ignores
// and so do we.
func (p *parser) keyMaterial(v at, s *JWTSecret, algorithm string, jwks at) {
	set := jwks.node != nil
	if set && s.JWKSURI != "" {
		p.fail(v, "has jwks and jwks_uri: expected one of them")
		return
	}
	if set || s.JWKSURI != "" {
		if algorithm != "" || s.PublicPEM != "" || s.Secret != "" {
			p.fail(v, "has a key set beside algorithm, secret or rsa_public_key: expected algorithms (a list) with a key set")
			return
		}
		if set {
			p.keySet(jwks, s)
		}
		return
	}
	if len(s.Algorithms) > 0 {
		p.fail(v, "has algorithms: without a key set the field is algorithm, one")
	}
	s.Algorithm = jose.HS256
	if algorithm != "" {
		s.Algorithm = jose.ParseAlg(algorithm)
	}
	if s.Algorithm.Family() == jose.HMAC {
		if s.PublicPEM != "" {
			p.fail(v, "has rsa_public_key and algorithm %s: expected algorithm to be of the key's kind (RS256 …)", s.Algorithm)
		}
		return
	}
	if s.PublicPEM == "" {
		p.fail(v, "has algorithm %s and no rsa_public_key: expected the public key in PEM", s.Algorithm)
		return
	}
	pub, err := keys.ParsePEM(s.PublicPEM)
	if err != nil {
		p.report(invalid, v.line(), v.key("rsa_public_key"), "%s", err)
		return
	}
	s.Public = pub
	for _, a := range keys.Algs(pub) {
		if a == s.Algorithm {
			return
		}
	}
	p.fail(v, "has algorithm %s, which its key is not for: expected %s", s.Algorithm, algNames(keys.Algs(pub)))
}

func algNames(algs []jose.Alg) string {
	names := make([]string, len(algs))
	for i, a := range algs {
		names[i] = a.String()
	}
	return orList(names)
}

// keySet reads an inline JWK or JWK set, written as YAML, or as JSON in a string.
func (p *parser) keySet(v at, s *JWTSecret) {
	var src []byte
	if v.node.Kind == yaml.ScalarNode {
		text, ok := p.string(v)
		if !ok {
			return
		}
		src = []byte(text)
	} else {
		var value any
		if err := v.node.Decode(&value); err != nil {
			p.fail(v, "cannot be read: expected a JWK or a JWK set")
			return
		}
		var err error
		if src, err = json.Marshal(value); err != nil {
			p.fail(v, "cannot be read: expected a JWK or a JWK set")
			return
		}
	}
	list, err := keys.ParseSet(src)
	if err != nil {
		p.fail(v, "%s", err)
		return
	}
	if len(list) == 0 {
		p.fail(v, "has no key for signatures")
	}
	for _, k := range list {
		if k.Unusable != "" {
			p.fail(v, "has a key %q that may not be used: %s", k.ID, k.Unusable)
		}
	}
	s.JWKS = list
}

// maxLeeway bounds a difference between clocks, in seconds. Kong's schema has no
// bound; a day is already no leeway any more.
const maxLeeway = 24 * 3600

func maxLength(n int) check {
	return func(s string) string {
		if len(s) > n {
			return "is longer than " + strconv.Itoa(n) + " bytes"
		}
		return ""
	}
}

// httpURL is a check for an absolute http or https URL.
func httpURL(s string) string {
	if _, err := parseHTTPURL(s); err != nil {
		if strings.Contains(s, "@") {
			return "has a user name or cannot be read: expected an https URL without credentials"
		}
		if strings.Contains(s, "#") {
			return "has a fragment (#): expected an https URL without one"
		}
		return "is " + strconv.Quote(s) + ": expected an https URL"
	}
	return ""
}
