package declarative

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"go.yaml.in/yaml/v4"
)

// pendingSNI is a name whose certificate is not known yet.
type pendingSNI struct {
	name        string
	certificate ref
	at          at
}

// certificate reads a server certificate with its names.
func (p *parser) certificate(v at) {
	c := &Certificate{}
	before := p.errors
	ok := p.record(v, p.entity(v, &c.Entity, fields{
		"cert":     p.text(&c.Cert, notEmpty),
		"key":      p.secret(&c.Key, notEmpty),
		"snis":     p.list(func(v at) { p.sni(v, c) }),
		"cert_alt": p.refuse("put the certificate of another kind under a name of its own"),
		"key_alt":  p.refuse("put the certificate of another kind under a name of its own"),
	}))
	if !ok {
		return
	}
	if p.errors == before {
		if _, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key)); err != nil {
			p.fail(v, "certificate and key do not go together: %s", err)
		}
	}
	if c.ID == "" {
		c.ID = kongID("certificates", c.Cert)
	}
	p.file.Certificates = append(p.file.Certificates, c)
}

// sni reads a name of a certificate: a string, or a mapping with a name.
func (p *parser) sni(v at, certificate *Certificate) {
	s := pendingSNI{at: v}
	if certificate != nil && v.node.Kind == yaml.ScalarNode {
		p.text(&s.name, notEmpty, routeHost)(v)
	} else {
		var e Entity
		known := p.entity(v, &e, fields{"name": p.text(&s.name, notEmpty, routeHost)})
		if certificate == nil {
			known["certificate"] = p.reference(&s.certificate)
		}
		if !p.record(v, known) {
			return
		}
	}
	switch {
	case s.name == "":
		if !p.failedAt(v.path) {
			p.fail(v, "has no name")
		}
	case certificate != nil:
		certificate.SNIs = append(certificate.SNIs, s.name)
	case !s.certificate.set:
		p.fail(v, "has no certificate")
	default:
		p.snis = append(p.snis, s)
	}
}

// caCertificate reads a certificate that upstreams are verified against.
func (p *parser) caCertificate(v at) {
	c := &CACertificate{}
	ok := p.record(v, p.entity(v, &c.Entity, fields{
		"cert":        p.text(&c.Cert, notEmpty),
		"cert_digest": p.ignore,
	}))
	if !ok {
		return
	}
	block, _ := pem.Decode([]byte(c.Cert))
	if block == nil {
		p.fail(v, "cert is no PEM certificate")
		return
	}
	if cert, err := x509.ParseCertificate(block.Bytes); err != nil || !cert.IsCA {
		p.fail(v, "cert is no certificate of an authority")
	}
	if c.ID == "" {
		p.fail(v, "has no id: services refer to it by one")
	}
	p.file.CAs = append(p.file.CAs, c)
}

// failedAt reports whether an error was reported at or below a path.
func (p *parser) failedAt(path string) bool {
	for _, q := range p.problems {
		if q.Severity == Error && strings.HasPrefix(q.Path, path) {
			return true
		}
	}
	return false
}
