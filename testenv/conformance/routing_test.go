package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// What route tables and requests are made of. Everything collides with something.
var (
	tableHosts   = []string{"a.example", "b.example", "*.example", "*.a.example", "api.*", "a.*"}
	tablePaths   = []string{"/", "/a", "/a/", "/a/b", "/ab", "/a/b/", "/x-1", `~/a/\d+`, `~/(a|x)/b`, `~/a/(?<rest>.*)z$`, `~/\w+$`}
	tableMethods = []string{"GET", "POST", "PUT"}
	tableHeaders = []string{"x-tier: [gold]", "x-tier: [gold, silver]", `x-version: ["~*^1"]`}
	servicePaths = []string{"", "/", "/base", "/base/", "/a"}

	sentHosts   = []string{"a.example", "b.example", "c.a.example", "A.Example", "api.other", "a.other", "other", "a.example:8000"}
	sentPaths   = []string{"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/abc", "/a/12", "/a/12x", "/x/b", "/x/b/c", "/a/1z", "/A", "/a//b", "/a/./b", "/a/c/../b", "/a%20b", "/a?x=/a/b", "/x-1/y", "/a/b?", "/a;p=1/b"}
	sentMethods = []string{"GET", "POST", "PUT", "DELETE"}
	sentHeaders = []string{"", "X-Tier: gold", "X-Tier: SILVER", "X-Tier: bronze", "X-Version: 12", "X-Version: 21"}
)

// some returns up to n of a list.
func some(r *rand.Rand, list []string, n int) []string {
	var out []string
	for _, i := range r.Perm(len(list))[:r.IntN(n+1)] {
		out = append(out, list[i])
	}
	return out
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, strconv.Quote(s))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// routeTable returns a declarative file with random routes. The upstream sees which
// of them was taken by the anonymous consumer, of which each has its own.
func routeTable(r *rand.Rand, upstream string) string {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range 3 + r.IntN(6) {
		fmt.Fprintf(&b, "- name: s%d\n  url: %q\n  routes:\n", i, upstream+servicePaths[r.IntN(len(servicePaths))])
		for j := range 1 + r.IntN(2) {
			fmt.Fprintf(&b, "  - name: r%d-%d\n    strip_path: %v\n    preserve_host: %v\n    regex_priority: %d\n",
				i, j, r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(3))
			paths := some(r, tablePaths, 3)
			if len(paths) == 0 {
				paths = []string{tablePaths[r.IntN(len(tablePaths))]}
			}
			fmt.Fprintf(&b, "    paths: %s\n", quoted(paths))
			if hosts := some(r, tableHosts, 2); len(hosts) > 0 {
				fmt.Fprintf(&b, "    hosts: %s\n", quoted(hosts))
			}
			if methods := some(r, tableMethods, 2); len(methods) > 0 && r.IntN(2) == 0 {
				fmt.Fprintf(&b, "    methods: %s\n", quoted(methods))
			}
			if r.IntN(3) == 0 {
				fmt.Fprintf(&b, "    headers: {%s}\n", tableHeaders[r.IntN(len(tableHeaders))])
			}
			fmt.Fprintf(&b, "    plugins: [{name: jwt, config: {anonymous: guest-%d-%d, claims_to_verify: [exp]}}]\n", i, j)
		}
	}
	b.WriteString("consumers:\n")
	for i := range 9 {
		for j := range 2 {
			fmt.Fprintf(&b, "- {username: guest-%d-%d}\n", i, j)
		}
	}
	return b.String()
}

// TestRoutesAgree: the host's router and Envoy on the generated file take each
// request to the same route, with the same path and Host. ROUTE_TABLES and
// ROUTE_SEED make it longer and repeat it.
func TestRoutesAgree(t *testing.T) {
	setting := func(name string, usual int64) int64 {
		if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return usual
	}
	seed := setting("ROUTE_SEED", time.Now().UnixNano())
	upstream := echo.Start(t)
	for table := range setting("ROUTE_TABLES", 5) {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(table)))
		t.Run(fmt.Sprintf("seed_%d_table_%d", seed, table), func(t *testing.T) {
			file := routeTable(r, upstream.URL)
			stacks := map[string]*stack.Stack{}
			for _, host := range stack.Hosts {
				stacks[host] = stack.Start(t, host, file, stack.Options{Workers: 1})
			}
			found, wrong := 0, 0
			for range 250 {
				lines := []string{"Host: " + sentHosts[r.IntN(len(sentHosts))]}
				if h := sentHeaders[r.IntN(len(sentHeaders))]; h != "" {
					lines = append(lines, h)
				}
				method, target := sentMethods[r.IntN(len(sentMethods))], sentPaths[r.IntN(len(sentPaths))]
				came := map[string]string{}
				for _, host := range stack.Hosts {
					id := tokens.Random()
					res := testenv.Raw(t, stacks[host].Addr, testenv.Request(method, target, append(lines, echo.TestID+": "+id)...))
					came[host] = strconv.Itoa(res.Status)
					for _, s := range upstream.Seen(id) {
						came[host] += fmt.Sprintf(" %s %s of %s as %s", s.Method, s.Target, s.Host, s.Header("X-Consumer-Username"))
						found++
					}
				}
				if came["host"] != came["envoy"] {
					wrong++
					t.Errorf("%s %s %q: the host %s, Envoy %s", method, target, lines, came["host"], came["envoy"])
				}
			}
			testenv.Evidence(t, "250 requests to host and envoy, %d of 500 reached the upstream, %d differ", found, wrong)
			if wrong > 0 {
				t.Log(file)
			}
			if found == 0 {
				t.Error("no request reached the upstream: the table tests nothing")
			}
		})
	}
}
