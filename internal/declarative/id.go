package declarative

import (
	"crypto/sha1" // RFC 4122 §4.3 asks for it; nothing rests on its strength
	"encoding/hex"
	"fmt"
	"strconv"
)

type uuid [16]byte

func (u uuid) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// v5 returns the name-based UUID of RFC 4122 §4.3.
func v5(space uuid, name string) uuid {
	h := sha1.New()
	h.Write(space[:])
	h.Write([]byte(name))
	var u uuid
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

// kongEntities is the name space in which DB-less Kong makes ids
// (kong/db/schema/others/declarative_config.lua, uuid_generators).
var kongEntities = mustUUID("fd02801f-0957-4a15-a55a-c8d9606f30b5")

// kongID returns the id that DB-less Kong gives an entity without one, so that
// an upstream which has stored consumer ids finds its consumers again.
func kongID(collection, key string) string {
	return v5(v5(kongEntities, collection), key).String()
}

// kongID returns kongID's id for a name or, for an entity without one, for what
// it is. Kong gives the latter a random id; ours has to outlive a reload, so that
// equal ones are counted.
func (p *parser) kongID(collection, name, what string) string {
	if name != "" {
		return kongID(collection, name)
	}
	key := collection + " " + what
	if p.unnamed == nil {
		p.unnamed = map[string]int{}
	}
	n := p.unnamed[key]
	p.unnamed[key]++
	if n > 0 {
		what += "#" + strconv.Itoa(n)
	}
	return kongID(collection, what)
}

func mustUUID(s string) uuid {
	u, err := parseUUID(s)
	if err != nil {
		panic(err)
	}
	return u
}

func parseUUID(s string) (u uuid, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("is %q: expected a UUID", s)
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return u, fmt.Errorf("is %q: expected a UUID", s)
	}
	return uuid(b), nil
}

// isUUID is a check.
func isUUID(s string) string {
	if _, err := parseUUID(s); err != nil {
		return err.Error()
	}
	return ""
}
