package wire

import "github.com/sallyport-auth/sallyport/internal/jsonx"

// Changes is the answer of PathChanges. The query parameters of the request say
// where the filter stands: feed, since and bundle, the ETag it holds.
type Changes struct {
	Feed   string // changes when the sidecar restarts; numbers compare only within one
	Seq    uint64 // the last change included
	Bundle string // ETag of the current bundle
	// Reset says that changes are missing between since and the oldest one kept,
	// or that the feed is another one: everything cached has to go.
	Reset bool
	// Credentials lists the keys of credentials that were added, changed or removed.
	Credentials []string
	// Consumers lists ids, user names and custom ids of consumers that were.
	Consumers []string
	// Revoked lists keys of sessions that have ended (Session.Keys).
	Revoked []string
}

// ChangesPath returns the resource with its parameters. feed and etag are made
// of characters that need no escaping.
func ChangesPath(feed string, since, etag string) string {
	return PathChanges + "?feed=" + feed + "&since=" + since + "&bundle=" + etag
}

// Encode returns the body.
func (c *Changes) Encode() []byte {
	w := &jsonx.Writer{}
	w.Open('{')
	w.StringMember("feed", c.Feed)
	w.IntMember("seq", int64(c.Seq))
	w.StringMember("bundle", c.Bundle)
	w.BoolMember("reset", c.Reset)
	w.StringsMember("credentials", c.Credentials)
	w.StringsMember("consumers", c.Consumers)
	w.StringsMember("revoked", c.Revoked)
	w.Close('}')
	return w.Buf
}

// DecodeChanges reads the body; ok is false when it is none.
func DecodeChanges(src string) (c Changes, ok bool) {
	doc, err := jsonx.Parse(src, jsonx.Limits{Bytes: MaxChanges, Depth: 3, Nodes: 1 << 14})
	if err != nil {
		return Changes{}, false
	}
	root := doc.Root()
	var okPlace, okTag bool
	c.Feed, c.Seq, okPlace = readPlace(root)
	c.Bundle, okTag = root.Get("bundle").Text()
	if !okPlace || !okTag || c.Bundle == "" {
		return Changes{}, false
	}
	if v := root.Get("reset"); v.Exists() {
		reset, isBool := v.Bool()
		if !isBool {
			return Changes{}, false
		}
		c.Reset = reset
	}
	d := &reader{}
	c.Credentials, c.Consumers = d.texts(root.Get("credentials")), d.texts(root.Get("consumers"))
	c.Revoked = d.texts(root.Get("revoked"))
	if d.bad {
		return Changes{}, false
	}
	return c, true
}

// readPlace reads the members feed and seq, which say how far a sidecar's
// knowledge goes.
func readPlace(root jsonx.Value) (feed string, seq uint64, ok bool) {
	feed, ok = root.Get("feed").Text()
	if v := root.Get("seq"); v.Exists() {
		n, isInt := v.Int()
		return feed, uint64(n), ok && isInt && n >= 0 && feed != ""
	}
	return feed, 0, ok && feed != ""
}
