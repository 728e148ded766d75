package publish

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// bench is a publisher on a state directory.
type bench struct {
	*Publisher
	t   testing.TB
	dir *state.Dir
}

func start(t testing.TB, path string) *bench {
	t.Helper()
	dir, err := state.Open(path, redact.New("an installation secret of more than 32 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	p := New(dir, slog.New(slog.DiscardHandler), time.Now, func(c provider.Config) *http.Client {
		return provider.NewClient(c)
	})
	b := &bench{p, t, dir}
	t.Cleanup(b.stop)
	return b
}

func (b *bench) stop() {
	b.Close()
	_ = b.dir.Close()
}

func (b *bench) compile(file string) *snapshot.Snapshot {
	b.t.Helper()
	f, problems := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file), declarative.Options{Installation: b.dir.Derive})
	if f == nil {
		b.t.Fatal(problems)
	}
	return snapshot.Compile(f, snapshot.Secrets{MAC: func(parts ...string) string { return b.dir.Derive("v", parts...) }, Session: redact.New("a session secret")})
}

func (b *bench) use(file string) Offer {
	b.t.Helper()
	if err := b.Use(b.compile(file)); err != nil {
		b.t.Fatal(err)
	}
	o, ok := b.Offer()
	if !ok {
		b.t.Fatal("no offer")
	}
	return o
}

