package plugin

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Config is the plugin configuration: a JSON object. Absent members take the
// defaults of the comments; unknown ones are refused, because a setting that
// nobody reads is a setting that somebody relies on.
type Config struct {
	Cluster      string // cluster of the sidecar ("sallyport_sidecar")
	PollMS       uint32 // time between two polls for changes, 100…1000 (500)
	AskTimeoutMS uint32 // how long a request waits for an answer (1000)
	// KeysTimeoutMS is the same for a question that makes the sidecar ask an
	// issuer (5000).
	KeysTimeoutMS uint32
	// LoginTimeoutMS is the same for sessions and logins, which may make the sidecar
	// ask an identity provider several times (15000).
	LoginTimeoutMS  uint32
	CredentialGrace int64 // seconds without the sidecar that credentials are used (60)
	KeyGrace        int64 // seconds without the sidecar that public keys are used (86400)
	CacheBytes      int   // for verdicts and credentials of this VM (8 MiB)
	LogLines        int   // log lines between two ticks; more are counted only (100)
}

var errConfig = errors.New("plugin: the configuration is not a JSON object with known members in their ranges")

func parseConfig(src string) (Config, error) {
	c := Config{Cluster: "sallyport_sidecar", PollMS: 500, AskTimeoutMS: 1000, KeysTimeoutMS: 5000, LoginTimeoutMS: 15000, LogLines: 100}
	if src == "" {
		return c, nil
	}
	doc, err := jsonx.Parse(src, jsonx.Limits{Bytes: 64 << 10, Depth: 2, Nodes: 64})
	if err != nil {
		return c, err
	}
	root := doc.Root()
	if root.Kind() != jsonx.Object {
		return c, errConfig
	}
	for cur := root.Cursor(); cur.Next(); {
		v := cur.Value()
		n, isInt := v.Int()
		between := func(low, high int64) bool { return isInt && n >= low && n <= high }
		ok := false
		switch cur.Name() {
		case "cluster":
			c.Cluster, ok = v.Text()
			ok = ok && c.Cluster != ""
		case "poll_ms":
			c.PollMS, ok = uint32(n), between(100, 1000)
		case "ask_timeout_ms":
			c.AskTimeoutMS, ok = uint32(n), between(1, 60_000)
		case "keys_timeout_ms":
			c.KeysTimeoutMS, ok = uint32(n), between(1, 60_000)
		case "login_timeout_ms":
			c.LoginTimeoutMS, ok = uint32(n), between(1, 60_000)
		case "credential_grace_s":
			c.CredentialGrace, ok = n, between(1, 24*3600)
		case "key_grace_s":
			c.KeyGrace, ok = n, between(1, 30*24*3600)
		case "cache_bytes":
			c.CacheBytes, ok = int(n), between(64<<10, 256<<20)
		case "log_lines":
			c.LogLines, ok = int(n), between(1, 100_000)
		}
		if !ok {
			return c, errConfig
		}
	}
	return c, nil
}
