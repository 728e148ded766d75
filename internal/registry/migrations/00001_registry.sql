-- +goose Up

-- One statement serves SQLite and Postgres. Times are microseconds since 1970, 0 for
-- none; ids are UUIDs; words stand in the place of numbers where people may look.

-- One row. Whoever writes locks it first, so that writers come one after the other and
-- a change with a smaller number is never committed after one with a greater.
CREATE TABLE head (
	one BIGINT PRIMARY KEY CHECK (one = 1),
	seq BIGINT NOT NULL,    -- of the last change
	pruned BIGINT NOT NULL, -- of the last change that is no longer kept
	audit BIGINT NOT NULL   -- of the last audit row
);
INSERT INTO head (one, seq, pruned, audit) VALUES (1, 0, 0, 0);

CREATE TABLE meta (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
);

CREATE TABLE changes (
	seq BIGINT PRIMARY KEY,
	kind TEXT NOT NULL CHECK (kind IN ('consumer', 'credential', 'config')),
	name TEXT NOT NULL
);

CREATE TABLE audits (
	seq BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	actor_kind TEXT NOT NULL,
	actor_id TEXT NOT NULL,
	actor_name TEXT NOT NULL,
	actor_role TEXT NOT NULL,
	actor_remote TEXT NOT NULL,
	action TEXT NOT NULL,
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	detail TEXT NOT NULL
);
CREATE INDEX audits_kind_id ON audits (kind, id, seq);
CREATE INDEX audits_action ON audits (action, seq);
CREATE INDEX audits_actor ON audits (actor_id, seq);
CREATE INDEX audits_at ON audits (at, seq);

-- What the lists of tags in other tables are searched by.
CREATE TABLE tags (
	kind TEXT NOT NULL,
	tag TEXT NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (kind, tag, id)
);
CREATE INDEX tags_id ON tags (kind, id);

CREATE TABLE consumers (
	id TEXT PRIMARY KEY,
	username TEXT,
	username_fold TEXT, -- letters of ASCII small
	custom_id TEXT,
	application BIGINT NOT NULL CHECK (application IN (0, 1)),
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	CHECK (username IS NOT NULL OR custom_id IS NOT NULL)
);
CREATE UNIQUE INDEX consumers_username ON consumers (username);
CREATE UNIQUE INDEX consumers_custom_id ON consumers (custom_id);
CREATE INDEX consumers_username_fold ON consumers (username_fold);

CREATE TABLE keyauths (
	id TEXT PRIMARY KEY,
	consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
	hash TEXT NOT NULL, -- HMAC-SHA256 of the key
	hint TEXT NOT NULL,
	expires BIGINT NOT NULL,
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL
);
CREATE UNIQUE INDEX keyauths_hash ON keyauths (hash);
CREATE INDEX keyauths_consumer ON keyauths (consumer_id, id);

CREATE TABLE basicauths (
	id TEXT PRIMARY KEY,
	consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
	username TEXT NOT NULL,
	hash TEXT NOT NULL, -- of the password, as passhash reads it
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL
);
CREATE UNIQUE INDEX basicauths_username ON basicauths (username);
CREATE INDEX basicauths_consumer ON basicauths (consumer_id, id);

CREATE TABLE jwts (
	id TEXT PRIMARY KEY,
	consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
	iss TEXT NOT NULL, -- Kong calls it key
	algorithm TEXT NOT NULL,
	rsa_public_key TEXT NOT NULL,
	sealed TEXT NOT NULL, -- the secret
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL
);
CREATE UNIQUE INDEX jwts_iss ON jwts (iss);
CREATE INDEX jwts_consumer ON jwts (consumer_id, id);

CREATE TABLE acls (
	id TEXT PRIMARY KEY,
	consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
	grp TEXT NOT NULL,
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL
);
CREATE UNIQUE INDEX acls_consumer_grp ON acls (consumer_id, grp);
CREATE INDEX acls_consumer ON acls (consumer_id, id);
CREATE INDEX acls_grp ON acls (grp, id);

CREATE TABLE developers (
	id TEXT PRIMARY KEY,
	email TEXT NOT NULL,
	email_fold TEXT NOT NULL,
	name TEXT NOT NULL,
	status TEXT NOT NULL CHECK (status IN ('approved', 'requested', 'rejected', 'revoked')),
	issuer TEXT,
	subject TEXT,
	meta TEXT NOT NULL, -- JSON
	search TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	CHECK ((issuer IS NULL) = (subject IS NULL))
);
CREATE UNIQUE INDEX developers_email ON developers (email_fold);
CREATE UNIQUE INDEX developers_subject ON developers (issuer, subject);
CREATE INDEX developers_status ON developers (status, id);

CREATE TABLE applications (
	id TEXT PRIMARY KEY,
	developer_id TEXT NOT NULL REFERENCES developers (id) ON DELETE CASCADE,
	consumer_id TEXT NOT NULL REFERENCES consumers (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	redirect_uri TEXT NOT NULL,
	search TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX applications_name ON applications (developer_id, name);
CREATE UNIQUE INDEX applications_consumer ON applications (consumer_id);
CREATE INDEX applications_developer ON applications (developer_id, id);

CREATE TABLE contracts (
	id TEXT PRIMARY KEY,
	application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	service TEXT NOT NULL, -- its name, or its id where it has none
	status TEXT NOT NULL CHECK (status IN ('approved', 'requested', 'rejected', 'revoked')),
	suspended BIGINT NOT NULL CHECK (suspended IN (0, 1)),
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX contracts_service ON contracts (application_id, service);
CREATE INDEX contracts_application ON contracts (application_id, id);
CREATE INDEX contracts_by_service ON contracts (service, id);
CREATE INDEX contracts_status ON contracts (status, id);

CREATE TABLE entities (
	id TEXT PRIMARY KEY,
	kind TEXT NOT NULL CHECK (kind IN ('services', 'routes', 'plugins')),
	name TEXT,
	-- What these name may stand in the declarative file instead.
	service_id TEXT NOT NULL,
	route_id TEXT NOT NULL,
	consumer_id TEXT NOT NULL,
	sealed TEXT NOT NULL, -- the JSON document: configurations hold secrets
	tags TEXT NOT NULL, -- JSON
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX entities_name ON entities (kind, name);
CREATE INDEX entities_kind ON entities (kind, id);
CREATE INDEX entities_service ON entities (service_id, id);
CREATE INDEX entities_route ON entities (route_id, id);
CREATE INDEX entities_consumer ON entities (consumer_id, id);

CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	hash TEXT NOT NULL, -- HMAC-SHA256 of the token
	roles TEXT NOT NULL, -- separated by blanks
	expires BIGINT NOT NULL,
	created BIGINT NOT NULL,
	last_used BIGINT NOT NULL
);
CREATE UNIQUE INDEX tokens_name ON tokens (name);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
