package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// ReservedPrefix is the path under which identity providers reach the sidecar: it
// belongs to no route of the file (D9).
const ReservedPrefix = "/.sallyport/"

// PublicCluster is how both hosts name what serves the reserved paths.
const PublicCluster = "sallyport_public"

// Called reports whether identity providers may call us: to end sessions, or for the keys
// that our client signs with.
func (f *File) Called() bool {
	return slices.ContainsFunc(f.Plugins, func(p *Plugin) bool {
		return p.OIDC != nil && (p.OIDC.Login != nil || p.OIDC.Inquiry != nil && p.OIDC.Inquiry.UsesKeys())
	})
}

// UsesKeys reports whether our client signs with a key of ours, at one endpoint at least.
func (i *Inquiry) UsesKeys() bool {
	const method = "private_key_jwt"
	return i.ClientAuth == method || i.IntrospectionAuth == method
}

// ReservedName is what the proxy reports of the reserved paths.
func (f *File) ReservedName() string {
	sum := sha256.Sum256([]byte(ReservedPrefix))
	return "sallyport-reserved." + hex.EncodeToString(sum[:6])
}

// reserved is the entry of the reserved paths, which comes before all routes.
func (f *File) reserved() *routing.Entry {
	return &routing.Entry{
		Name: f.ReservedName(), Path: routing.Path{Prefix: ReservedPrefix}, Cluster: PublicCluster, PreserveHost: true,
		ReadTimeout: 30000, WriteTimeout: 30000,
	}
}

// PublicName is what paths for identity providers call a plugin. It stays the same
// when the plugin's configuration changes: a provider has it in its own.
func (p *Plugin) PublicName() string {
	if p.InstanceName != "" {
		return p.InstanceName
	}
	return p.EntityID()
}

// EntityID returns the plugin's id or, where it has none, the one that it is known by as
// long as it stays where it is.
func (p *Plugin) EntityID() string {
	if p.ID != "" {
		return p.ID
	}
	where := "everywhere"
	switch {
	case p.Route != nil:
		where = "route:" + firstNonEmpty(p.Route.Name, p.Route.ID)
	case p.Service != nil:
		where = "service:" + firstNonEmpty(p.Service.Name, p.Service.ID)
	}
	return kongID("plugins", p.Name+":"+where)
}
