//go:build real

// Package logins holds tests of logins in a real Chromium, in both hosts. They are
// built with the tag real and run by make test-real:
//
//	descope_test.go       examples/descope, with the test provider in Descope's shape
//	okta_test.go          examples/okta, with the test provider in Okta's shape
//	okta_sessions_test.go the same: over TLS, at two subdomains, and for bearer tokens
//	keycloak_test.go      examples/keycloak-login, with a Keycloak that is really started
//	keycloak_more_test.go the same: TLS, groups, logout and refresh with Keycloak's own settings
//	browser_test.go       what people and browsers do: tabs, the back button, no cookies
//	ahead_test.go         what browsers fetch ahead, and HEAD
//	late_test.go          signing in too late
//	pages_test.go         the pages that people see, at two widths, by day and by night
//	oidcprovider_test.go  the certified oidc-provider, with each client authentication
//
// Who signs in fills in the provider's own form. What is asserted is what the browser
// was answered, what the upstream received and what the provider was asked.
package logins
