package portal

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/version"
)

// listenerShown is a listener as Kong's node information shows one.
type listenerShown struct {
	IP       string `json:"ip"`
	Port     int    `json:"port"`
	SSL      bool   `json:"ssl"`
	Listener string `json:"listener"`
}

func shownListeners(list []declarative.Listener) []listenerShown {
	out := []listenerShown{}
	for _, l := range list {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			continue // the parser has read it
		}
		n, _ := strconv.Atoi(port) // likewise
		s := listenerShown{IP: host, Port: n, SSL: l.TLS, Listener: l.Address}
		if l.TLS {
			s.Listener += " ssl"
		}
		out = append(out, s)
	}
	return out
}

// ports answers GET /WORKSPACE/kong, by which the article has people find the ports of
// portal and portal auth (S3-12): the part of Kong's node information about the portal.
// All of it is in the addresses of the portal's own pages, so that anybody may see it.
func ports(s *declarative.Portal, w where, autoApprove func() bool) http.Handler {
	on := func(b bool) string {
		if b {
			return "on"
		}
		return "off"
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(map[string]any{
			"version": version.String(),
			"tagline": "Sallyport developer portal",
			"configuration": map[string]any{
				"portal":               true,
				"portal_gui_url":       w.url,
				"portal_gui_listeners": shownListeners(s.GUI),
				"portal_api_url":       w.auth,
				"portal_api_listeners": shownListeners(s.API),
				"portal_auth":          s.Auth,
				"portal_app_auth":      s.AppAuth,
				"portal_auto_approve":  on(autoApprove()),
				"redirect_uri":         w.callback(),
			},
		})
		if err != nil {
			http.Error(rw, "The ports cannot be shown.", http.StatusServiceUnavailable)
			return
		}
		h := rw.Header()
		h.Set("Content-Type", "application/json; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = rw.Write(body) // the client may be gone
	})
}
