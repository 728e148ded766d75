// Package sidecar is the oidc-sidecar: it reads the declarative file, holds its
// secrets and the issuers' keys, and answers the filters.
//
//	declarative file ─► watch.go ─► snapshot ─► publish ─► server ─► filters
//	issuers ─────────► provider ──────────────┘              (Unix socket)
//
// Listeners, none of which serves what another does:
//
//	--listen         filters: bundle, changes, questions   unix socket, 0660
//	--admin-listen   consumers and credentials             loopback, with a token
//	--status-listen  /healthz /readyz /metrics             nothing secret
//
// It runs as a program of its own, or within `sallyport serve` behind the same
// socket and the same contract. Traffic of the data plane never passes it.
package sidecar
