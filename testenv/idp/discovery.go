package idp

import (
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
)

const wellKnown = "/.well-known/openid-configuration"

// linkLocal is where clouds keep the credentials of a machine.
const linkLocal = "http://169.254.169.254/latest/"

// members are those of discovery that name an endpoint.
var members = map[string]string{
	"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo", "jwks_uri": "jwks",
	"revocation_endpoint": "revoke", "introspection_endpoint": "introspect", "end_session_endpoint": "end_session",
}

// astray are the faults that name an endpoint elsewhere.
var astray = map[Fault]string{
	TokenAtLinkLocal: "token_endpoint", TokenAtLoopback: "token_endpoint", AuthorizeAtLoopback: "authorization_endpoint",
	UserinfoAtLinkLocal: "userinfo_endpoint", UserinfoAtLoopback: "userinfo_endpoint",
	KeysAtLinkLocal: "jwks_uri", KeysAtLoopback: "jwks_uri",
}

// Advertise adds and replaces members of discovery; nil removes one. They hold
// until the next call: Advertise(nil) behaves again.
func (s *Server) Advertise(more map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = maps.Clone(more)
}

// Discovery returns the discovery document as it is now, without faults.
func (s *Server) Discovery() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.document()
}

// Trap returns the URL of a listener on another loopback address, which answers
// like the server. What comes to it is recorded as "elsewhere".
func (s *Server) Trap() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trap != nil {
		return s.trap.URL
	}
	// 127.0.0.2 is there without being set up on Linux only.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		panic(err)
	}
	s.trap = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "elsewhere") }))
	s.trap.Listener.Close()
	s.trap.Listener = l
	s.trap.Start()
	return s.trap.URL
}

// serveElsewhere answers as the endpoint of that path would, so that a relying
// party that was led here does not notice.
func (s *Server) serveElsewhere(w *answer, r *http.Request) {
	switch endpoint := s.endpointAt(r.URL.Path); {
	case endpoint == "jwks":
		s.serveKeys(w, r)
	case endpoint == "userinfo":
		s.serveUserinfo(w, r)
	case endpoint == "authorize":
		s.serveAuthorize(w, r)
	case r.PostForm.Has("token"):
		s.serveIntrospect(w, r)
	case endpoint == "token" || r.PostForm.Has("grant_type"):
		s.token(w, r, "")
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) serveDiscovery(w *answer, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	if s.keysOnly {
		fault = ""
	}
	body := s.document()
	s.mu.Unlock()
	switch fault {
	case OtherIssuer:
		body["issuer"] = "https://evil.example"
	case NoTokenEndpoint:
		delete(body, "token_endpoint")
	case NoAuthorizeEndpoint:
		delete(body, "authorization_endpoint")
	case TokenAtLinkLocal, UserinfoAtLinkLocal, KeysAtLinkLocal:
		body[astray[fault]] = linkLocal + members[astray[fault]]
	case TokenAtLoopback, AuthorizeAtLoopback, UserinfoAtLoopback, KeysAtLoopback:
		s.mu.Lock()
		path := layouts[s.shape].paths[members[astray[fault]]]
		s.mu.Unlock()
		body[astray[fault]] = s.Trap() + path
	}
	s.reply(w, r, fault, body)
}

// document returns the metadata (OIDC Discovery §3). The lock is held.
func (s *Server) document() map[string]any {
	l := layouts[s.shape]
	algs := []string{"RS256"}
	for _, k := range s.signers {
		if !slices.Contains(algs, k.alg) {
			algs = append(algs, k.alg)
		}
	}
	slices.Sort(algs)
	doc := map[string]any{
		"issuer":                                s.tokenIssuer(),
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "client_credentials", "password"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": algs,
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"claims_supported":                      []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "azp", "at_hash", "sid"},
		"prompt_values_supported":               []string{"none", "login"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported": []string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
		},
		"backchannel_logout_supported":         true,
		"backchannel_logout_session_supported": true,
	}
	if s.options.IssParameter {
		doc["authorization_response_iss_parameter_supported"] = true
	}
	for member, name := range members {
		if u := s.endpoint(name); u != "" {
			doc[member] = u
		}
	}
	if l.query != "" {
		doc["authorization_endpoint"] = s.endpoint("authorize") + "?" + l.query
	}
	for _, member := range l.omit {
		delete(doc, member)
	}
	merge(doc, s.members)
	return doc
}
