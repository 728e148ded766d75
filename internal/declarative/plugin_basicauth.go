package declarative

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/passhash"
)

// BasicAuthConfig is the configuration of the basic-auth plugin
// (kong/plugins/basic-auth/schema.lua).
type BasicAuthConfig struct {
	HideCredentials bool
	Anonymous       *Consumer
	Realm           string
	RunOnPreflight  bool // beyond Kong

	anonymous ref
}

func (p *parser) basicAuthConfig(v, config, shared at) *BasicAuthConfig {
	c := &BasicAuthConfig{Realm: "service", RunOnPreflight: true}
	p.config(v, config, shared, p.known("basic-auth", fields{
		"hide_credentials": p.bool(&c.HideCredentials),
		"anonymous":        p.reference(&c.anonymous),
		"realm":            p.text(&c.Realm, notEmpty, printable),
		"run_on_preflight": p.bool(&c.RunOnPreflight),
	}))
	return c
}

// Password is a credential of the basic-auth plugin. The password itself is not kept.
type Password struct {
	Entity
	Consumer *Consumer
	Username string
	// Hash is what passhash reads; "" where the file has the password, and was read
	// without Options.Hash.
	Hash string

	plain    string // until resolvePasswords
	consumer ref
}

// Bounds on what RFC 7617 can carry within the filter's bound on the header.
const (
	maxUsername = 255
	maxPassword = 1024
)

// kongHash is what Kong keeps of a password: SHA-1 of it and the consumer's id, in hex.
var kongHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// password reads a credential; consumer is the one it is nested in.
func (p *parser) password(v at, consumer *Consumer) {
	c := &Password{Consumer: consumer}
	known := p.entity(v, &c.Entity, fields{
		"username": p.text(&c.Username, notEmpty, printable, username),
		"password": p.passwordText(c),
		"tags":     p.texts(&c.Tags),
	})
	if consumer == nil {
		known["consumer"] = p.reference(&c.consumer)
	}
	before := p.errors
	if !p.record(v, known) {
		return
	}
	if consumer == nil && !c.consumer.set {
		p.fail(v, "has no consumer")
	}
	if p.errors > before {
		return
	}
	if c.Username == "" {
		p.fail(v, "has no username")
	}
	if c.Hash == "" && c.plain == "" {
		p.fail(v, "has no password: expected a password, or its hash ($argon2id$…, $2b$…)")
	}
	p.file.Passwords = append(p.file.Passwords, c)
}

// username is a check (RFC 7617 §2: the colon ends it).
func username(s string) string {
	if strings.Contains(s, ":") {
		return "has a colon, where the password would begin"
	}
	return maxLength(maxUsername)(s)
}

// passwordText reads a password or its hash.
func (p *parser) passwordText(c *Password) reader {
	return func(v at) {
		var s string
		p.secret(&s, notEmpty, printable, maxLength(maxPassword))(v)
		switch {
		case s == "":
		case passhash.Looks(s):
			h, err := passhash.Parse(s)
			if err != nil {
				p.fail(v, "%s", err)
				return
			}
			if c.Hash = s; h.Weak() {
				p.note(weakPasswordHash, v, "is a hash that is cheap to try: whoever has the file finds the password sooner")
			}
		case kongHash.MatchString(s):
			p.note(unsupported, v, "is not supported: it looks like Kong's hash of a password (SHA-1), which is too cheap to try: "+
				"write the password itself, or its hash by argon2id or bcrypt ($argon2id$…, $2b$…)")
		case p.hashed:
			p.fail(v, "is no hash, and _transform is false, which says that passwords are: expected $argon2id$… or $2b$…, or _transform: true")
		default:
			if c.plain = s; v.node.Kind == yaml.ScalarNode && v.node.Value == s {
				p.note(plainPassword, v, "is the password itself: whoever may read the file has it")
			}
		}
	}
}

// resolvePasswords gives passwords their consumers and ids, finds user names that are
// there twice, and puts hashes in the place of passwords.
func (p *parser) resolvePasswords() {
	ids := index[*Password]{p: p, what: "basicauth_credentials"}
	names := index[*Password]{p: p, what: "basicauth_credentials' usernames"}
	var users, plain []string
	for _, c := range p.file.Passwords {
		if c.consumer.set {
			c.Consumer = p.owner(c.consumer)
		}
		if c.ID == "" {
			c.ID = kongID("basicauth_credentials", c.Username)
		}
		if names.add(c.Entity, c, c.Username) {
			ids.add(c.Entity, c, c.ID)
		}
		if c.plain != "" {
			users, plain = append(users, c.Username), append(plain, c.plain)
		}
	}
	var hashes []string
	if p.options.Hash != nil && p.errors == 0 {
		hashes = p.options.Hash(users, plain)
	}
	for _, c := range p.file.Passwords {
		if c.plain != "" && len(hashes) > 0 {
			c.Hash, hashes = hashes[0], hashes[1:]
		}
		c.plain = ""
	}
}

// hashedPasswords reads _transform, which says whether passwords of the file are still
// to be hashed.
func (p *parser) hashedPasswords(root at) bool {
	transform := true
	for i := 0; i+1 < len(root.node.Content); i += 2 {
		if root.node.Content[i].Value == "_transform" {
			if v, ok := p.resolve(at{root.node.Content[i+1], "_transform"}); ok {
				p.bool(&transform)(v)
			}
		}
	}
	return !transform
}
