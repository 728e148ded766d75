// Package real holds tests against servers of others, really started. They are
// built with the tag real and run by make test-real:
//
//	keycloak_test.go  one Keycloak for all: the example, what it refuses
//	tokens_test.go    Keycloak's tokens as it makes them by default, and by each algorithm
//	registry_test.go  a registry on Postgres, which stops and starts
//	keys_test.go      keys rotated, withdrawn, asked for in a flood, and out of reach
package real
