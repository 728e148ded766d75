package provider

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/keys"
)

// Bounds on what an issuer may send.
const (
	maxDocument = 1 << 20
	maxDepth    = 16
	maxNodes    = 1 << 15
)

// discoveryPath is where an issuer's metadata is (OpenID Connect Discovery §4).
const discoveryPath = "/.well-known/openid-configuration"

// NewClient returns a client for issuers: no redirects, which could lead
// anywhere, TLS from 1.2, everything bounded in time.
func NewClient(verify bool, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !verify}, //nolint:gosec // ssl_verify: false, warned about
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        90 * time.Second,
			ForceAttemptHTTP2:      true,
		},
	}
}

// get fetches a JSON document, checks that it is one that two readers would read
// alike, and says how long it may be kept.
func get(ctx context.Context, client *http.Client, url string) (body []byte, maxAge time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	res, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("GET %s: status %d", url, res.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", url, err)
	}
	if len(body) > maxDocument {
		return nil, 0, fmt.Errorf("GET %s: more than %d bytes", url, maxDocument)
	}
	if _, err := jsonx.Parse(string(body), jsonx.Limits{Bytes: maxDocument, Depth: maxDepth, Nodes: maxNodes}); err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", url, err)
	}
	return body, cacheLifetime(res.Header), nil
}

// cacheLifetime reads max-age (RFC 9111 §5.2.2.1); 0 when there is none.
func cacheLifetime(h http.Header) time.Duration {
	for _, directive := range strings.Split(h.Get("Cache-Control"), ",") {
		value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(directive)), "max-age=")
		if !ok {
			continue
		}
		if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

// metadata is the part of a discovery document that matters here.
type metadata struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
}

// discover fetches the metadata of an issuer. The issuer in it has to be the one
// that was asked (OpenID Connect Discovery §4.3), up to a trailing slash, or one
// that the configuration allows by name.
func discover(ctx context.Context, client *http.Client, issuer string, allowed []string) (metadata, error) {
	body, _, err := get(ctx, client, strings.TrimSuffix(issuer, "/")+discoveryPath)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return metadata{}, errors.New("the discovery document does not have the right types")
	}
	if strings.TrimSuffix(m.Issuer, "/") != strings.TrimSuffix(issuer, "/") && !slices.Contains(allowed, m.Issuer) {
		return metadata{}, fmt.Errorf("the discovery document is of issuer %q: add it to issuers_allowed if that is right", m.Issuer)
	}
	switch {
	case m.JWKSURI == "":
		return metadata{}, errors.New("the discovery document has no jwks_uri")
	case strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(m.JWKSURI, "https://"):
		return metadata{}, errors.New("the discovery document has a jwks_uri that is not https")
	case !strings.HasPrefix(m.JWKSURI, "https://") && !strings.HasPrefix(m.JWKSURI, "http://"):
		return metadata{}, errors.New("the discovery document has a jwks_uri that is no URL")
	}
	return m, nil
}

// fetchKeys fetches a key set.
func fetchKeys(ctx context.Context, client *http.Client, uri string) ([]keys.Key, time.Duration, error) {
	body, maxAge, err := get(ctx, client, uri)
	if err != nil {
		return nil, 0, err
	}
	list, err := keys.ParseSet(body)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", uri, err)
	}
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("GET %s: no key for signatures", uri)
	}
	return list, maxAge, nil
}
