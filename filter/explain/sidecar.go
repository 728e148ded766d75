package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Sidecar is whom the machine asks.
type Sidecar struct{ transport http.RoundTripper }

// InProcess returns a sidecar by the handler that it answers filters with.
func InProcess(handler http.Handler) *Sidecar { return &Sidecar{inProcess{handler}} }

// OnSocket returns a sidecar that runs elsewhere, by the path of its socket.
func OnSocket(path string) *Sidecar {
	return &Sidecar{&http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// Offline is Run by a bundle that was saved. Nobody answers questions.
func Offline(f *declarative.File, saved io.Reader, r Request) (*Trace, error) {
	text, err := io.ReadAll(io.LimitReader(saved, bundle.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	return Run(f, string(text), r, func([]byte) (string, reason.Code) { return "", reason.SidecarUnreachable })
}

// errVersion is why a sidecar's answer cannot be read.
var errVersion = errors.New("the sidecar speaks another version of the contract")

// Bundle returns the bundle on offer, as it is encoded.
func (s *Sidecar) Bundle(ctx context.Context) (string, error) {
	return s.do(ctx, http.MethodGet, wire.PathBundle, nil, bundle.MaxBytes)
}

// Ask returns the function that puts a question to the sidecar.
func (s *Sidecar) Ask(ctx context.Context) Ask {
	return func(question []byte) (string, reason.Code) {
		answer, err := s.do(ctx, http.MethodPost, wire.PathAsk, question, wire.MaxAnswer)
		switch {
		case errors.Is(err, errVersion):
			return "", reason.SidecarVersion
		case err != nil:
			return "", reason.SidecarUnreachable
		}
		return answer, reason.Unspecified
	}
}

func (s *Sidecar) do(ctx context.Context, method, path string, body []byte, limit int64) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://oidc-sidecar"+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set(wire.VersionHeader, wire.Version)
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("the sidecar cannot be reached: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("the sidecar's answer cannot be read: %w", err)
	case res.Header.Get(wire.VersionHeader) != wire.Version:
		return "", errVersion
	case res.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the sidecar answers %s", res.Status)
	case int64(len(text)) > limit:
		return "", fmt.Errorf("the sidecar's answer has more than %d bytes", limit)
	}
	return string(text), nil
}

// inProcess is a transport that calls a handler.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorded{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// recorded is a response that a handler writes.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorded) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorded) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *recorded) Write(p []byte) (int, error) { return w.body.Write(p) }
