package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/identity"
)

// KeyAuthConfig is the configuration of the key-auth plugin
// (kong/plugins/key-auth/schema.lua).
type KeyAuthConfig struct {
	KeyNames    []string
	KeyInHeader bool
	// KeyInQuery is false unless it is set; Kong's default is true
	// (docs/differences-from-kong.md).
	KeyInQuery      bool
	HideCredentials bool
	Anonymous       *Consumer
	Realm           string
	RunOnPreflight  bool

	anonymous ref
}

// HeaderNames and QueryNames are where keys are looked for.
func (c *KeyAuthConfig) HeaderNames() []string {
	if !c.KeyInHeader {
		return nil
	}
	return lower(c.KeyNames)
}

func (c *KeyAuthConfig) QueryNames() []string {
	if !c.KeyInQuery {
		return nil
	}
	return c.KeyNames
}

func (p *parser) keyAuthConfig(v, config, shared at) *KeyAuthConfig {
	c := &KeyAuthConfig{KeyNames: []string{"apikey"}, KeyInHeader: true, RunOnPreflight: true}
	where := p.config(v, config, shared, p.known("key-auth", fields{
		"key_names":        p.texts(&c.KeyNames, keyName),
		"key_in_header":    p.bool(&c.KeyInHeader),
		"key_in_query":     p.bool(&c.KeyInQuery),
		"hide_credentials": p.bool(&c.HideCredentials),
		"anonymous":        p.reference(&c.anonymous),
		"realm":            p.text(&c.Realm, printable),
		"run_on_preflight": p.bool(&c.RunOnPreflight),
	}))
	if p.failedAt(v.path) {
		return c
	}
	if len(c.KeyNames) == 0 || !c.KeyInHeader && !c.KeyInQuery {
		p.fail(v, "has no place to look for a key: expected key_names, and key_in_header or key_in_query to be true")
	}
	if c.KeyInQuery {
		p.note(keyInQuery, where.of("key_in_query"), "is true: keys that come in the query end up in logs, histories and referrers")
		if c.HideCredentials {
			p.note(unsupported, where.of("hide_credentials"), "is not supported together with key_in_query: a path that is edited "+
				"could be another route's, so that the upstream gets the query as it came")
		}
	}
	return c
}

// keyName is a check for the name of a header or parameter with a key
// (typedefs.header_name).
func keyName(s string) string {
	if wrong := headerName(s); wrong != "" {
		return wrong
	}
	switch strings.ToLower(s) {
	case "host", "cookie", "connection", "content-length", "content-type", "te", "transfer-encoding", "upgrade", "x-request-id":
		return "is a header that means something else"
	}
	if identity.IsHeader(s) || strings.HasPrefix(strings.ToLower(s), "x-forwarded-") {
		return "is a header that the gateway writes itself"
	}
	return ""
}

// APIKey is a credential of the key-auth plugin. The key itself is not kept.
type APIKey struct {
	Entity
	Consumer *Consumer
	Hash     [sha256.Size]byte // of the key
	Expires  int64             // Unix seconds, 0 for never

	consumer ref
}

// maxKey bounds a key, in bytes; the filter looks at none that is longer. shortKey is
// the length from which nobody finds one by trying.
const (
	maxKey   = 512
	shortKey = 16
)

// maxTime is the end of the year 9999, in Unix seconds.
const maxTime = 253402300799

// apiKey reads a credential; consumer is the one it is nested in.
func (p *parser) apiKey(v at, consumer *Consumer) {
	k := &APIKey{Consumer: consumer}
	var key, hash string
	var written, ttl at
	var created, seconds int64
	known := p.entity(v, &k.Entity, fields{
		"key": func(v at) {
			written = v
			p.secret(&key, notEmpty, apiKeyText)(v)
		},
		"tags": p.texts(&k.Tags),
		"ttl": func(v at) {
			ttl = v
			p.int(&seconds, 0, 100000000)(v)
		},

		// Beyond Kong.
		"key_hash":   p.secret(&hash, keyHash),
		"expires_at": p.time(&k.Expires),
	})
	known["created_at"] = p.time(&created)
	if consumer == nil {
		known["consumer"] = p.reference(&k.consumer)
	}
	before := p.errors
	if !p.record(v, known) {
		return
	}
	if consumer == nil && !k.consumer.set {
		p.fail(v, "has no consumer")
	}
	if p.errors > before {
		return
	}
	switch {
	case key != "" && hash != "":
		p.fail(v, "has key and key_hash: expected one of them")
	case key != "":
		k.Hash = sha256.Sum256([]byte(key))
		if len(key) < shortKey {
			p.note(shortAPIKey, written, "has fewer than %d bytes: it can be found by trying", shortKey)
		}
	case hash != "":
		_, _ = hex.Decode(k.Hash[:], []byte(strings.TrimPrefix(hash, hashPrefix))) // keyHash has read it
	default:
		p.fail(v, "has no key: expected key, or key_hash with its SHA-256")
	}
	if seconds > 0 {
		switch {
		case k.Expires != 0:
			p.fail(ttl, "stands beside expires_at: expected one of them")
		case created == 0:
			p.fail(ttl, "counts from created_at, which is not there: expected expires_at instead, a time of RFC 3339 or in Unix seconds")
		}
		k.Expires = created + seconds
	}
	p.file.APIKeys = append(p.file.APIKeys, k)
}

