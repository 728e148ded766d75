package portal

import (
	"net/http"
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
