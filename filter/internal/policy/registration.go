package policy

import (
	"slices"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// registration is the application-registration plugin: who calls has to be an
// application that has a contract with the service. Its contracts came with its
// consumer, so that whatever makes the machine forget one makes it forget the other.
// The anonymous consumer never passes: nobody has a contract with everybody.
func (r *run) registration(c *bundle.Registration) reason.Code {
	who := &r.who
	switch {
	case !who.authenticated:
		return reason.CredentialMissing
	case who.consumer == nil:
		return reason.ApplicationUnknown
	case !who.consumer.Application && c.Consumers:
		return reason.Allowed
	case !who.consumer.Application:
		return reason.ConsumerRefused
	case !slices.Contains(who.consumer.Contracts, c.Service):
		return reason.ContractMissing
	}
	who.permitted = true
	return reason.Allowed
}
