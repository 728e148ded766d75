package declarative

import (
	"net"
	"net/netip"
	"strconv"
)

// Settings is the block _sallyport: what Kong keeps in kong.conf. Flags override
// it.
type Settings struct {
	Listen []Listener
	// TrustedIPs are the addresses whose X-Forwarded-* headers are believed (D16).
	TrustedIPs []netip.Prefix
	StateDir   string
	// InstallationSecret is what generated credentials are derived from; "" means
	// that it is generated into the state directory.
	InstallationSecret string
}

// Listener is an address that clients connect to.
type Listener struct {
	Address string // host:port
	TLS     bool   // with the certificates of the file
}

// minInstallationSecret is as long as the keys that are derived from it.
const minInstallationSecret = 32

func (p *parser) settings(v at) {
	s := &p.file.Settings
	p.record(v, fields{
		"listeners": p.list(func(v at) {
			var l Listener
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
				p.report(Warning, v.line(), v.path, "trusts everybody: any client can say which address, host and scheme it comes with")
			}
			s.TrustedIPs = append(s.TrustedIPs, prefix)
		}),
		"state_dir": p.text(&s.StateDir, notEmpty),
		"installation_secret": p.text(&s.InstallationSecret, func(s string) string {
			if len(s) < minInstallationSecret {
				return "is shorter than " + strconv.Itoa(minInstallationSecret) + " bytes"
			}
			return ""
		}),
	})
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
