// Package password hashes the passwords of a file and tries those that come along.
//
//	file ─► Hash ─► argon2id, once for each password
//	request ─► Verify ─┬─ tried before and right: remembered, at once
//	                   └─ else a place in the queue, then the hash is computed
//
// Trying is slow on purpose, so that it is bounded: few hashes are computed at a time,
// few wait, and for one user name fewer still. Whoever floods us with passwords for a
// name keeps others from neither their own first try nor, at all, from what they have
// logged in with before.
package password
