package portal

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// canonical sends browsers to the origin that the portal is meant to be reached by.
// Cookies belong to a host: a login that begins at 127.0.0.1 and comes back to
// localhost would not be found again. It also keeps other hosts' names, which anybody
// may point here, from being a portal (DNS rebinding).
//
// authPort is the port of the listener for the way back from the identity provider;
// pages are not shown there. It is "" where there is one origin for both.
func canonical(w where, hosts []string, authPort string, next http.Handler) http.Handler {
	callback := "/" + w.workspace + "/auth"
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host := strings.ToLower(strings.Trim(r.Host, "[]"))
		known := slices.Contains(hosts, host)
		auth := authPort != "" && r.Header.Get("X-Forwarded-Port") == authPort && r.URL.Path != callback &&
			!strings.HasSuffix(r.URL.Path, "/kong") && !strings.HasPrefix(r.URL.Path, "/.sallyport/") && !called(r.URL)
		switch {
		case known && !auth:
			next.ServeHTTP(rw, r)
		case strings.HasPrefix(r.URL.Path, "/.sallyport/"):
			next.ServeHTTP(rw, r) // for identity providers, which may know us by another name
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			to := "/" + strings.TrimLeft(r.RequestURI, "/")
			rw.Header().Set("Cache-Control", "no-store")
			rw.Header().Set("Location", w.url+to)
			rw.WriteHeader(http.StatusFound)
		default:
			http.Error(rw, "This portal is at "+w.home()+".", http.StatusMisdirectedRequest)
		}
	})
}

// called reports whether an identity provider has sent the browser here: redirect_uri
// may have a path of its own.
func called(u *url.URL) bool {
	q := u.Query()
	return q.Has("state") && (q.Has("code") || q.Has("error"))
}

// named lets requests to administrators' pages through that come for a name of this
// machine, or one of hosts: a page in a browser cannot come here by DNS rebinding. A host
// with a port is that port alone.
func named(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
		allowed := strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback() ||
			slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, r.Host) || strings.EqualFold(h, name) })
		if !allowed {
			http.Error(w, "There is nothing here by that name: expected one of this machine, or of admin_hosts.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
