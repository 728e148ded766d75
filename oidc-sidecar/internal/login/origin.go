package login

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/wire"
)

// origin returns scheme, host and port that the browser used, as it would write
// them: https://api.example. Forwarded headers count only from a proxy that is
// trusted; else it is the Host header and the port of the connection (D16). It is ""
// where that names no host: an address is made of it.
func (in *Instance) origin(r *wire.Request) string {
	host, port := r.Authority, strconv.FormatInt(r.Port, 10)
	if r.Port == 0 {
		port = ""
	}
	if r.Trusted || in.trusts(r.Peer) {
		own := port
		port = ""
		if r.ForwardedHost != "" {
			host, _, _ = strings.Cut(r.ForwardedHost, ",")
			host = strings.TrimSpace(host)
			if h, p, err := net.SplitHostPort(host); err == nil {
				if _, err := strconv.ParseUint(p, 10, 16); err != nil {
					return ""
				}
				host, port = h, p
			}
		}
		if n, err := strconv.ParseUint(r.ForwardedPort, 10, 16); port == "" && err == nil && r.ForwardedPort != own {
			port = strconv.FormatUint(n, 10)
		}
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if !hostName(host) {
		return ""
	}
	if port != "" && port != map[string]string{"http": "80", "https": "443"}[r.Scheme] {
		host = strings.ToLower(host) + ":" + port
	}
	return r.Scheme + "://" + strings.ToLower(host)
}

// hostName reports whether a text is a host as it stands in addresses: a name, or an IP
// address.
func hostName(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(s, "]")
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// trusts reports whether forwarded headers of a client are believed.
func (in *Instance) trusts(peer string) bool {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		pair, err := netip.ParseAddrPort(peer)
		if err != nil {
			return false
		}
		addr = pair.Addr()
	}
	addr = addr.Unmap()
	for _, p := range in.TrustedIPs {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// hostAllowed reports whether a login by this origin may begin on a route: one that
// has hosts takes no other, whatever a proxy says of where a request came from.
func (in *Instance) hostAllowed(route, origin string) bool {
	if origin == "" {
		return false
	}
	hosts := in.Hosts[route]
	if len(hosts) == 0 {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := u.Hostname()
	for _, h := range hosts {
		h = strings.ToLower(h)
		switch {
		case h == name:
			return true
		case strings.HasPrefix(h, "*") && strings.HasSuffix(name, h[1:]):
			return true
		case strings.HasSuffix(h, "*") && strings.HasPrefix(name, h[:len(h)-1]):
			return true
		}
	}
	return false
}

// redirectURI is where the identity provider sends the browser back: the configured
// address, of several the one with the browser's host, else the address that was
// asked for, without its query (S0-03).
func (in *Instance) redirectURI(r *wire.Request, origin string) string {
	list := in.Login().RedirectURIs
	for _, uri := range list {
		if u, err := url.Parse(uri); err == nil && u.Scheme+"://"+strings.ToLower(u.Host) == origin {
			return uri
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	path, _, _ := strings.Cut(r.Path, "?")
	return origin + local(path)
}

// local returns a target as a path on this host: //evil.example is none.
func local(target string) string { return "/" + strings.TrimLeft(target, "/\\") }

// returnURL is the address that was asked for, where a login ends.
func returnURL(r *wire.Request, origin string) string {
	target := local(r.Path)
	if len(target) > maxReturn {
		if target, _, _ = strings.Cut(target, "?"); len(target) > maxReturn {
			target = "/"
		}
	}
	return origin + target
}

// maxReturn bounds an address that a flow's cookie holds.
const maxReturn = 1500