// instance returns the plugin instance of a route in an offer.
func (b *bench) instance(o Offer, route string) *bundle.Plugin {
	b.t.Helper()
	decoded, err := bundle.Decode(string(o.Body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, r := range decoded.Routes {
		if strings.HasPrefix(name, route+".") && len(r.Chain) > 0 {
			return r.Chain[0]
		}
	}
	b.t.Fatalf("no plugin on route %s", route)
	return nil
}

// file has a jwt plugin of a realm, and credentials key=secret.
func file(realm string, credentials ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, `
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: jwt, config: {claims_to_verify: [exp], realm: %q}}]}]}]
consumers:
- username: alice
  jwt_secrets:
`, realm)
	for _, c := range credentials {
		key, secret, _ := strings.Cut(c, "=")
		fmt.Fprintf(&s, "  - {key: %q, secret: %q}\n", key, secret)
	}
	return s.String()
}

func TestNothingIsOfferedAtFirst(t *testing.T) {
	b := start(t, t.TempDir())
	if _, ok := b.Offer(); ok || b.Current() != nil || b.Instance(0, "") != nil || b.Instance(1, "jwt-1") != nil || b.Provider("t") != nil {
		t.Error("something is there before the first snapshot")
	}
}

func TestGenerationMovesWithTheBundleOnly(t *testing.T) {
	path := t.TempDir()
	b := start(t, path)
	for i, step := range []struct {
		file       string
		restart    bool
		generation uint64
		seq        uint64 // in the feed; it begins anew with every start
	}{
		{file("a", "k1=s1"), false, 1, 2},
		{file("a", "k1=s1"), false, 1, 2},
		{file("a", "k1=s2"), false, 2, 3}, // the file's hash is part of the bundle
		{file("a", "k1=s2", "k2=s1"), false, 3, 4},
		{file("b", "k1=s2", "k2=s1"), false, 4, 5},
		{file("b", "k3=s2"), false, 5, 8},
		{file("b", "k3=s2"), true, 0, 0},
	} {
		if step.restart {
			before, _ := b.Offer()
			feed, _ := b.Place()
			b.stop()
			b = start(t, path)
			after := b.use(step.file)
			if again, _ := b.Place(); again == feed {
				t.Errorf("step %d: one feed for two lives: %s", i, feed)
			}
			if after.Generation < before.Generation {
				t.Errorf("step %d: generation %d after %d", i, after.Generation, before.Generation)
			}
			continue
		}
		o := b.use(step.file)
		if _, seq := b.Place(); o.Generation != step.generation || seq != step.seq {
			t.Errorf("step %d: generation %d and seq %d, want %d and %d", i, o.Generation, seq, step.generation, step.seq)
		}
		decoded, err := bundle.Decode(string(o.Body))
		if err != nil || decoded.Generation != o.Generation || o.ETag != fmt.Sprintf("%s-%d", decoded.Epoch, decoded.Generation) {
			t.Errorf("step %d: ETag %s of generation %+v: %v", i, o.ETag, decoded, err)
		}
	}
}

func TestQuestionsInTheNameOfOlderBundles(t *testing.T) {
	b := start(t, t.TempDir())
	first := b.use(file("realm-0"))
	old := b.instance(first, "r").ID
	second := b.use(file("realm-1"))
	now := b.instance(second, "r").ID
	if old == now {
		t.Fatal("two configurations are one instance")
	}
	for _, test := range []struct {
		generation uint64
		id         string
		known      bool
	}{
		{first.Generation, old, true},
		{first.Generation, "jwt-none", false},
		{second.Generation, now, true},
		{second.Generation, old, true}, // its route stays for one generation
		{second.Generation + 1, now, false},
		{0, now, false},
		{second.Generation, "", false},
	} {
		if got := b.Instance(test.generation, test.id) != nil; got != test.known {
			t.Errorf("generation %d, instance %s: known %v, want %v", test.generation, test.id, got, test.known)
		}
	}
	third := b.use(file("realm-2"))
	if b.Instance(third.Generation, old) != nil {
		t.Error("an instance is known two generations after it has gone")
	}
	for i := range maxGenerations {
		b.use(file(fmt.Sprint("more-", i)))
	}
	if b.Instance(first.Generation, old) != nil {
		t.Errorf("a generation is known after %d others", maxGenerations)
	}
	last, _ := b.Offer()
	if b.Instance(last.Generation-maxGenerations+1, b.instance(last, "r").ID) != nil {
		t.Error("an instance is known in a generation that did not have it")
	}
	if len(b.generation) > maxGenerations {
		t.Errorf("%d generations are kept, want at most %d", len(b.generation), maxGenerations)
	}
}

// Filters of old generations may ask for long, but what they ask about is the
// configuration of a plugin: the credentials of old files are not kept.
func TestOldFilesAreForgotten(t *testing.T) {
	b := start(t, t.TempDir())
	s := b.compile(file("a", "k1=s1"))
	old := weak.Make(s)
	if err := b.Use(s); err != nil {
		t.Fatal(err)
	}
	first, _ := b.Offer()
	instance := b.instance(first, "r").ID
	b.use(file("b", "k1=s1"))
	b.use(file("c", "k1=s1"))
	testenv.Eventually(t, 10*time.Second, "the first file is forgotten", func() bool {
		runtime.GC()
		return old.Value() == nil
	})
	if b.Instance(first.Generation, instance) == nil {
		t.Error("and so is what its filters ask about")
	}
}

func TestChangesSince(t *testing.T) {
	b := start(t, t.TempDir())
	b.use(file("a", "k1=s1", "k2=s1"))
	feed, at := b.Place()
	etag := func() string { o, _ := b.Offer(); return o.ETag }
	if c, ok := b.Changes(feed, at, etag()); ok {
		t.Errorf("a change out of nothing: %+v", c)
	}
	o := b.use(file("a", "k1=s2", "k3=s1"))
	_, end := b.Place()
	for _, test := range []struct {
		name  string
		feed  string
		since uint64
		etag  string
		keys  []string
		reset bool
		ok    bool
	}{
		{"what was changed, removed and added", feed, at, "", []string{"k1", "k2", "k3"}, false, true},
		{"the last of them", feed, end - 1, o.ETag, []string{"k3"}, false, true},
		{"nothing", feed, end, o.ETag, nil, false, false},
		{"only the bundle is another", feed, end, "x", nil, false, true},
		{"another life", "x", at, o.ETag, nil, true, true},
		{"no feed", "", 0, "", nil, true, true},
		{"from the beginning of time", feed, 0, o.ETag, nil, true, true},
		{"the future", feed, end + 1, o.ETag, nil, true, true},
	} {
		c, ok := b.Changes(test.feed, test.since, test.etag)
		if ok != test.ok || c.Reset != test.reset || !slices.Equal(c.Credentials, test.keys) {
			t.Errorf("%s: %+v %v, want %v reset %v %v", test.name, c, ok, test.keys, test.reset, test.ok)
		}
		if c.Feed != feed || c.Seq != end || c.Bundle != o.ETag {
			t.Errorf("%s: at %s %d %s, want %s %d %s", test.name, c.Feed, c.Seq, c.Bundle, feed, end, o.ETag)
		}
	}
}

func TestTheFeedIsBounded(t *testing.T) {
	f := newFeed()
	keys := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprint("k", i)
		}
		return list
	}
	start := f.seq
	since := func(id string, seq uint64) (int, bool) {
		c := wire.Changes{}
		f.since(id, seq, &c)
		return len(c.Credentials) + len(c.Consumers) + len(c.Revoked), c.Reset
	}
	f.add(credentials, keys(maxAnswered))
	if got, reset := since(f.id, start); reset || got != maxAnswered {
		t.Errorf("%d changes, reset %v", got, reset)
	}
	f.add(revoked, keys(1))
	if got, reset := since(f.id, start); !reset || got != 0 {
		t.Errorf("%d changes, reset %v: want a reset beyond %d", got, reset, maxAnswered)
	}
	if got, reset := since(f.id, start+1); reset || got != maxAnswered {
		t.Errorf("%d changes, reset %v", got, reset)
	}
	f.add(consumers, keys(maxChanges))
	if len(f.entries) != maxChanges {
		t.Errorf("%d entries are kept, want %d", len(f.entries), maxChanges)
	}
	if _, reset := since(f.id, start+maxAnswered); !reset {
		t.Error("forgotten changes are passed over")
	}
	if got, reset := since(f.id, f.seq-1); reset || got != 1 {
		t.Errorf("%v, reset %v", got, reset)
	}
	// The exact edge of what is kept: the entry after dropped is the first one.
	small := feed{id: "x", seq: f.dropped, dropped: f.dropped}
	small.add(credentials, []string{"a"})
	since = func(id string, seq uint64) (int, bool) {
		c := wire.Changes{}
		small.since(id, seq, &c)
		return len(c.Credentials), c.Reset
	}
	if got, reset := since("x", f.dropped); reset || got != 1 {
		t.Errorf("%v, reset %v", got, reset)
	}
	if _, reset := since("x", f.dropped-1); !reset {
		t.Error("a change before the first kept one is passed over")
	}
}

