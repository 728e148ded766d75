package idp

import (
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// Shape is the form of a vendor's provider: its paths, its issuer and what its
// tokens say, from the vendor's public documentation. The host is the server's.
type Shape string

// The shapes.
const (
	// Plain is OpenID Connect with an issuer that has no path.
	Plain Shape = "plain"

	// Descope has the project in the issuer's path (https://api.descope.com/<project>),
	// the endpoints under /oauth2/v1 and an authorization endpoint with a query of its
	// own, which is refused without it. The aud of access tokens is the project, and
	// there is no azp. The client id of its default application is the project too.
	Descope Shape = "descope"

	// Okta is a custom authorization server: the issuer is /oauth2/default, its
	// endpoints are under /v1 of it. Access tokens have scp as an array, cid instead
	// of client_id, and sub is the login; uid is the subject of the ID token.
	Okta Shape = "okta"

	// AzureV1 is Entra ID as of version 1. Discovery is under the tenant, but says
	// that the issuer is another one (https://sts.windows.net/<tenant>/, here a path),
	// and so do the tokens. scp is a string, the client is appid, times in the token
	// response are strings.
	AzureV1 Shape = "azure-v1"

	// AzureV2 is Entra ID as of version 2: the issuer is /<tenant>/v2.0, scp is a
	// string and the client is azp. Options.AccessV1 gives access tokens as of
	// version 1 beside such ID tokens.
	AzureV2 Shape = "azure-v2"

	// Ping is PingOne: the issuer is /<environment>/as, with the endpoints under it.
	// Access tokens name the environment and the organization beside client_id, and aud
	// is a list.
	Ping Shape = "ping"
)

// What the shapes have in their paths.
const (
	DescopeProject = "P2SallyportTestProject00001"
	AzureTenant    = "0a1b2c3d-1111-2222-3333-444455556666"

	PingEnvironment = "5c6d7e8f-1111-2222-3333-444455556666"
)

// layout is where a shape has what. Paths begin with a slash.
type layout struct {
	base   string            // discovery is under it, and it is what a relying party is told
	issuer string            // iss; often base
	paths  map[string]string // by endpoint, without discovery; what is missing is not there
	query  string            // of the authorization endpoint
	omit   []string          // members that discovery does not have
	state  bool              // session_state is returned
}

var layouts = map[Shape]layout{
	Plain: {state: true, paths: map[string]string{
		"jwks": "/jwks", "authorize": "/authorize", "token": "/token", "userinfo": "/userinfo",
		"revoke": "/revoke", "introspect": "/introspect", "end_session": "/end_session",
	}},
	Descope: {
		base: "/" + DescopeProject, issuer: "/" + DescopeProject, query: "flow=oidc-flow",
		omit: []string{"introspection_endpoint", "backchannel_logout_supported", "backchannel_logout_session_supported"},
		paths: map[string]string{
			"jwks": "/" + DescopeProject + "/.well-known/jwks.json", "authorize": "/oauth2/v1/authorize", "token": "/oauth2/v1/token",
			"userinfo": "/oauth2/v1/userinfo", "revoke": "/oauth2/v1/revoke", "end_session": "/oauth2/v1/logout",
		},
	},
	Okta: {
		base: "/oauth2/default", issuer: "/oauth2/default",
		omit: []string{"backchannel_logout_supported", "backchannel_logout_session_supported"},
		paths: map[string]string{
			"jwks": "/oauth2/default/v1/keys", "authorize": "/oauth2/default/v1/authorize", "token": "/oauth2/default/v1/token",
			"userinfo": "/oauth2/default/v1/userinfo", "revoke": "/oauth2/default/v1/revoke",
			"introspect": "/oauth2/default/v1/introspect", "end_session": "/oauth2/default/v1/logout",
		},
	},
	AzureV1: {
		base: "/" + AzureTenant, issuer: "/sts/" + AzureTenant + "/", state: true, omit: azureOmits,
		paths: map[string]string{
			"jwks": "/common/discovery/keys", "authorize": "/" + AzureTenant + "/oauth2/authorize", "token": "/" + AzureTenant + "/oauth2/token",
			"userinfo": "/" + AzureTenant + "/openid/userinfo", "end_session": "/" + AzureTenant + "/oauth2/logout",
		},
	},
	AzureV2: {
		base: "/" + AzureTenant + "/v2.0", issuer: "/" + AzureTenant + "/v2.0", state: true, omit: azureOmits,
		paths: map[string]string{
			"jwks": "/" + AzureTenant + "/discovery/v2.0/keys", "authorize": "/" + AzureTenant + "/oauth2/v2.0/authorize",
			"token": "/" + AzureTenant + "/oauth2/v2.0/token", "userinfo": "/oidc/userinfo", "end_session": "/" + AzureTenant + "/oauth2/v2.0/logout",
		},
	},
}

// The endpoints of PingOne are all under its issuer.
func init() {
	as := "/" + PingEnvironment + "/as"
	layouts[Ping] = layout{base: as, issuer: as, omit: []string{"backchannel_logout_supported", "backchannel_logout_session_supported"}, paths: map[string]string{
		"jwks": as + "/jwks", "authorize": as + "/authorize", "token": as + "/token", "userinfo": as + "/userinfo",
		"revoke": as + "/revoke", "introspect": as + "/introspect", "end_session": as + "/signoff",
	}}
}

// azureOmits are members that the discovery of Entra does not have: it takes PKCE
// and does not say so.
var azureOmits = []string{
	"revocation_endpoint", "introspection_endpoint", "code_challenge_methods_supported",
	"backchannel_logout_supported", "backchannel_logout_session_supported",
}

// Shape gives the server the form of a vendor's. It is for the start of a test:
// paths and the issuer change.
func (s *Server) Shape(shape Shape) {
	if _, ok := layouts[shape]; !ok {
		panic("idp: no shape " + string(shape))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shape = shape
	s.options.IssParameter = shape == Plain
}

// Issuer returns the identifier under which discovery is: what a relying party is
// configured with.
func (s *Server) Issuer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issuer()
}

// TokenIssuer returns the issuer that discovery and ID tokens name. It is Issuer
// in every shape but AzureV1.
func (s *Server) TokenIssuer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokenIssuer()
}

