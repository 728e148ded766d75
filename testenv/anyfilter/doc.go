// Package anyfilter holds the Go host against Envoy: the same modules, the same
// requests, in both, and what can be seen has to be the same.
package anyfilter