func TestABundleThatIsTooLargeChangesNothing(t *testing.T) {
	b := start(t, t.TempDir())
	first := b.use(file("a", "k1=s1"))
	feed, seq := b.Place()
	var big strings.Builder
	big.WriteString(`services: [{name: s, url: "http://127.0.0.1:1", routes: [`)
	for i := range 3000 {
		fmt.Fprintf(&big, "{name: r%d, paths: [/r%d], plugins: [{name: jwt, config: {claims_to_verify: [exp], realm: %q}}]},\n", i, i, strings.Repeat("x", 1500)+fmt.Sprint(i))
	}
	big.WriteString("]}]\n")
	err := b.Use(b.compile(big.String()))
	if err == nil || !strings.Contains(err.Error(), "4194304") {
		t.Fatalf("error %v, want one with the bound", err)
	}
	after, _ := b.Offer()
	if after.ETag != first.ETag || b.Current().Credential("k1") == nil {
		t.Errorf("offer %s, want %s and its credentials", after.ETag, first.ETag)
	}
	if f, s := b.Place(); f != feed || s != seq {
		t.Errorf("the feed has moved to %d", s)
	}
	if next := b.use(file("b", "k1=s1")); next.Generation <= first.Generation {
		t.Errorf("generation %d after %d", next.Generation, first.Generation)
	}
}

func TestAStateDirectoryThatCannotBeWritten(t *testing.T) {
	path := t.TempDir() + "/state"
	b := start(t, path)
	first := b.use(file("a", "k1=s1"))
	if err := os.Rename(path, path+"-moved"); err != nil {
		t.Fatal(err)
	}
	if err := b.Use(b.compile(file("b", "k1=s2"))); err == nil {
		t.Fatal("a bundle whose generation could not be kept is on offer")
	}
	after, _ := b.Offer()
	if after.ETag != first.ETag || b.Current() == nil || b.Instance(first.Generation, b.instance(first, "r").ID) == nil {
		t.Errorf("offer %s, want %s", after.ETag, first.ETag)
	}
}

func oidc(issuer, more string) string {
	return fmt.Sprintf(`
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: openid-connect, config: {issuer: %q, auth_methods: [bearer]}}]}]}]
%s`, issuer, more)
}