// AccessIssuer returns the iss of access tokens, which Options.AccessV1 changes.
func (s *Server) AccessIssuer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accessIssuer()
}

// Endpoint returns the URL of an endpoint by the name of the route table, without
// a query; "" where the shape has none.
func (s *Server) Endpoint(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoint(name)
}

// The lock is held in all that follow.

func (s *Server) issuer() string { return s.URL + layouts[s.shape].base }

func (s *Server) tokenIssuer() string { return s.URL + layouts[s.shape].issuer }

func (s *Server) accessIssuer() string {
	if s.shape == AzureV2 && s.options.AccessV1 {
		return s.URL + layouts[AzureV1].issuer
	}
	return s.tokenIssuer()
}

func (s *Server) endpoint(name string) string {
	if name == "discovery" {
		return s.issuer() + wellKnown
	}
	if name == "elsewhere" {
		return s.URL + "/elsewhere"
	}
	path, ok := layouts[s.shape].paths[name]
	if !ok {
		return ""
	}
	return s.URL + path
}

// endpointAt returns the name of what is at a path.
func (s *Server) endpointAt(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := layouts[s.shape]
	if path == l.base+wellKnown {
		return "discovery"
	}
	if path == "/elsewhere" {
		return "elsewhere"
	}
	for name, p := range l.paths {
		if p == path {
			return name
		}
	}
	return ""
}

// shapeAccess gives the claims of an access token the form of the vendor.
func (s *Server) shapeAccess(claims map[string]any, g *grant, u User) {
	scopes := strings.Fields(claims["scope"].(string))
	switch s.shape {
	case Descope:
		if claims["aud"] == nil {
			claims["aud"] = []string{DescopeProject}
		}
	case Okta:
		merge(claims, map[string]any{"ver": 1, "cid": g.client, "client_id": nil, "scp": scopes, "scope": nil})
		claims["jti"] = "AT." + claims["jti"].(string)
		if claims["aud"] == nil {
			claims["aud"] = "api://default"
		}
		if u.Name != "" {
			claims["uid"], claims["sub"], claims["auth_time"] = u.Subject, u.Name, g.authTime.Unix()
		}
	case Ping:
		merge(claims, map[string]any{"env": PingEnvironment, "org": "org-" + PingEnvironment})
		if claims["aud"] == nil {
			claims["aud"] = []string{"https://api.pingone.example"}
		}
	case AzureV1, AzureV2:
		merge(claims, map[string]any{"tid": AzureTenant, "oid": "oid-" + claims["sub"].(string), "nbf": claims["iat"], "client_id": nil, "scope": nil, "jti": nil})
		if len(scopes) > 0 {
			claims["scp"] = strings.Join(scopes, " ")
		}
		if s.shape == AzureV1 || s.options.AccessV1 {
			claims["ver"], claims["appid"] = "1.0", g.client
		} else {
			claims["ver"], claims["azp"] = "2.0", g.client
		}
		if claims["aud"] == nil {
			claims["aud"] = "api://" + g.client
		}
	}
}

// shapeID gives the claims of an ID token the form of the vendor.
func (s *Server) shapeID(claims map[string]any, u User) {
	switch s.shape {
	case Okta:
		merge(claims, map[string]any{"ver": 1, "jti": "ID." + tokens.Random(), "amr": []string{"pwd"}, "preferred_username": u.Name})
	case AzureV1, AzureV2:
		// at_hash is for tokens of the authorization endpoint only.
		merge(claims, map[string]any{"tid": AzureTenant, "oid": "oid-" + u.Subject, "nbf": claims["iat"], "at_hash": nil})
		claims["ver"] = map[Shape]string{AzureV1: "1.0", AzureV2: "2.0"}[s.shape]
	}
}

// shapeResponse gives a token response the form of the vendor.
func (s *Server) shapeResponse(body map[string]any) {
	if s.shape != AzureV1 {
		return
	}
	if _, ok := body["expires_in"]; ok {
		body["expires_in"] = seconds(s.options.AccessLifetime)
		body["expires_on"] = strconv.FormatInt(s.options.Now().Add(s.options.AccessLifetime).Unix(), 10)
	}
}
