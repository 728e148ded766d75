package declarative

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// The path that a service gets, by Kong's rules for path_handling v0
// (kong/router/utils.lua, get_upstream_uri_v0 and sanitize_uri_postfix; Kong holds
// itself to spec/fixtures/router_path_handling_tests.lua). An empty route path
// means a route without paths.
func TestUpstreamPath(t *testing.T) {
	const strip, keep = true, false
	tests := []struct {
		service, route string
		strip          bool
		request, want  string
		why            string
	}{
		{"/", "/", strip, "/", "/", "nothing to strip"},
		{"/", "/", strip, "/route/", "/route/", "a slash at the end stays"},
		{"/", "/", keep, "/routereq", "/routereq", "nothing in front"},
		{"", "/", strip, "/route", "/route", "no path is /"},

		{"/", "/route", keep, "/route", "/route", "kept"},
		{"/", "/route", keep, "/routereq", "/routereq", "a prefix need not end at a segment"},
		{"/", "/route", strip, "/route", "/", "all of it stripped leaves /"},
		{"/", "/route", strip, "/route/", "/", "one slash, not two"},
		{"/", "/route", strip, "/routereq", "/req", "a slash comes in front of the rest"},
		{"/", "/route/", keep, "/route/req", "/route/req", "kept"},
		{"/", "/route/", strip, "/route/", "/", "stripped with its slash"},
		{"/", "/route/", strip, "/route/req", "/req", "stripped with its slash"},

		{"/srv", "/rou", keep, "/roureq", "/srv/roureq", "in front of it"},
		{"/srv", "/rou", strip, "/roureq", "/srv/req", "with a slash between"},
		{"/srv/", "/rou", keep, "/rou", "/srv/rou", "one slash between"},
		{"/srv/", "/rou", strip, "/rou", "/srv", "the request did not end in a slash, so the result does not"},

		{"/service", "/", strip, "/", "/service", "a request for / adds no slash"},
		{"/service", "/", keep, "/", "/service", "a request for / adds no slash"},
		{"/service", "/", strip, "/route", "/service/route", "in front of it"},
		{"/service", "/", keep, "/route/", "/service/route/", "a slash at the end stays"},
		{"/service", "/", strip, "/route/req", "/service/route/req", "in front of it"},
		{"/service", "/route", keep, "/route", "/service/route", "kept"},
		{"/service", "/route", keep, "/route/", "/service/route/", "kept"},
		{"/service", "/route", strip, "/route", "/service", "no slash that the request has not"},
		{"/service", "/route", strip, "/route/", "/service/", "the slash of the request"},
		{"/service", "/route", strip, "/routereq", "/service/req", "with a slash between"},
		{"/service", "/route", strip, "/route/a/b", "/service/a/b", "the rest as it is"},
		{"/service", "/route/", keep, "/route/req", "/service/route/req", "kept"},
		{"/service", "/route/", strip, "/route/", "/service/", "the request ended in a slash"},
		{"/service", "/route/", strip, "/route/req", "/service/req", "one slash between"},

		{"/service/", "/", strip, "/", "/service/", "the request ends in a slash"},
		{"/service/", "/", keep, "/", "/service/", "the request ends in a slash"},
		{"/service/", "/", strip, "/route", "/service/route", "one slash between"},
		{"/service/", "/route", strip, "/route", "/service", "the request did not end in a slash"},
		{"/service/", "/route", strip, "/route/", "/service/", "one slash"},
		{"/service/", "/route", strip, "/routereq", "/service/req", "one slash between"},
		{"/service/", "/route", keep, "/route", "/service/route", "kept"},
		{"/service/", "/route/", strip, "/route/", "/service/", "one slash"},
		{"/service/", "/route/", strip, "/route/req", "/service/req", "one slash between"},

		{"/", "", strip, "/route/", "/route/", "no paths: nothing to strip"},
		{"/service", "", strip, "/", "/service", "no paths, as with path /"},
		{"/service", "", keep, "/route", "/service/route", "no paths"},
		{"/service/", "", strip, "/", "/service/", "no paths"},
		{"/service/", "", keep, "/route/", "/service/route/", "no paths"},

		// What is left after stripping must not climb out of the service's path.
		{"/service", "/route", strip, "/route./req", "/service/req", "a dot segment that stripping would make"},
		{"/service/", "/route", strip, "/route./req", "/service/req", "a dot segment that stripping would make"},
		{"/service", "/route", strip, "/route../req", "/service/req", "else it would be /service/../req, outside"},
		{"/service/", "/route", strip, "/route../req", "/service/req", "else it would be /service/../req, outside"},
		{"/", "/route", strip, "/route../req", "/req", "else it would be /../req"},
		{"/service", "/route", strip, "/route%2e%2E/req", "/service/req", "escaped dots are dots by then"},
		{"/service", "/route", keep, "/route../req", "/service/route../req", "no segment of dots alone"},
		{"/service", "/route", strip, "/route..;x/req", "/service/req", "servlet containers cut off ;x"},
		{"/service", "/route", strip, "/route.;x/req", "/service/req", "servlet containers cut off ;x"},
		{"/service", "/route", strip, "/route.json", "/service/.json", "a dot that begins a name"},
		{"/service", "/route", strip, "/route...", "/service/...", "three dots are a name"},
		{"/service", "/route", strip, "/route.../req", "/service/.../req", "three dots are a name"},
		{"/service", "/route", strip, "/route..x/req", "/service/..x/req", "a name that begins with dots"},

		// Regular expressions: stripped is what they match.
		{"/", `~/v\d+`, strip, "/v12/x", "/x", "what was matched goes"},
		{"/", `~/v\d+`, strip, "/v12", "/", "all of it"},
		{"/", `~/v\d+`, keep, "/v12/x", "/v12/x", "kept"},
		{"/service", `~/v\d+`, strip, "/v12/x", "/service/x", "what was matched goes"},
		{"/service", `~/v\d+`, strip, "/v12", "/service", "no slash that the request has not"},
		{"/service", `~/v\d+`, strip, "/v12/", "/service/", "the slash of the request"},
		{"/service", `~/v\d+`, strip, "/v12x", "/service/x", "with a slash between"},
		{"/service/", `~/v\d+`, strip, "/v12x", "/service/x", "one slash between"},
		{"/service", `~/v\d+`, keep, "/v12/x", "/service/v12/x", "in front of it"},
		{"/service", `~/(v)(\d+)`, strip, "/v12/x", "/service/x", "groups of the file's do not count"},
		{"/service", `~/$`, keep, "/", "/service", "a request for / adds no slash"},
		{"/service", `~/v\d+`, strip, "/v12../x", "/service/x", "no climbing out here either"},
		{"/", `~/v\d+`, strip, "/v12../x", "/x", "no climbing out here either"},
		{"/service", `~/v\d+`, strip, "/v12..", "/service/", "no climbing out here either"},
		{"/service", `~/v\d+`, strip, "/v12..;a=b/x", "/service/x", "no climbing out here either"},
		{"/service", `~/v\d+`, strip, "/v12.json", "/service/.json", "a dot that begins a name"},
		{"/", `~/v\d+`, strip, "/v12.json", "/.json", "a dot that begins a name"},
		{"/a$b", `~/v\d+`, strip, "/v1/x", "/a$b/x", "a dollar means nothing"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %v %s", tt.service, tt.route, tt.strip, tt.request), func(t *testing.T) {
			paths, service := "", ""
			if tt.route != "" {
				paths = fmt.Sprintf(", paths: ['%s']", tt.route)
			}
			if tt.service != "" {
				service = fmt.Sprintf(", path: '%s'", tt.service)
			}
			f := read(t, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, host: h%s,
				routes: [{name: r, hosts: [example.com], strip_path: %v%s}]}]}`, service, tt.strip, paths))
			path, ok := routing.NormalizePath(tt.request)
			if !ok {
				t.Fatal("the path cannot be normalised")
			}
			e := f.Table().Match(request("GET", "example.com", path))
			if e == nil {
				t.Fatal("no entry matches")
			}
			if got := e.Apply(path); got != tt.want {
				t.Errorf("got %s, want %s: %s", got, tt.want, tt.why)
			}
		})
	}
}

// Whatever a client writes, the service's path stays in front and no dot segment
// follows it.
func FuzzUpstreamPath(f *testing.F) {
	files := []*File{}
	for _, service := range []string{"/", "/srv", "/srv/"} {
		for _, path := range []string{"/api", "/api/", "/", `~/v\d+`, `~/a\.?`, `~/x.*?`} {
			files = append(files, read(f, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, host: h, path: '%s',
				routes: [{name: r, paths: ['%s']}]}]}`, service, path)))
		}
	}
	for i, s := range []string{"/api../x", "/api./", "/api..", "/v1../..;/x", "/a../x", "/x../../y", "/api%2e%2e/x", "/.", "//", `/api..\x`} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, which uint8, raw string) {
		file := files[int(which)%len(files)]
		path, ok := routing.NormalizePath(raw)
		if !ok {
			return
		}
		e := file.Table().Match(request("GET", "h", path))
		if e == nil {
			return
		}
		got := e.Apply(path)
		if base := strings.TrimSuffix(file.Services[0].PathPrefix, "/"); !strings.HasPrefix(got, base) || !strings.HasPrefix(got, "/") {
			t.Errorf("%s: %s left the service's path %s", raw, got, base)
		}
		if hasDots(got) && !hasDots(path) {
			t.Errorf("%s: %s has a dot segment that %s has not", raw, got, path)
		}
	})
}

// hasDots reports whether a path has a segment that some reader takes for . or ..
func hasDots(path string) bool {
	for _, segment := range strings.Split(path, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}
