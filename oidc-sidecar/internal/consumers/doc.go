// Package consumers finds whose a name, a key, a user name or an API key is: in the
// declarative file, and then in the registry, where there is one.
//
//	file ─────► snapshot ──┐
//	                       ├─► Finder ─► server ─► filters
//	registry ─────────────┘      │
//	   change log, every 200 ms ─┴─► publish: the feed, so that filters forget
//
// The file comes first: nothing that is written into a database changes who somebody of
// the file is. While the registry does not answer, whoever would have to be looked up in
// it gets reason.RegistryUnavailable; what filters remember goes on for as long as their
// rules say. Only a registry that says so makes somebody nobody.
package consumers
