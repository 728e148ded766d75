package pages

// Service is what developers are offered: a service of the declarative file that has
// application-registration.
type Service struct {
	Key         string // names it in contracts: the service's name, or its id
	Name        string // display_name
	Description string
	AutoApprove bool
	ShowIssuer  bool
	// Issuers are those of the openid-connect plugin, whose tokens are taken.
	Issuers []string
	// Direct is whether client id and secret may be sent to the service itself
	// (auth_methods has client_credentials).
	Direct bool
	Scopes []string // that tokens need
	URL    string   // where it is called
}

// catalogue is what is offered at the moment.
type catalogue []Service

func (c catalogue) find(key string) (Service, bool) {
	for _, s := range c {
		if s.Key == key {
			return s, true
		}
	}
	return Service{}, false
}

// nameOf returns a service's name for people, or its key when it is no longer offered.
func (c catalogue) nameOf(key string) string {
	if s, ok := c.find(key); ok {
		return s.Name
	}
	return key
}