func TestKeysOfIssuersReachTheBundle(t *testing.T) {
	s := idp.Start(t)
	b := start(t, t.TempDir())
	remote := fmt.Sprintf("consumers: [{username: a, jwt_secrets: [{key: remote, jwks_uri: %q}, {key: other, secret: x}]}]", s.URL+"/jwks")
	first := b.use(oidc(s.Issuer(), remote))
	trust := b.instance(first, "r").OIDC.TrustID
	keysOf := func() []bundle.Key {
		o, _ := b.Offer()
		return b.instance(o, "r").OIDC.Trust.Keys
	}
	testenv.Eventually(t, 10*time.Second, "the issuer's keys", func() bool { return len(keysOf()) == 1 })
	p := b.Provider(trust)
	feed, at := b.Place()
	s.Add("k2", "ES256", "ec256")
	if _, outcome := p.Lookup(t.Context(), "k2"); outcome != provider.Found {
		t.Fatalf("outcome %v", outcome)
	}
	if keys := keysOf(); len(keys) != 2 {
		t.Errorf("%d keys in the bundle once the new one is known", len(keys))
	}
	if c, ok := b.Changes(feed, at, ""); !ok || c.Reset {
		t.Errorf("changes %+v %v", c, ok)
	}
	// The credential with a key set is told of in the feed, and only that one.
	remoteTrust := b.Current().Credential("remote").Trust
	if _, outcome := b.Provider(remoteTrust).Lookup(t.Context(), "k2"); outcome != provider.Found {
		t.Fatalf("outcome %v", outcome)
	}
	testenv.Eventually(t, 10*time.Second, "the credential in the feed", func() bool {
		c, _ := b.Changes(feed, 2, "")
		return slices.Contains(c.Credentials, "remote") && !slices.Contains(c.Credentials, "other")
	})
	// An issuer that is needed already keeps its keys over a reload.
	b.use(oidc(s.Issuer(), remote+"\n# changed"))
	if b.Provider(trust) != p || len(keysOf()) != 2 {
		t.Error("the issuer is asked anew after a reload")
	}
	// One that is not needed any more stays as long as its routes, and then ends.
	b.use(file("a"))
	if b.Provider(trust) == nil {
		t.Error("the issuer has gone before its route")
	}
	b.use(file("b"))
	if b.Provider(trust) != nil || len(b.Issuers()) != 0 {
		t.Error("the issuer is still asked")
	}
}

// TestReadersAndWriters runs everything at once, for the race detector, and
// holds on to what a reader may rely on: an answer's place never goes back.
func TestReadersAndWriters(t *testing.T) {
	s := idp.Start(t)
	b := start(t, t.TempDir())
	b.use(oidc(s.Issuer(), ""))
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			last, lastGeneration := uint64(0), uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				feed, seq := b.Place()
				if seq < last {
					t.Errorf("seq %d after %d", seq, last)
					return
				}
				last = seq
				o, _ := b.Offer()
				if o.Generation < lastGeneration {
					t.Errorf("generation %d after %d", o.Generation, lastGeneration)
					return
				}
				lastGeneration = o.Generation
				b.Changes(feed, seq, o.ETag)
				b.Instance(o.Generation, "x")
				for _, p := range b.Issuers() {
					p.Current()
				}
			}
		})
	}
	for i := range 30 {
		if i%2 == 0 {
			b.use(file("a", fmt.Sprintf("k%d=s", i)))
		} else {
			b.use(oidc(s.Issuer(), fmt.Sprint("# ", i)))
		}
	}
	close(stop)
	work.Wait()
}

// TestChangesOfOthers: what the snapshot knows nothing of is told like its own, without
// moving the bundle; and nothing is known any more after Forget.
func TestChangesOfOthers(t *testing.T) {
	b := start(t, t.TempDir())
	offer := b.use(file("r", "k=s"))
	feed, seq := b.Place()
	b.Changed([]string{"key-auth:1"}, []string{"id", "app"})
	c, ok := b.Changes(feed, seq, offer.ETag)
	if !ok || c.Reset || !slices.Equal(c.Credentials, []string{"key-auth:1"}) || !slices.Equal(c.Consumers, []string{"id", "app"}) || c.Bundle != offer.ETag || c.Seq != seq+3 {
		t.Errorf("%+v", c)
	}
	if _, ok := b.Changes(feed, c.Seq, offer.ETag); ok {
		t.Error("a change is told twice")
	}
	b.Changed(nil, nil)
	if _, now := b.Place(); now != c.Seq {
		t.Error("nothing is a change")
	}
	b.Forget()
	again, ok := b.Changes(feed, c.Seq, offer.ETag)
	if !ok || !again.Reset || again.Feed == feed {
		t.Errorf("%+v", again)
	}
	if o, _ := b.Offer(); o.ETag != offer.ETag {
		t.Error("the bundle has moved")
	}
}
