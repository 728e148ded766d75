package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// maxBody bounds what an endpoint may answer.
const maxBody = 256 << 10

// Caller asks the endpoints of one issuer.
type Caller struct {
	HTTP *http.Client
	Keys *ClientKeys
	Now  func() time.Time
}

// Status is the status of an answer that is neither what was asked for nor an error in
// the words of RFC 6749.
type Status int

// Error implements error.
func (s Status) Error() string { return fmt.Sprintf("the endpoint answers with status %d", int(s)) }

// ErrNoEndpoint is why nobody can be asked.
var ErrNoEndpoint = errors.New("the issuer has no such endpoint")

// Post posts a form in a client's name. Headers do not take the place of those that
// say who the client is and what is sent.
func (c Caller) Post(ctx context.Context, endpoint string, who Client, form url.Values, headers http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, nil)
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	for name, values := range headers {
		req.Header[name] = values
	}
	if err := who.authenticate(c.Keys, c.Now(), req, form); err != nil {
		return nil, err
	}
	body := form.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	req.GetBody = nil // a code and a refresh token are sent once, never again by the transport
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	return c.do(req)
}

func (c Caller) do(req *http.Request) (*http.Response, error) {
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, provider.Sayable(err)
	}
	return res, nil
}

// readJSON reads a response that has to be a JSON object which two readers read alike.
func readJSON(res *http.Response) (jsonx.Doc, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return jsonx.Doc{}, provider.Sayable(err)
	}
	if len(body) > maxBody {
		return jsonx.Doc{}, errors.New("the answer is too long")
	}
	doc, err := jsonx.Parse(string(body), jsonx.Limits{Bytes: maxBody, Depth: 16, Nodes: 1 << 13})
	if err != nil || doc.Root().Kind() != jsonx.Object {
		return jsonx.Doc{}, fmt.Errorf("the answer, with status %d, is no JSON object", res.StatusCode)
	}
	return doc, nil
}

// Answer reads the JSON object of an answer with status 200. Any other is a *Refusal
// where it says why in the words of RFC 6749, else a Status.
func Answer(res *http.Response) (jsonx.Doc, error) {
	doc, err := readJSON(res)
	if res.StatusCode == http.StatusOK {
		return doc, err
	}
	if err == nil && res.StatusCode < 500 {
		code, _ := doc.Root().Get("error").Text()
		description, _ := doc.Root().Get("error_description").Text()
		if code != "" {
			return jsonx.Doc{}, &Refusal{res.StatusCode, code, description}
		}
	}
	return jsonx.Doc{}, Status(res.StatusCode)
}
