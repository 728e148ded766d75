// Package registry keeps in a database, SQLite or Postgres, what people enter while the
// gateway runs. It knows what may be stored and what goes together; who may do what is
// known elsewhere.
//
//	consumers ◄─┬─ keyauths     hash of the key, keyed
//	     ▲      ├─ basicauths   hash of the password
//	     │      ├─ jwts         the secret, sealed
//	     │      └─ acls         one row for each group
//	     │ 1:1
//	applications ──► developers
//	     ▲
//	contracts ─ ─ ► a service, by its name or, without one, its id: of the declarative
//	                file, or among the entities
//
//	entities        services, routes, plugins: JSON documents, sealed
//	tokens          of the admin API: hash of the token, keyed
//	tags            what the lists of tags in consumers, credentials and entities are found by
//	changes         what followers have to forget; the last ones
//	audits          who has done what; all of it
//	head            numbers of the last change and the last audit row; the lock of writers
//	meta            what tells a wrong installation secret
//	sallyport_schema  the version of all this (migrations/)
//
// ► is a foreign key: what belongs to something goes with it. An application has a
// consumer of its own, whose custom id is the client id at the identity provider, so that
// a token leads to the consumer, the consumer to its contracts (Identity), and everything
// that the data plane asks is one consumer.
//
// # Writes
//
// A write takes the row of head first (SQLite: BEGIN IMMEDIATE, Postgres: FOR UPDATE), so
// that writers come one after the other, in this process and all others. It commits its
// rows, its changes and its audit row together or not at all, and is on disk when it is
// acknowledged. Numbers of changes are therefore in the order of commits: a follower who
// has seen one has seen all before it. Reading waits for nobody.
//
// # Changes
//
// Every write that the answers of the data plane depend on leaves changes, by the names
// that filters remember things by: id, user name and custom id of a consumer, old and
// new, and the credentials of it, since filters remember the consumer with each of them.
// Followers poll Changes. What they cannot be told of any more is a gap, upon which they
// forget everything.
//
// # Secrets
//
// All keys come of the installation secret by HKDF (RFC 5869), each for one purpose. API
// keys and admin tokens, which are random, are found by HMAC-SHA256; passwords are hashed
// by argon2id; jwt secrets and documents of entities, which may hold clients' secrets, are
// sealed by XChaCha20-Poly1305 for their table, column and row. No error and no audit row
// holds one of them.
package registry
