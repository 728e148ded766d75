package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/publish"
)

// NewPublic returns what identity providers may call, and nothing else (D9). It is
// reached from outside, through the proxy:
//
//	POST /.sallyport/{instance}/backchannel_logout   OIDC Back-Channel Logout §2.5
//	GET  /.sallyport/{instance}/jwks                 keys of private_key_jwt (RFC 7517 §5)
func NewPublic(publisher *publish.Publisher, logins *login.Service, keys *endpoint.ClientKeys, registry prometheus.Registerer) http.Handler {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sallyport_sidecar_backchannel_logouts_total", Help: "Logout tokens of identity providers, by outcome.",
	}, []string{"outcome"})
	registry.MustRegister(outcomes)
	mux := http.NewServeMux()
	slots := make(chan struct{}, maxPublic)
	mux.HandleFunc("POST "+declarative.ReservedPrefix+"{instance}/backchannel_logout", func(w http.ResponseWriter, r *http.Request) {
		in := publisher.LoginByPath(r.PathValue("instance"))
		if in == nil {
			http.NotFound(w, r)
			return
		}
		p := publisher.Provider(in.Trust)
		if p == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		outcomes.WithLabelValues(logins.BackChannel(w, r, in, p).Error()).Inc()
	})
	mux.HandleFunc("GET "+declarative.ReservedPrefix+"{instance}/jwks", func(w http.ResponseWriter, r *http.Request) {
		if !usesKeys(publisher, r.PathValue("instance")) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(keys.JWKS()) // whoever asked may be gone
	})
	return mux
}

// usesKeys reports whether the plugin of a path has an issuer that verifies our client
// by its keys.
func usesKeys(publisher *publish.Publisher, public string) bool {
	if in := publisher.LoginByPath(public); in != nil && in.Login().ClientAuth == "private_key_jwt" {
		return true
	}
	in := publisher.InquiryByPath(public)
	return in != nil && in.Inquiry().UsesKeys()
}

// maxPublic bounds the logout tokens that are judged at a time.
const maxPublic = 32
