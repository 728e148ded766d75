package endpoint

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Client is who asks.
type Client struct {
	ID     string
	Secret redact.Secret
	Auth   string // client_secret_basic, client_secret_post, private_key_jwt or none
	Alg    jose.Alg
}

// ClientOf returns the i-th client of a configuration, the first for one that is gone.
// offered are the ways of authentication that the issuer takes, as far as it says.
func ClientOf(c *declarative.Client, i int, offered []string) Client {
	if i < 0 || i >= len(c.ClientIDs) {
		i = 0
	}
	out := Client{Auth: AuthMethod(c.ClientAuth, offered), Alg: c.ClientAlg}
	if len(c.ClientIDs) > 0 {
		out.ID = c.ClientIDs[i]
	}
	if i < len(c.ClientSecrets) {
		out.Secret = c.ClientSecrets[i]
	}
	return out
}

// AuthMethod is the configured way, else Basic unless the issuer says that it does not
// take it.
func AuthMethod(configured string, offered []string) string {
	if configured != "" {
		return configured
	}
	if len(offered) > 0 && !slices.Contains(offered, "client_secret_basic") && slices.Contains(offered, "client_secret_post") {
		return "client_secret_post"
	}
	return "client_secret_basic"
}

// authenticate makes a request say who the client is (RFC 6749 §2.3, RFC 7523 §2.2).
func (c *Client) authenticate(keys *ClientKeys, now time.Time, req *http.Request, form url.Values) error {
	switch c.Auth {
	case "client_secret_post":
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret.Reveal())
	case "none":
		form.Set("client_id", c.ID)
	case "private_key_jwt":
		assertion, err := keys.assertion(c.Alg, c.ID, req.URL.String(), now)
		if err != nil {
			return err
		}
		form.Set("client_id", c.ID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	default:
		// Both are encoded before they are joined (RFC 6749 §2.3.1).
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	}
	return nil
}
