package main

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/host/gateway"
	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// gatewayState puts a file in the gateway's words. public is where the sidecar serves
// identity providers.
func gatewayState(f *declarative.File, public string) (gateway.State, error) {
	s := gateway.State{Table: f.Table(), Clusters: map[string]gateway.ClusterConfig{}}
	if f.Called() {
		c := gateway.ClusterConfig{ConnectTimeout: time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
			Targets: []gateway.Target{{Address: "sidecar", Host: "sidecar", Weight: 1}}}
		if filepath.IsAbs(public) {
			c.Socket = public
		} else {
			c.Targets[0].Address = public
		}
		s.Clusters[declarative.PublicCluster] = c
	}
	for _, r := range f.Routes {
		s.Clusters[r.Service.Cluster()] = clusterOf(r.Service)
	}
	for _, c := range f.Certificates {
		pair, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
		if err != nil {
			return s, err
		}
		s.Certificates = append(s.Certificates, gateway.Certificate{Names: c.SNIs, Cert: pair})
	}
	return s, nil
}

func clusterOf(s *declarative.Service) gateway.ClusterConfig {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	c := gateway.ClusterConfig{
		Retries:        s.Retries,
		ConnectTimeout: ms(s.ConnectTimeout), ReadTimeout: ms(s.ReadTimeout), WriteTimeout: ms(s.WriteTimeout),
		TLS: s.TLS(), ServerName: s.Host, Verify: s.Verify, HTTP2: s.GRPC(),
	}
	for _, ca := range s.CAs {
		c.CAs += ca.Cert + "\n"
	}
	targets := []declarative.Target{{Host: s.Host, Port: s.Port, Weight: 1}}
	if s.Upstream != nil {
		targets, c.LeastConn = s.Upstream.Targets, s.Upstream.LeastConn
	}
	for _, t := range targets {
		c.Targets = append(c.Targets, gateway.Target{
			Address: net.JoinHostPort(t.Host, strconv.Itoa(t.Port)), Host: s.HostHeader(t.Host, t.Port), Weight: t.Weight,
		})
	}
	return c
}

// gatewayListeners returns where the gateway listens: the flag's addresses, else
// the file's, else the default.
func gatewayListeners(flag []string, f *declarative.File) []gateway.Listener {
	list := listeners(flag)
	if list == nil {
		list = f.Settings.Listen
	}
	if list == nil {
		list = []declarative.Listener{{Address: defaultListen}}
	}
	var out []gateway.Listener
	for _, l := range list {
		out = append(out, gateway.Listener{Address: l.Address, TLS: l.TLS})
	}
	return out
}

const defaultListen = "127.0.0.1:8000"
