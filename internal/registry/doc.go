// Package registry keeps what people enter while the gateway runs in a database, SQLite
// or Postgres: consumers and their credentials, developers, applications and contracts,
// services, routes and plugins, admin tokens, and who has done what.
package registry
