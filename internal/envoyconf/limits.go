package envoyconf

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// maxProgram is the size of compiled regular expressions that Envoy is told to
// accept. Its own bound of 100 instructions is exceeded by a handful of hosts; the
// bound is there for configurations from strangers, and this one is the operator's.
const maxProgram = 1_000_000

// unsupported returns what the gateway does and Envoy does not, as problems of the
// file; nil for nothing. Envoy would refuse the bootstrap, in words that say
// nothing about the file.
func unsupported(f *declarative.File, o Options) error {
	var problems declarative.Problems
	report := func(e declarative.Entity, format string, args ...any) {
		problems = append(problems, declarative.NewProblem(declarative.EnvoyLimit, f.Name, e.Line, e.Path, fmt.Sprintf(format, args...)))
	}
	for _, s := range f.Services {
		if s.Cluster() == sidecarCluster {
			report(s.Entity, "a service cannot be called %s in Envoy: it is the name of the sidecar's cluster", sidecarCluster)
		}
	}
	for _, c := range f.Certificates {
		for _, name := range c.SNIs {
			if strings.HasSuffix(name, ".*") {
				report(c.Entity, "snis has %s: Envoy chooses a certificate by a name, or by a wildcard as the leftmost label", name)
			}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for _, l := range o.Listeners {
		if l.TLS && len(f.Certificates) == 0 {
			return fmt.Errorf("the listener %s is tls, and %s has no certificates", l.Address, f.Name)
		}
	}
	return nil
}

// ip returns the address that a listener's host means; Envoy looks up no names.
func ip(host string) (string, error) {
	switch host {
	case "":
		return "0.0.0.0", nil
	case "localhost":
		return "127.0.0.1", nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", &net.AddrError{Err: "Envoy listens on IP addresses only", Addr: host}
	}
	return host, nil
}
