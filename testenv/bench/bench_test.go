package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// Sizes of a run. BENCH_SECONDS and BENCH_ROUNDS change them.
const (
	connections     = 16
	differentTokens = 20_000
)

func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// target is one thing to measure.
type target struct {
	name     string
	addr     string
	requests [][]byte
	rates    []float64
	p99      []time.Duration
}

// TestBench runs the benchmark when BENCH=1 asks for it.
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") != "1" {
		return // not a test: make bench
	}
	provider := idp.Start(t)
	one := [][]byte{request(provider.Token("k1", nil))}
	many := manyTokens(t, provider)
	none := [][]byte{request("")}

	b := &board{t: t}
	b.envoy(provider, none, one, many)
	b.host(provider, none, one, many)
	b.run()
	b.starts()
	b.print()
}

// manyTokens signs different tokens, or reads those of an earlier run.
func manyTokens(t *testing.T, p *idp.Server) [][]byte {
	t.Helper()
	out := make([][]byte, differentTokens)
	begin := time.Now()
	work := make(chan int)
	done := make(chan struct{})
	for range 2 {
		go func() {
			for i := range work {
				out[i] = request(p.Token("k1", map[string]any{"sub": fmt.Sprintf("user-%d", i), "exp": tokens.In(7200)}))
			}
			done <- struct{}{}
		}()
	}
	for i := range out {
		work <- i
	}
	close(work)
	<-done
	<-done
	t.Logf("signed %d tokens in %v", len(out), time.Since(begin).Round(time.Second))
	return out
}

// board is everything that is measured.
type board struct {
	t       *testing.T
	targets []*target
	facts   []string
}

func (b *board) add(name, addr string, requests [][]byte) {
	b.targets = append(b.targets, &target{name: name, addr: addr, requests: requests})
}

const file = `_format_version: "3.0"
services:
- {name: bench, url: "${BACKEND}", routes: [{name: bench, paths: [/], plugins: [{name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer]}}]}]}
`

