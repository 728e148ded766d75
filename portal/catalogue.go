package portal

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/portal/internal/pages"
)

// shelf has the services that are offered at the moment. It is replaced as a whole.
type shelf struct {
	list atomic.Pointer[[]pages.Service]
}

func (s *shelf) put(list []pages.Service) { s.list.Store(&list) }

func (s *shelf) get() []pages.Service {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

// offer is what a file offers: its enabled services with application-registration.
// gateway is the origin by which they are called.
func offer(f *declarative.File, gateway string) []pages.Service {
	var out []pages.Service
	for _, s := range f.Services {
		pl := f.Registration(s)
		if pl == nil || !s.Enabled {
			continue
		}
		c := pl.Registration
		one := pages.Service{Key: s.Key(), Name: c.DisplayName, Description: c.Description, AutoApprove: c.AutoApprove, ShowIssuer: c.ShowIssuer,
			Issuers: f.Issuers(s)}
		for _, r := range f.Routes {
			if r.Service != s {
				continue
			}
			if one.URL == "" {
				one.URL = addressOf(r, gateway)
			}
			for _, plugin := range f.Chain(r) {
				if plugin.OIDC != nil {
					one.Direct = one.Direct || slices.Contains(plugin.OIDC.Methods, "client_credentials")
					one.Scopes = append(one.Scopes, scopesOf(plugin.OIDC)...)
				}
			}
		}
		slices.Sort(one.Scopes)
		one.Scopes = slices.Compact(one.Scopes)
		if one.URL == "" {
			one.URL = gateway + "/"
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b pages.Service) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return out
}

// scopesOf are the scopes of the first alternative that a plugin asks for.
func scopesOf(c *declarative.OIDCConfig) []string {
	for _, r := range c.Required {
		if r.What == "scopes" && len(r.Any) > 0 {
			return strings.Fields(r.Any[0])
		}
	}
	return nil
}

// addressOf is how a route is called: by the first host and path of its that are no
// patterns.
func addressOf(r *declarative.Route, gateway string) string {
	u, err := url.Parse(gateway)
	if err != nil {
		return gateway
	}
	for _, host := range r.Hosts {
		if !strings.Contains(host, "*") {
			if port := u.Port(); port != "" && !strings.Contains(host, ":") {
				host = net.JoinHostPort(host, port)
			}
			u.Host = host
			break
		}
	}
	u.Path = "/"
	for _, p := range r.Paths {
		if p.Regex == nil {
			u.Path = p.Prefix
			break
		}
	}
	return u.String()
}

// gatewayURL is where services are called: as the settings say, else the file's first
// listener, else the gateway's default.
func gatewayURL(p *declarative.Portal, f *declarative.File) string {
	if p.GatewayURL != "" {
		return strings.TrimSuffix(p.GatewayURL, "/")
	}
	if len(f.Settings.Listen) > 0 {
		if origin, err := originOf(f.Settings.Listen[0]); err == nil {
			return origin
		}
	}
	return "http://localhost:8000"
}
