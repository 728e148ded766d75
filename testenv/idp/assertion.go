package idp

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// checkAssertion checks private_key_jwt (RFC 7523 §3, OIDC Core §9).
func (s *Server) checkAssertion(c Client, assertion string, r *http.Request) *failure {
	refuse := func(detail string) *failure {
		return &failure{http.StatusUnauthorized, "invalid_client", "assertion: " + detail}
	}
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return bad("invalid_request", "wrong client_assertion_type")
	}
	t, err := parseJWS(assertion)
	if err != nil {
		return refuse(err.Error())
	}
	if err := signedBy(r.Context(), c.JWKSURI, t); err != nil {
		return refuse(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now().Unix()
	exp, ok := t.seconds("exp")
	iat, hasIat := t.seconds("iat")
	nbf, hasNbf := t.seconds("nbf")
	id := t.text("jti")
	audience := func(aud string) bool {
		return slices.Contains([]string{s.endpoint("token"), s.URL + r.URL.Path, s.tokenIssuer(), s.issuer()}, aud)
	}
	switch {
	case t.text("iss") != c.ID || t.text("sub") != c.ID:
		return refuse("iss or sub is not the client")
	case !slices.ContainsFunc(t.audience(), audience):
		return refuse("aud is neither the token endpoint nor the issuer")
	case !ok || exp <= now:
		return refuse("expired")
	case exp > now+3600:
		return refuse("exp is more than an hour ahead")
	case hasIat && iat > now+5 || hasNbf && nbf > now+5:
		return refuse("not yet valid")
	case id == "":
		return refuse("no jti")
	case s.assertions[c.ID+" "+id]:
		return refuse("jti used again")
	}
	s.assertions[c.ID+" "+id] = true
	return nil
}

// fetcher asks relying parties for their keys, whatever their certificate.
var fetcher = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// signedBy checks a signature with the keys at a URI.
func signedBy(ctx context.Context, uri string, t *jws) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return err
	}
	res, err := fetcher.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("jwks_uri: status %d", res.StatusCode)
	}
	var set struct{ Keys []map[string]any }
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&set); err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	for _, members := range set.Keys {
		for _, private := range []string{"d", "p", "q", "k"} {
			if members[private] != nil {
				return errors.New("jwks_uri: publishes a private key")
			}
		}
	}
	for _, members := range set.Keys {
		var k jwk
		text, _ := json.Marshal(members)
		if json.Unmarshal(text, &k) != nil || t.header.Kid != "" && k.Kid != t.header.Kid || k.Alg != "" && k.Alg != t.header.Alg {
			continue
		}
		if key, err := k.public(); err == nil && t.verify(key) {
			return nil
		}
	}
	return errors.New("no key of jwks_uri verifies it")
}
