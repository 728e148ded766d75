package portal

import (
	"net"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/portal/internal/adminapi"
)

// AdminConfig is what an admin API works with.
type AdminConfig = adminapi.Config

// NewAdmin returns the admin API, for a listener that belongs to administrators.
func NewAdmin(c AdminConfig) http.Handler { return adminapi.New(c) }

// CheckAdminListen returns why an admin API may not listen at an address: one beyond
// loopback needs a token that somebody has given.
func CheckAdminListen(addr net.Addr, given redact.Secret) error {
	return adminapi.CheckListen(addr, given)
}
