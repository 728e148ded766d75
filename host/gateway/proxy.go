package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// upstream is what the filter lets a request through to. The route is chosen
// again when the filter has changed what it depends on, as Envoy does.
func (g *Gateway) upstream(proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := selected(r)
		if s.edited(r) || s.state.byHeader {
			s.entry = s.match(r, new(routing.Request))
		}
		if s.entry == nil {
			reply(w, http.StatusNotFound, "no Route matched with those values")
			return
		}
		if s.entry.NoUpstream {
			reply(w, http.StatusUpgradeRequired, "Please use HTTPS protocol")
			return
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			g.hijacked.Add(1)
			defer g.hijacked.Done()
		}
		w.Header()["Content-Type"] = nil // what the upstream does not say is not guessed
		proxy.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(map[string]string{"message": message}) // of a string: cannot fail
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// rewrite makes the request for the upstream.
func (g *Gateway) rewrite(p *httputil.ProxyRequest) {
	s := selected(p.In)
	path := s.entry.Apply(s.path)
	p.Out.URL = &url.URL{
		Scheme: "http", Host: "upstream", Path: path, RawPath: path,
		RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery,
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		p.Out.URL.Path = decoded
	}
	if p.Out.URL.EscapedPath() != path { // what cannot be said in two parts is said in one
		p.Out.URL.Opaque = path
	}
	p.Out.Host = s.entry.HostHeader
	if s.entry.PreserveHost {
		p.Out.Host = p.In.Host
	}
	if s.entry.Prefix != "" && p.In.Header.Get("X-Forwarded-Prefix") == "" {
		p.Out.Header["X-Forwarded-Prefix"] = []string{s.entry.Prefix}
	}
	// ReverseProxy takes these out of Rewrite's hands; they are ours already.
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
	if _, ok := p.In.Header["User-Agent"]; !ok {
		p.Out.Header["User-Agent"] = nil // net/http would add its own
	}
}

// roundTripper sends a request to the cluster of its route.
type roundTripper struct{}

// RoundTrip implements http.RoundTripper.
func (roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	s := selected(r)
	c := s.state.clusters[s.entry.Cluster]
	if c == nil {
		return nil, errNoCluster
	}
	return c.roundTrip(r, s.entry.HostHeader == "" && !s.entry.PreserveHost)
}

var errNoCluster = errors.New("gateway: the route has no cluster")

// upstreamError answers for an upstream that cannot: as Envoy, 503 when there is
// no connection, 504 when it is silent, 502 when it does not speak HTTP.
func (g *Gateway) upstreamError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // the client is gone
	}
	status, message := http.StatusBadGateway, "An invalid response was received from the upstream server"
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, errNoCluster), errors.As(err, &op) && op.Op == "dial":
		status, message = http.StatusServiceUnavailable, "The upstream server cannot be reached"
	case errors.As(err, &timeout) && timeout.Timeout():
		status, message = http.StatusGatewayTimeout, "The upstream server is timing out"
	}
	g.config.Logger.Warn("an upstream failed", "route", selected(r).entry.Name, "status", status, "error", err,
		"request_id", r.Header.Get("X-Request-Id"))
	reply(w, status, message)
}
