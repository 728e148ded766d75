package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

var documentLimits = jsonx.Limits{Bytes: maxDocument, Depth: maxDepth, Nodes: maxNodes}

// discoveryPath is where an issuer's metadata is (OpenID Connect Discovery §4).
const discoveryPath = "/.well-known/openid-configuration"

// get fetches a JSON document, checks that it is one that two readers would read
// alike, and says how long it may be kept.
func get(ctx context.Context, client *http.Client, uri string, headers ...Header) (body []byte, maxAge time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: it cannot be asked", display(uri))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	for _, h := range headers {
		req.Header.Set(h.Name, h.Value.Reveal())
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", display(uri), sayable(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("GET %s: status %d", display(uri), res.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", display(uri), sayable(err))
	}
	if len(body) > maxDocument {
		return nil, 0, fmt.Errorf("GET %s: more than %d bytes", display(uri), maxDocument)
	}
	if _, err := jsonx.Parse(string(body), documentLimits); err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", display(uri), err)
	}
	return body, cacheLifetime(res.Header), nil
}

// display is a URL as it may be logged: neither who asks nor the query, where
// keys of APIs are put, and no longer than a line.
func display(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "an address that is no URL"
	}
	out := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if u.RawQuery != "" {
		out += "?…"
	}
	if len(out) > maxQuoted {
		out = strings.ToValidUTF8(out[:maxQuoted], "") + "…"
	}
	return out
}

// maxQuoted bounds what is quoted of a document in an error.
const maxQuoted = 200

// sayable returns an error of the network in words that hold nothing which the
// other side has sent: an answer that is no HTTP is quoted by net/http.
// Sayable returns an error of the network in words that hold nothing which the other
// side has sent.
func Sayable(err error) error { return sayable(err) }

func sayable(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var op *net.OpError
	var timeout net.Error
	switch text := err.Error(); {
	case errors.As(err, &op), errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.Canceled),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.HasPrefix(text, "tls: "), strings.HasPrefix(text, "x509: "):
		return err
	}
	return errors.New("the answer is not HTTP, or its header is too large")
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

// fetchKeys fetches a key set.
func fetchKeys(ctx context.Context, client *http.Client, uri string) ([]keys.Key, time.Duration, error) {
	body, maxAge, err := get(ctx, client, uri)
	if err != nil {
		return nil, 0, err
	}
	list, err := keys.ParseSet(body)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", display(uri), err)
	}
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("GET %s: no key for signatures", display(uri))
	}
	return list, maxAge, nil
}
