package explain

import (
	"strconv"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Names of the checks of key-auth and basic-auth, beside those of the others.
const (
	checkAPIKey   = "API key"
	checkPassword = "password"
	checkExpiry   = "expiry"
)

// keyAuthChecks are the checks of policy/keyauth.go.
func (v *verdict) keyAuthChecks() []Check {
	list := []Check{v.found(), {Name: checkForm, Detail: "visible ASCII, at most 512 bytes"}, {Name: checkAPIKey}, {Name: checkExpiry}, {Name: checkConsumer}}
	if c := v.presented(wire.APIKey); c != nil {
		list[2].Detail = "credential " + c.ID
		list[4].Detail = consumer(c.Consumer)
		if c.Expires != 0 {
			list[3].Detail = "ends " + instant(c.Expires) + ", now " + instant(v.driver.request.Now)
		}
	}
	return list
}

// basicAuthChecks are the checks of policy/basic.go.
func (v *verdict) basicAuthChecks() []Check {
	list := []Check{v.found(), {Name: checkForm, Detail: "base64 of user name, colon and password"}, {Name: checkPassword}, {Name: checkConsumer}}
	if len(v.places) == 1 {
		if user := policy.UserOf(v.places[0].Token); user != "" {
			list[2].Detail = "of the user name " + strconv.Quote(user)
		}
	}
	if c := v.presented(wire.Password); c != nil {
		list[3].Detail = consumer(c.Consumer)
	}
	return list
}

// failingSecret returns the check that key-auth or basic-auth refuses for.
func (v *verdict) failingSecret() string {
	known := checkAPIKey
	if v.plugin.BasicAuth != nil {
		known = checkPassword
	}
	switch v.cause {
	case reason.CredentialMissing, reason.CredentialMultiple:
		return checkCredential
	case reason.CredentialMalformed:
		return checkForm
	case reason.CredentialExpired:
		return checkExpiry
	case reason.ConsumerUnknown:
		return checkConsumer
	}
	return known
}
