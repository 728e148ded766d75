package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Metadata is what an issuer says of itself, as far as it matters here (OpenID
// Connect Discovery §3, RFC 8414 §2). Endpoints that it does not have are "".
type Metadata struct {
	Issuer, JWKSURI                string
	Authorization, Token, UserInfo string
	Revocation, EndSession         string
	Introspection                  string // RFC 7662
	TokenAuthMethods               []string
	IntrospectionAuthMethods       []string
	IssuerParameter                bool // RFC 9207 §3
}

// discover fetches the metadata of an issuer. The issuer in it has to be the one
// that was asked (OpenID Connect Discovery §4.3), up to a trailing slash, or one
// that the configuration allows by name.
func discover(ctx context.Context, client *http.Client, c *Config) (Metadata, error) {
	issuer, allowed := c.Issuer, c.Allowed
	// An issuer may have a query of its own, which goes along (S0-15).
	base, query, _ := strings.Cut(issuer, "?")
	if query != "" {
		query = "?" + query
	}
	body, _, err := get(ctx, client, strings.TrimSuffix(base, "/")+discoveryPath+query, c.Headers...)
	if err != nil {
		return Metadata{}, err
	}
	m, ok := readMetadata(string(body))
	if !ok {
		return Metadata{}, errors.New("the discovery document does not have the right types")
	}
	if strings.TrimSuffix(m.Issuer, "/") != strings.TrimSuffix(base, "/") && m.Issuer != issuer && !slices.Contains(allowed, m.Issuer) {
		return Metadata{}, fmt.Errorf("the discovery document is of issuer %.*q: add it to issuers_allowed if that is right", maxQuoted, m.Issuer)
	}
	if m.JWKSURI == "" && c.JWKSURI == "" {
		return Metadata{}, errors.New("the discovery document has no jwks_uri")
	}
	for name, uri := range map[string]string{
		"jwks_uri": m.JWKSURI, "authorization_endpoint": m.Authorization, "token_endpoint": m.Token,
		"userinfo_endpoint": m.UserInfo, "revocation_endpoint": m.Revocation, "end_session_endpoint": m.EndSession,
		"introspection_endpoint": m.Introspection,
	} {
		switch {
		case uri == "":
		case strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(uri, "https://"):
			return Metadata{}, fmt.Errorf("the discovery document has a %s that is not https", name)
		case !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://"):
			return Metadata{}, fmt.Errorf("the discovery document has a %s that is no URL", name)
		case isLocalName(hostOf(uri)) && !isLocalName(hostOf(issuer)):
			return Metadata{}, fmt.Errorf("the discovery document has a %s: %w", name, ErrLocal)
		}
	}
	return m, nil
}

// readMetadata reads the members that matter, by exactly their names.
func readMetadata(body string) (m Metadata, ok bool) {
	doc, err := jsonx.Parse(body, documentLimits)
	if err != nil {
		return Metadata{}, false
	}
	root := doc.Root()
	ok = root.Kind() == jsonx.Object
	for name, dst := range map[string]*string{
		"issuer": &m.Issuer, "jwks_uri": &m.JWKSURI, "authorization_endpoint": &m.Authorization, "token_endpoint": &m.Token,
		"userinfo_endpoint": &m.UserInfo, "revocation_endpoint": &m.Revocation, "end_session_endpoint": &m.EndSession,
		"introspection_endpoint": &m.Introspection,
	} {
		v := root.Get(name)
		text, isText := v.Text()
		optional := name != "issuer" && name != "jwks_uri" && v.Kind() == jsonx.Null
		ok = ok && (isText || !v.Exists() || optional)
		*dst = text
	}
	for name, dst := range map[string]*[]string{
		"token_endpoint_auth_methods_supported":         &m.TokenAuthMethods,
		"introspection_endpoint_auth_methods_supported": &m.IntrospectionAuthMethods,
	} {
		for c := root.Get(name).Cursor(); c.Next(); {
			if s, isText := c.Value().Text(); isText {
				*dst = append(*dst, s)
			}
		}
	}
	m.IssuerParameter, _ = root.Get("authorization_response_iss_parameter_supported").Bool()
	return m, ok
}