// apiKeyText is a check for a key. A proxy may join two headers by a comma, and takes
// blanks off their ends: a key must not look like what becomes of others.
func apiKeyText(s string) string {
	if len(s) > maxKey {
		return maxLength(maxKey)(s)
	}
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || c == ',' {
			return "has a blank, a comma or a character beyond ASCII, which do not come through every proxy as they were sent"
		}
	}
	return ""
}

const hashPrefix = "sha256:"

// keyHash is a check for a hash of a key.
func keyHash(s string) string {
	text, ok := strings.CutPrefix(s, hashPrefix)
	if b, err := hex.DecodeString(text); !ok || err != nil || len(b) != sha256.Size {
		return "is no hash of a key: expected sha256: and 64 hex digits"
	}
	return ""
}

// time reads a time of RFC 3339, or Unix seconds.
func (p *parser) time(dst *int64) reader {
	return func(v at) {
		if v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!int" {
			p.int(dst, 1, maxTime)(v)
			return
		}
		t, err := time.Parse(time.RFC3339, v.node.Value)
		if v.node.Kind != yaml.ScalarNode || err != nil || t.Unix() < 1 || t.Unix() > maxTime {
			p.fail(v, "is no time: expected one of RFC 3339, such as 2030-01-31T12:00:00Z, or Unix seconds")
			return
		}
		*dst = t.Unix()
	}
}

// resolveAPIKeys gives keys their consumers and ids, and finds those that are there
// twice.
func (p *parser) resolveAPIKeys() {
	ids := index[*APIKey]{p: p, what: "keyauth_credentials"}
	taken := map[[sha256.Size]byte]*APIKey{}
	for _, k := range p.file.APIKeys {
		if k.consumer.set {
			k.Consumer = p.owner(k.consumer)
		}
		if other := taken[k.Hash]; other != nil {
			p.report(invalid, k.Line, k.Path, "has the key of the credential in line %d", other.Line)
			continue
		}
		taken[k.Hash] = k
		if derive := p.options.Installation; k.ID == "" && derive != nil {
			// Kong's would be a plain hash of the key, which goes to upstreams and into logs.
			k.ID = kongID("keyauth_credentials", derive("keyauth-id", hex.EncodeToString(k.Hash[:])))
		}
		ids.add(k.Entity, k, k.ID)
	}
}

// owner returns the consumer that a credential refers to, nil with an error for none.
func (p *parser) owner(r ref) *Consumer {
	c := p.file.ConsumerBy(r.value)
	if c == nil && r.value != "" {
		p.fail(r.at, "refers to %q, which is not among the consumers", r.value)
	}
	return c
}

// hiddenHeaders refuses routes that match on a header which a plugin takes away: the
// proxy would choose the route again, and perhaps another one.
func (p *parser) hiddenHeaders() {
	for _, pl := range p.file.Plugins {
		var names []string
		switch {
		case pl.KeyAuth != nil && pl.KeyAuth.HideCredentials:
			names = pl.KeyAuth.HeaderNames()
		case pl.BasicAuth != nil && pl.BasicAuth.HideCredentials:
			names = []string{"authorization", "proxy-authorization"}
		}
		for _, r := range p.file.Routes {
			for _, h := range r.Headers {
				for _, name := range names {
					if levelled(h.Name) == levelled(name) {
						p.report(invalid, pl.Line, pl.Path, "hide_credentials takes the header %s away, which the route of %s matches on: "+
							"the proxy would choose the route again, and perhaps another one", h.Name, r.place())
					}
				}
			}
		}
	}
}

// levelled is a header's name as servers see it that hand headers on as environment
// variables.
func levelled(name string) string {
	return strings.Map(func(c rune) rune {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}
