package declarative

import (
	"crypto"
	"regexp"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
)

// File is a declarative file that was read without an error.
type File struct {
	Name     string // as it was given
	Source   string // SHA-256 of its bytes, and of what is beside it, in hex
	Services []*Service
	// Routes are those that proxy: routes of disabled services are left out.
	Routes       []*Route
	Upstreams    []*Upstream
	Consumers    []*Consumer
	JWTSecrets   []*JWTSecret
	APIKeys      []*APIKey
	Passwords    []*Password
	Plugins      []*Plugin // enabled ones of kinds that we run
	Certificates []*Certificate
	CAs          []*CACertificate
	Settings     Settings

	consumersByID       map[string]*Consumer
	consumersByUsername map[string]*Consumer
}

// Entity is what all entities share.
type Entity struct {
	ID   string
	Line int
	Path string // where it stands
	Tags []string
	// Beside says that it is not of the file, but of Options.Further.
	Beside bool
}

// Service is where requests go (kong/db/schema/entities/services.lua).
type Service struct {
	Entity
	Name       string
	Protocol   string // http, https, grpc, grpcs
	Host       string // a host name, an address, or the name of an upstream
	Port       int
	PathPrefix string // "" or with a leading slash
	Retries    int
	// Time-outs in milliseconds. Read and write are between two successive
	// operations, not for a whole request.
	ConnectTimeout, WriteTimeout, ReadTimeout int
	// Verify says whether the upstream's certificate is verified; true unless
	// tls_verify is false.
	Verify   bool
	CAs      []*CACertificate
	Upstream *Upstream // set when Host names one
	Enabled  bool

	caRefs []ref
}

// TLS reports whether the upstream is spoken to over TLS.
func (s *Service) TLS() bool { return s.Protocol == "https" || s.Protocol == "grpcs" }

// GRPC reports whether the upstream speaks gRPC, that is HTTP/2 only.
func (s *Service) GRPC() bool { return s.Protocol == "grpc" || s.Protocol == "grpcs" }

// Key names the service in contracts: by its name or, without one, its id.
func (s *Service) Key() string { return firstNonEmpty(s.Name, s.ID) }

// Route says which requests go to a service (kong/db/schema/entities/routes.lua).
type Route struct {
	Entity
	Name                string
	Service             *Service
	Protocols           []string
	Methods             []string
	Hosts               []string // lower case; *.example.com, example.*
	Paths               []Path
	Headers             []HeaderMatch // by name
	StripPath           bool
	PreserveHost        bool
	RegexPriority       int
	HTTPSRedirectStatus int
	order               int // in the file

	service ref
}

// GRPC reports whether the route takes gRPC only.
func (r *Route) GRPC() bool { return r.Protocols[0] == "grpc" || r.Protocols[0] == "grpcs" }

// Takes reports whether the route takes requests over TLS, and over plain HTTP.
func (r *Route) Takes(tls bool) bool {
	for _, p := range r.Protocols {
		if (p == "https" || p == "grpcs") == tls {
			return true
		}
	}
	return false
}

// Path is one path of a route: a prefix, or a regular expression.
type Path struct {
	Prefix string
	Regex  *regexp.Regexp // anchored at the start; nil for a prefix
	Expr   string         // what the regular expression was written as, without ~
}

// HeaderMatch is one header of a route and the values it may have.
type HeaderMatch struct {
	Name   string // lower case
	Values []string
	Regex  []string // from values that begin with ~*
}

// Upstream is a set of targets behind one name (kong/db/schema/entities/upstreams.lua).
type Upstream struct {
	Entity
	Name       string
	LeastConn  bool // else weighted round robin
	HostHeader string
	Targets    []Target
}

// Target is one address of an upstream.
type Target struct {
	Host   string
	Port   int
	Weight int
}

// Consumer is somebody who calls.
type Consumer struct {
	Entity
	Username string
	CustomID string
	Groups   []string // of the acl plugin (acls), each once

	// Application marks the consumer of an application; Contracts are the services that
	// it has a contract with (Service.Key), each once.
	Application bool
	Contracts   []string
}

// Label names the consumer for people.
func (c *Consumer) Label() string {
	if c.Username != "" {
		return c.Username
	}
	return c.CustomID
}

// JWTSecret is a credential of the jwt plugin. The key material is one of
// Secret, Public, JWKS and JWKSURI.
type JWTSecret struct {
	Entity
	Consumer  *Consumer
	Key       string
	Secret    string
	Algorithm jose.Alg // Unsupported for a key set
	PublicPEM string
	Public    crypto.PublicKey

	// Beyond Kong.
	JWKS       []keys.Key
	JWKSURI    string
	Algorithms []jose.Alg // empty: whatever the keys allow
	Issuers    []string
	Audiences  []string
	Leeway     int64

	consumer ref
	written  at // where Secret stands, unless it is generated
}

// Plugin is one plugin instance.
type Plugin struct {
	Entity
	Name         string // jwt, key-auth, basic-auth, openid-connect, application-registration, acl
	InstanceName string
	Service      *Service // nil: not bound to one
	Route        *Route
	JWT          *JWTConfig
	OIDC         *OIDCConfig
	ACL          *ACLConfig
	KeyAuth      *KeyAuthConfig
	BasicAuth    *BasicAuthConfig
	Registration *RegistrationConfig

	service, route, consumer ref
	scoped                   bool // nested in an entity
	config, shared           at   // as it is written
}

// Certificate is a server certificate with the names it is for.
type Certificate struct {
	Entity
	Cert, Key string // PEM
	SNIs      []string
}

// CACertificate is a certificate that upstreams are verified against.
type CACertificate struct {
	Entity
	Cert string // PEM
}

// ref is a reference that has not been resolved yet.
type ref struct {
	at    at
	value string
	set   bool
}

// ConsumerBy returns the consumer with that username or, failing that, id.
func (f *File) ConsumerBy(name string) *Consumer {
	if c := f.consumersByUsername[name]; c != nil {
		return c
	}
	return f.consumersByID[name]
}
