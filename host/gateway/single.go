package gateway

import (
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// Time-outs towards the upstream of a Single state.
const (
	singleConnectTimeout = 5 * time.Second
	singleSilence        = 60 * time.Second
)

const singleCluster = "upstream"

var errUpstream = errors.New("expected http://HOST[:PORT] or https://HOST[:PORT], without a path")

// Single returns a State with one route, which every request takes, to one
// upstream: http://HOST[:PORT] or https://HOST[:PORT], whose certificate has to be
// one that the system trusts. As in Envoy unless told otherwise, the path and the
// client's Host header are sent on, or what the filter has made of them.
func Single(upstream string) (State, error) {
	u, err := url.Parse(upstream)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return State{}, errUpstream
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	return State{
		Table: &routing.Table{Entries: []*routing.Entry{{
			Name: singleCluster, Path: routing.Path{Prefix: "/"}, Cluster: singleCluster, PreserveHost: true,
		}}},
		Clusters: map[string]ClusterConfig{singleCluster: {
			Targets:        []Target{{Address: address, Host: u.Host, Weight: 1}},
			ConnectTimeout: singleConnectTimeout, ReadTimeout: singleSilence, WriteTimeout: singleSilence,
			TLS: u.Scheme == "https", ServerName: u.Hostname(), Verify: true,
		}},
	}, nil
}
