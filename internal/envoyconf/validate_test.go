package envoyconf

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// The real Envoy, newest and oldest, accepts the bootstraps.
func TestEnvoyAccepts(t *testing.T) {
	module, _ := testenv.Build(t)
	files := map[string]string{}
	for _, name := range []string{"tls", "routes", "login"} {
		src, err := os.ReadFile("testdata/" + name + ".yml")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(src)
	}
	var hosts []string
	for i := range 100 {
		hosts = append(hosts, fmt.Sprintf("host-%d.example.com", i))
	}
	// Envoy's own bound on expressions is far below these.
	files["large expressions"] = `{_format_version: "3.0", services: [{name: s, host: h, routes: [
		{name: hosts, hosts: [` + strings.Join(hosts, ", ") + `]},
		{name: uuid, paths: ['~/users/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/orders/\d{1,20}$']},
		{name: letters, paths: ['~/[^\x00-\x2f]{1,200}/\p{L}+']}]}]}`
	files["nothing"] = `{_format_version: "3.0"}`
	for name, src := range files {
		for _, version := range []string{envoy.Newest, envoy.Oldest} {
			t.Run(name+" "+version, func(t *testing.T) {
				o := options
				o.Module = module
				if err := envoy.Validate(t, version, bootstrap(t, parse(t, src), o)); err != nil {
					t.Errorf("%.2000s", err)
				}
			})
		}
	}
}
