package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrLocal is why an endpoint is not asked: it is on this machine, on this link, or
// where a cloud tells a machine its secrets, and the issuer is not. A discovery document
// must not make us ask what only we can reach (server-side request forgery).
var ErrLocal = errors.New("the endpoint is on a loopback or link-local address or a cloud's metadata service, and the issuer is not")

// NewClient returns a client for an issuer: no redirects, which could lead
// anywhere, TLS from 1.2, everything bounded in time, and no connections to this
// machine unless the issuer is there.
func NewClient(c Config) *http.Client {
	home := hostOf(c.Issuer)
	if home == "" {
		home = hostOf(c.JWKSURI)
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !c.Verify}, //nolint:gosec // ssl_verify: false, warned about
		TLSHandshakeTimeout:    c.Timeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	if !isLocalName(home) && os.Getenv("HTTPS_PROXY")+os.Getenv("HTTP_PROXY")+os.Getenv("https_proxy")+os.Getenv("http_proxy") == "" {
		transport.DialContext = guarded(home, c.Timeout)
	}
	return &http.Client{
		Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: transport,
	}
}

// guarded dials the issuer's own host wherever it is, and others where it may. The
// address is looked at after the name has been resolved, so that no name leads
// around the rule.
func guarded(home string, timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	free := &net.Dialer{Timeout: timeout}
	strict := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		if ip, err := netip.ParseAddrPort(address); err != nil || isLocal(ip.Addr()) {
			return ErrLocal
		}
		return nil
	}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(addr); err == nil && strings.EqualFold(host, home) {
			return free.DialContext(ctx, network, addr)
		}
		return strict.DialContext(ctx, network, addr)
	}
}

func isLocal(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() || slices.Contains(machineServices, ip)
}

// machineServices are where clouds tell a machine its secrets, beside 169.254.169.254,
// which is link-local: Amazon's over IPv6, Alibaba's, Oracle's, Azure's.
var machineServices = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
}

// isLocalName reports whether a host is this machine by what it is called.
func isLocalName(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && isLocal(ip)
}

func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