// envoy sets up one Envoy with a listener for each of its cases; each answers
// itself, so that what is measured is the filter.
func (b *board) envoy(p *idp.Server, none, one, many [][]byte) {
	t := b.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go backend(l)
	conf := strings.NewReplacer("${BACKEND}", "http://"+l.Addr().String(), "${ISSUER}", p.Issuer()).Replace(file)
	begin := time.Now()
	s := stack.Start(t, "envoy", conf, stack.Options{Workers: 1})
	b.facts = append(b.facts, fmt.Sprintf("Envoy with the filter, ready after %.1f s, resident %d MB",
		time.Since(begin).Seconds(), resident(s.Envoy.PID())))
	var generated map[string]any
	if err := yaml.Unmarshal(s.Bootstrap(), &generated); err != nil {
		t.Fatal(err)
	}
	s.Envoy.Stop()
	hcm := dig(generated, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
	ours := dig(hcm, "http_filters", 0)
	name := dig(hcm, "route_config", "virtual_hosts", 0, "routes", 0, "name")
	sidecar := dig(generated, "static_resources", "clusters", 0)

	jwks, err := json.Marshal(map[string]any{"keys": []any{tokens.JWK("rsa2048", "k1", map[string]any{"alg": "RS256"})}})
	if err != nil {
		t.Fatal(err)
	}
	// header makes it tell the upstream who the caller is, as ours does.
	authn := func(cache, header bool) any {
		provider := map[string]any{"issuer": p.Issuer(), "forward": true, "local_jwks": map[string]any{"inline_string": string(jwks)}}
		if cache {
			provider["jwt_cache_config"] = map[string]any{"jwt_cache_size": 1000}
		}
		if header {
			provider["claim_to_headers"] = []any{map[string]any{"header_name": "x-credential-identifier", "claim_name": "sub"}}
		}
		return map[string]any{"name": "envoy.filters.http.jwt_authn", "typed_config": map[string]any{
			"@type":     "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
			"providers": map[string]any{"p": provider},
			"rules":     []any{map[string]any{"match": map[string]any{"prefix": "/"}, "requires": map[string]any{"provider_name": "p"}}},
		}}
	}
	var listeners []any
	listen := func(filters ...any) string {
		port := testenv.FreePort(t)
		listeners = append(listeners, listener(len(listeners), port, name, filters))
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	bare, plain, cached, wasm := listen(), listen(authn(false, false)), listen(authn(true, false)), listen(ours)
	plainTells, cachedTells := listen(authn(false, true)), listen(authn(true, true))
	admin := testenv.FreePort(t)
	bootstrap, err := json.Marshal(map[string]any{
		"admin":            map[string]any{"address": socket(admin)},
		"static_resources": map[string]any{"listeners": listeners, "clusters": []any{sidecar}},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := envoy.Start(t, envoy.Newest, bootstrap, fmt.Sprintf("127.0.0.1:%d", admin), "--concurrency", "1")
	testenv.Eventually(t, 20*time.Second, "the filter in Envoy", func() bool {
		r, err := testenv.TryRaw(wasm, strings.Replace(string(one[0]), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		return err == nil && r.Status == 200
	})
	_ = e
	b.add("envoy: no filter", bare, none)
	b.add("envoy: jwt_authn, one token", plain, one)
	b.add("envoy: jwt_authn with cache, one token", cached, one)
	b.add("envoy: jwt_authn with cache and a header, one token", cachedTells, one)
	b.add("envoy: sallyport, one token", wasm, one)
	b.add("envoy: jwt_authn, different tokens", plain, many)
	b.add("envoy: jwt_authn with cache, different tokens", cached, many)
	b.add("envoy: jwt_authn with a header, different tokens", plainTells, many)
	b.add("envoy: sallyport, different tokens", wasm, many)
}

func socket(port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port}}
}

func listener(i, port int, route any, filters []any) any {
	filters = append(filters, map[string]any{"name": "envoy.filters.http.router", "typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})
	return map[string]any{
		"name": fmt.Sprintf("l%d", i), "address": socket(port),
		"filter_chains": []any{map[string]any{"filters": []any{map[string]any{
			"name": "envoy.filters.network.http_connection_manager",
			"typed_config": map[string]any{
				"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix": "b", "http_filters": filters, "normalize_path": true, "merge_slashes": true,
				"route_config": map[string]any{"virtual_hosts": []any{map[string]any{
					"name": "all", "domains": []any{"*"},
					"routes": []any{map[string]any{"name": route, "match": map[string]any{"prefix": "/"},
						"direct_response": map[string]any{"status": 200, "body": map[string]any{"inline_string": "ok"}}}},
				}}},
			},
		}}}},
	}
}

// dig walks into maps and lists.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

// host sets up the gateway and a bare ReverseProxy, each on one core, before the
// same backend.
func (b *board) host(p *idp.Server, none, one, many [][]byte) {
	t := b.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go backend(l)
	url := "http://" + l.Addr().String()

	bin := filepath.Join(testenv.TempDir(t), "reverseproxy")
	build := exec.Command("go", "build", "-o", bin, "./testenv/bench/reverseproxy")
	build.Dir = testenv.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bare := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	proxy := testenv.Start(t, "reverseproxy", bin, []string{bare, url}, "GOMAXPROCS=1")
	proxy.WaitReady(t, 5*time.Second, func() bool { return testenv.OK("http://" + bare + "/") })

	t.Setenv("GOMAXPROCS", "1")
	conf := strings.NewReplacer("${BACKEND}", url, "${ISSUER}", p.Issuer()).Replace(file)
	begin := time.Now()
	s := stack.Start(t, "host", conf, stack.Options{Workers: 1})
	b.facts = append(b.facts, fmt.Sprintf("host, ready after %.2f s with compiled code at hand, resident %d MB", time.Since(begin).Seconds(), resident(s.Gateway.PID())))
	testenv.Eventually(t, 20*time.Second, "the filter in the host", func() bool {
		r, err := testenv.TryRaw(s.Addr, strings.Replace(string(one[0]), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		return err == nil && r.Status == 200
	})
	b.add("host: bare ReverseProxy", bare, none)
	b.add("host: bare ReverseProxy, with a token nobody looks at", bare, one)
	b.add("host: sallyport, one token", s.Addr, one)
	b.add("host: sallyport, different tokens", s.Addr, many)
}

// resident returns a process's memory in MB.
func resident(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return 0
}

// run measures all targets in turn, round after round.
func (b *board) run() {
	d := time.Duration(setting("BENCH_SECONDS", 4)) * time.Second
	rounds := setting("BENCH_ROUNDS", 5)
	for _, t := range b.targets { // warm up
		if _, err := load(t.addr, t.requests, connections, d/4); err != nil {
			b.t.Fatalf("%s: %v", t.name, err)
		}
	}
	for round := range rounds {
		for _, t := range b.targets {
			r, err := load(t.addr, t.requests, connections, d)
			if err != nil || r.wrong > 0 {
				b.t.Fatalf("%s: %v, %d wrong answers of %d", t.name, err, r.wrong, r.requests)
			}
			t.rates = append(t.rates, r.rate())
			t.p99 = append(t.p99, r.p99)
		}
		b.t.Logf("round %d of %d", round+1, rounds)
	}
}

func median[T float64 | time.Duration](list []T) T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

func (b *board) find(name string) *target {
	i := slices.IndexFunc(b.targets, func(t *target) bool { return t.name == name })
	return b.targets[i]
}

// print writes the table, and the ratios that are to be held.
func (b *board) print() {
	var out strings.Builder
	fmt.Fprintf(&out, "| case | requests/s (median) | min–max | p99 |\n|---|---|---|---|\n")
	for _, t := range b.targets {
		fmt.Fprintf(&out, "| %s | %.0f | %.0f–%.0f | %v |\n", t.name, median(t.rates), slices.Min(t.rates), slices.Max(t.rates), median(t.p99).Round(10*time.Microsecond))
	}
	fmt.Fprintf(&out, "\n| ratio, of rounds paired | median | min–max |\n|---|---|---|\n")
	for _, pair := range [][2]string{
		{"envoy: sallyport, different tokens", "envoy: jwt_authn, different tokens"},
		{"envoy: sallyport, one token", "envoy: jwt_authn with cache, one token"},
		{"envoy: sallyport, different tokens", "envoy: jwt_authn with a header, different tokens"},
		{"envoy: sallyport, one token", "envoy: jwt_authn with cache and a header, one token"},
		{"envoy: sallyport, one token", "envoy: no filter"},
		{"host: sallyport, one token", "host: bare ReverseProxy, with a token nobody looks at"},
		{"host: sallyport, different tokens", "host: bare ReverseProxy, with a token nobody looks at"},
	} {
		a, c := b.find(pair[0]), b.find(pair[1])
		var ratios []float64
		for i := range a.rates {
			ratios = append(ratios, a.rates[i]/c.rates[i])
		}
		fmt.Fprintf(&out, "| %s ÷ %s | %.2f | %.2f–%.2f |\n", pair[0], pair[1], median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
	fmt.Fprintln(&out)
	for _, f := range b.facts {
		fmt.Fprintln(&out, "- "+f)
	}
	path := filepath.Join(testenv.Root(), "build", "bench.md")
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		b.t.Error(err)
	}
	fmt.Println(out.String())
}
