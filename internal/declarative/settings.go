package declarative

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Settings is the block _sallyport: what Kong keeps in kong.conf. Flags override
// it.
type Settings struct {
	Listen []Listener
	// TrustedIPs are the addresses whose X-Forwarded-* headers are believed (D16).
	TrustedIPs []netip.Prefix
	StateDir   string
	// Registry is the data source name of a database that is added to the file; "" for none.
	Registry string
	// InstallationSecret is what generated credentials are derived from; "" means
	// that it is generated into the state directory.
	InstallationSecret string
	// Filter are knobs of the filter, by the names of its configuration
	// (docs/configuration.md); absent ones have the filter's defaults.
	Filter map[string]int64
	// Portal is the developer portal; nil for none.
	Portal *Portal
}

// filterKnobs are the ranges of the filter's numbers (filter/internal/plugin,
// config.go).
var filterKnobs = map[string][2]int64{
	"poll_ms":            {100, 1000},
	"ask_timeout_ms":     {1, 60_000},
	"keys_timeout_ms":    {1, 60_000},
	"login_timeout_ms":   {1, 60_000},
	"credential_grace_s": {1, 24 * 3600},
	"key_grace_s":        {1, 30 * 24 * 3600},
	"cache_bytes":        {64 << 10, 256 << 20},
	"log_lines":          {1, 100_000},
}

// FilterConfig returns the filter's configuration: JSON, with the cluster that the
// sidecar is found under.
func (s *Settings) FilterConfig(cluster string) string {
	w := &jsonx.Writer{}
	w.Open('{')
	w.StringMember("cluster", cluster)
	for _, name := range slices.Sorted(maps.Keys(s.Filter)) {
		w.IntMember(name, s.Filter[name])
	}
	w.Close('}')
	return string(w.Buf)
}

// Listener is an address that clients connect to.
type Listener struct {
	Address string // host:port
	TLS     bool   // with the certificates of the file

	line int
}

// minInstallationSecret is as long as the keys that are derived from it.
const minInstallationSecret = 32

func (p *parser) settings(v at) {
	s := &p.file.Settings
	p.record(v, fields{
		"listeners": p.list(func(v at) {
			l := Listener{line: v.line()}
			if p.record(v, fields{"address": p.text(&l.Address, listenAddress), "tls": p.bool(&l.TLS)}) {
				if l.Address == "" {
					if !p.failedAt(v.path) {
						p.fail(v, "has no address")
					}
					return
				}
				s.Listen = append(s.Listen, l)
			}
		}),
		"trusted_ips": p.list(func(v at) {
			text, ok := p.string(v)
			if !ok {
				return
			}
			prefix, err := parsePrefix(text)
			if err != nil {
				p.fail(v, "is %q: expected an address or a range like 10.0.0.0/8", text)
				return
			}
			if prefix.Bits() == 0 {
				p.note(trustsEverybody, v, "trusts everybody: any client can say which address, host and scheme it comes with")
			}
			s.TrustedIPs = append(s.TrustedIPs, prefix)
		}),
		"applications": p.list(p.application),
		"state_dir":    p.text(&s.StateDir, notEmpty),
		"registry":     p.secret(&s.Registry, notEmpty), // it may hold a password
		"filter":       p.filterKnobs,
		"portal":       p.portal,
		"installation_secret": p.secret(&s.InstallationSecret, func(s string) string {
			if len(s) < minInstallationSecret {
				return "is shorter than " + strconv.Itoa(minInstallationSecret) + " bytes"
			}
			return ""
		}),
	})
}

// filterKnobs reads the block filter.
func (p *parser) filterKnobs(v at) {
	knobs := map[string]int64{}
	known := fields{}
	for name, r := range filterKnobs {
		known[name] = func(v at) {
			var n int64
			p.int(&n, r[0], r[1])(v)
			knobs[name] = n
		}
	}
	p.record(v, known)
	p.file.Settings.Filter = knobs
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix.Masked(), err
}

// listenAddress is a check.
func listenAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host != "" && hostName(host) != "" {
		return "is " + strconv.Quote(s) + ": expected an address like 0.0.0.0:8000"
	}
	return ""
}
