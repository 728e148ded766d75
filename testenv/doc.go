// Package testenv holds what tests of more than one package need: finding and
// building the parts, skipping aloud what cannot be had, waiting without sleeping.
//
// Its folders are the parts themselves:
//
//	echo         an upstream that says what it received
//	idp          an OpenID provider, well-behaved or not
//	tokens       keys and JWTs, right ones and wrong ones
//	envoy        a real Envoy
//	keycloak     a real Keycloak
//	oidcprovider a real oidc-provider, of Node.js
//	browser      a real Chromium
//	postgres     a real Postgres
//	stack        a declarative file at work in one of the two hosts
//	vectors      cases as data: requests and what has to come of them
//	abi          holds the Go host against Envoy, hostcall by hostcall
//	conformance  runs what every host has to do against a stack
//	bench        measures both hosts beside their peers
//
// Nothing here is imported by code that ships, but for the demo.
package testenv
