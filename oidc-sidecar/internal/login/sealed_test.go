package login

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
)

// opens reports whether a request's cookies open a session, and whose.
func opens(in *Instance, scheme string, cookies ...wire.Cookie) (string, bool) {
	rec, code := in.unseal(&wire.Request{Scheme: scheme, Cookies: cookies})
	if code != reason.Unspecified {
		return "", false
	}
	return rec.Subject, true
}

func sealedFor(t testing.TB, in *Instance, subject string) []wire.Cookie {
	t.Helper()
	lines, code := in.seal(in.sessionOf(subject, still()), &wire.Request{Scheme: "http"}, still())
	if code != reason.Unspecified {
		t.Fatal(code)
	}
	return cookiesOf(lines)
}

// TestEveryBit flips each bit of a session, and each of a flow.
func TestEveryBit(t *testing.T) {
	in := instance(t, nil)
	cookies := sealedFor(t, in, "alice")
	if who, ok := opens(in, "http", cookies...); !ok || who != "alice" || len(cookies) != 1 {
		t.Fatalf("the session does not open: %q in %d cookies", who, len(cookies))
	}
	value := cookies[0].Value
	for i := range len(value) * 8 {
		b := []byte(value)
		b[i/8] ^= 1 << (i % 8)
		if who, ok := opens(in, "http", wire.Cookie{Name: "session", Value: string(b)}); ok {
			t.Fatalf("bit %d of %q may be anything: %q", i, value, who)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(value[2:])
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		raw[i/8] ^= 1 << (i % 8)
		if _, ok := opens(in, "http", wire.Cookie{Name: "session", Value: "1." + base64.RawURLEncoding.EncodeToString(raw)}); ok {
			t.Fatalf("bit %d may be anything", i)
		}
		raw[i/8] ^= 1 << (i % 8)
	}
	for n := range len(value) {
		if _, ok := opens(in, "http", wire.Cookie{Name: "session", Value: value[:n]}); ok {
			t.Fatalf("%d characters are enough", n)
		}
	}
	flow := in.Ring.Seal(sealFlow, append(in.realm("authorization"), "0123456789abc"), []byte("{}"))
	for i := range len(flow) * 8 {
		b := []byte(flow)
		b[i/8] ^= 1 << (i % 8)
		if _, err := in.Ring.Open(sealFlow, append(in.realm("authorization"), "0123456789abc"), string(b)); err == nil {
			t.Fatalf("bit %d of a flow may be anything", i)
		}
	}
	if _, err := in.Ring.Open(sealFlow, append(in.realm("authorization"), "0123456789abd"), flow); err == nil {
		t.Error("a flow opens under another's name")
	}
}

// TestRealms: what differs in anything that a login is asked for opens nothing.
func TestRealms(t *testing.T) {
	home := instance(t, nil)
	cookies := sealedFor(t, home, "alice")
	for name, change := range map[string]func(c *declarative.OIDCConfig){
		"issuer":           func(c *declarative.OIDCConfig) { c.IssuerURL += "/" },
		"issuers_allowed":  func(c *declarative.OIDCConfig) { c.IssuersAllowed = []string{"x"} },
		"audience":         func(c *declarative.OIDCConfig) { c.Audience = []string{"x"} },
		"ssl_verify":       func(c *declarative.OIDCConfig) { c.Verify = false },
		"client":           func(c *declarative.OIDCConfig) { c.Login.ClientIDs = []string{"other"} },
		"clients":          func(c *declarative.OIDCConfig) { c.Login.ClientIDs = []string{"app", ""} },
		"scopes":           func(c *declarative.OIDCConfig) { c.Login.Scopes = []string{"openid", "x"} },
		"session_audience": func(c *declarative.OIDCConfig) { c.Login.SessionAudience = "x" },
		"instance_name":    func(c *declarative.OIDCConfig) { c.Login.InstanceName = "x" },
		"domains":          func(c *declarative.OIDCConfig) { c.Login.Domains = []string{"x"} },
		"max_age":          func(c *declarative.OIDCConfig) { c.Login.MaxAge = 0 },
		"verify_signature": func(c *declarative.OIDCConfig) { c.Login.SkipSignature = true },
		"token_endpoint":   func(c *declarative.OIDCConfig) { c.Login.Endpoints.Token = "https://x" },
		"userinfo":         func(c *declarative.OIDCConfig) { c.Login.Endpoints.UserInfo = "https://x" },
	} {
		in := instance(t, change)
		if _, ok := opens(in, "http", cookies...); ok {
			t.Errorf("another %s: it opens", name)
		}
		if _, ok := opens(home, "http", sealedFor(t, in, "bob")...); ok {
			t.Errorf("another %s: its own opens here", name)
		}
	}
	other := instance(t, func(c *declarative.OIDCConfig) { c.Login.SessionCookie.Name = "mine" })
	if _, ok := opens(other, "http", wire.Cookie{Name: "mine", Value: cookies[0].Value}); ok {
		t.Error("it opens under another name")
	}
	stranger := instance(t, nil)
	stranger.Ring = ringOf(t, "t")
	if _, ok := opens(stranger, "http", cookies...); ok {
		t.Error("it opens with another secret")
	}
	if _, ok := opens(home, "https", cookies...); ok {
		t.Error("over https the name has a prefix")
	}
	if who, ok := opens(instance(t, func(c *declarative.OIDCConfig) { c.Login.Idling = 5; c.Timeout = 1 }), "http", cookies...); !ok || who != "alice" {
		t.Error("an equal instance does not open it")
	}
}

// TestAdmits: what a bearer token began opens only what takes that token.
func TestAdmits(t *testing.T) {
	home := instance(t, nil)
	rec := home.newRecord(sourceBearer, still())
	rec.Issuer, rec.Subject, rec.Access = issuer, "alice", "e30.e30.AA"
	if home.admits(rec) {
		t.Error("a token that is none")
	}
	rec = home.sessionOf("alice", still())
	if !instance(t, func(c *declarative.OIDCConfig) { c.Login.BearerSession = false }).admits(rec) {
		t.Error("a login")
	}
}

// FuzzOpen cuts cookies apart and puts them together anew: nobody is let in but by
// exactly the cookies that were sealed here. (What is sealed differs from process to
// process, so the input says what is done to it.)
func FuzzOpen(f *testing.F) {
	in := instance(f, nil)
	long := in.sessionOf("long", still())
	long.Access = base64.RawURLEncoding.EncodeToString(noiseOf(5000))
	lines, code := in.seal(long, &wire.Request{Scheme: "http"}, still())
	if code != reason.Unspecified {
		f.Fatal(code)
	}
	people := map[string][]wire.Cookie{"alice": sealedFor(f, in, "alice"), "long": cookiesOf(lines)}
	names := append(seal.Names("session"), "Session", "session_9", "__Host-session", "authorization_0123456789abc")
	f.Add(false, uint16(0), uint16(0), "", uint8(0), uint8(0), "")
	f.Add(true, uint16(0), uint16(0), "", uint8(0), uint8(0), "")
	f.Add(true, uint16(0), uint16(1), "3", uint8(0), uint8(1), "AAAA")
	f.Add(false, uint16(40), uint16(1), "A", uint8(0), uint8(9), "x")
	f.Add(true, uint16(3), uint16(4000), "", uint8(1), uint8(1), "")
	f.Fuzz(func(t *testing.T, several bool, at, cut uint16, put string, which, name uint8, more string) {
		who := map[bool]string{false: "alice", true: "long"}[several]
		r := &wire.Request{Scheme: "http", Cookies: append([]wire.Cookie(nil), people[who]...)}
		c := &r.Cookies[int(which)%len(r.Cookies)]
		from := min(int(at), len(c.Value))
		c.Value = c.Value[:from] + put + c.Value[min(from+int(cut), len(c.Value)):]
		if more != "" {
			r.Cookies = append(r.Cookies, wire.Cookie{Name: names[int(name)%len(names)], Value: more})
		}
		rec, code := in.unseal(r)
		if code != reason.Unspecified {
			if code != reason.SessionInvalid || rec != nil {
				t.Fatalf("%v", code)
			}
			return
		}
		if rec.Subject != who || fmt.Sprint(r.Cookies[:len(people[who])]) != fmt.Sprint(people[who]) {
			t.Fatalf("%q is let in by other cookies: %q", rec.Subject, r.Cookies)
		}
	})
}

// noiseOf is the same noise every time, so that a fuzzer's seeds stay what they are.
func noiseOf(n int) []byte {
	out := make([]byte, n)
	x := uint32(1)
	for i := range out {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		out[i] = byte(x)
	}
	return out
}

func TestReadResponse(t *testing.T) {
	for path, want := range map[string]bool{
		"/cb?code=c&state=s":                   true,
		"/cb?error=e&state=s":                  true,
		"/cb?code=c&state=s&iss=i":             true,
		"/cb?code=c&state=s&iss=":              true, // there, and wrong
		"/cb?code=c&state=s&x=1&x=2":           true,
		"/cb?code=c":                           false,
		"/cb?state=s":                          false,
		"/cb?code=&state=s":                    false,
		"/cb?code=c&state=":                    false,
		"/cb?code=c&error=e&state=s":           false,
		"/cb?code=c&code=c&state=s":            false,
		"/cb?code=c&state=s&state=s":           false,
		"/cb?code=c&state=s&iss=i&iss=i":       false,
		"/cb?error=e&error=f&state=s":          false,
		"/cb?c%6fde=c&code=c&state=s":          false,
		"/cb?code=c&state=s&error_description": true,
		"/cb?error=e&state=s&error_description=a&error_description=b": false,
		"/cb?code=c;state=s":       false,
		"/cb?code=c&state=s&a;b=1": false,
		"/cb?code=%zz&state=s":     false,
		"/cb?Code=c&state=s":       false,
		"/cb":                      false,
		"/cb?":                     false,
		"":                         false,
		"/cb?a?code=c&state=s":     false,
	} {
		r, ok := readResponse(path)
		if ok != want {
			t.Errorf("%s: %v %+v", path, ok, r)
		}
		if r.hasIssuer != strings.Contains(path, "iss=") {
			t.Errorf("%s: hasIssuer %v", path, r.hasIssuer)
		}
	}
}

// FuzzReadResponse: there is one of each, and the code is the one that is written.
func FuzzReadResponse(f *testing.F) {
	for _, s := range []string{"/?code=c&state=s", "/?code=c&state=s&iss=i", "/?a=b&%63ode=c&state=s", "?code=c&state=s&code=d", "/?error=e&state=s;x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, ok := readResponse(path)
		if !ok {
			return
		}
		_, query, _ := strings.Cut(path, "?")
		values, err := url.ParseQuery(query)
		if err != nil || len(values["state"]) != 1 || len(values["code"])+len(values["error"]) == 0 || len(values["iss"]) > 1 || values.Get("code") != r.code || (r.code == "") == (r.err == "") {
			t.Fatalf("%q is read as %+v", path, r)
		}
	})
}
