package conformance

import (
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// TestUpstreamPaths: the path that an upstream gets is Kong's, in both hosts, and
// nothing that a client writes climbs out of the service's path.
func TestUpstreamPaths(t *testing.T) {
	tests := []struct{ request, want string }{
		{"/strip", "/srv"}, {"/strip/", "/srv/"}, {"/strip/a/b?c=d", "/srv/a/b?c=d"}, {"/stripped", "/srv/ped"}, {"/strip.json", "/srv/.json"},
		{"/strip../secret", "/srv/secret"}, {"/strip./secret", "/srv/secret"}, {"/strip%2e%2e/secret", "/srv/secret"},
		{"/strip..;x/secret?q=1", "/srv/secret?q=1"}, {"/strip..", "/srv/"},
		{"/v12/a", "/srv/a"}, {"/v12", "/srv"}, {"/v12../secret", "/srv/secret"}, {"/v12..;x/secret", "/srv/secret"},
		{"/keep/a", "/srv/keep/a"}, {"/keep../a", "/srv/keep../a"},
		{"/", "/srv"}, {"/other", "/srv/other"},
	}
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			return `{_format_version: "3.0", services: [{name: s, url: "` + e.Upstream + `/srv", routes: [
				{name: strip, paths: [/strip]}, {name: keep, paths: [/keep], strip_path: false}, {name: regex, paths: ['~/v\d+']}, {name: root, paths: [/]}]}]}`
		})
		r.eventually(t, 200, "GET", "/")
		for _, tt := range tests {
			t.Run(tt.request, func(t *testing.T) {
				x := r.send(t, "GET", tt.request)
				if x.Status != 200 || len(x.Seen) != 1 || x.Seen[0].Target != tt.want {
					t.Errorf("status %d, the upstream saw %+v, want %s", x.Status, x.Seen, tt.want)
				}
			})
		}
	})
}
