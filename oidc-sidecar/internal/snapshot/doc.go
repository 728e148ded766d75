// Package snapshot compiles a declarative file into what the sidecar serves: the
// bundle for the filters, the plugin instances that may ask, and the credentials
// with their secrets.
//
//	declarative.File ─► Compile ─► Snapshot ─┬─ Bundle(trust records)   to filters
//	                                         ├─ Instance(id)            who asks
//	                                         └─ Credential(key) …       what is asked for
//
// A Snapshot is immutable. Two snapshots of equal files are equal; Changed tells
// which credentials two of them do not have in common.
//
// It does no I/O.
package snapshot
