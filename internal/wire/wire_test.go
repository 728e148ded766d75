package wire

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// text returns random text, often none.
func text(r *rand.Rand) string {
	words := []string{"", "", "a", `quote " and \`, "ümlaut", "\x00", "eyJhbGciOiJSUzI1NiJ9.e30", "<&>"}
	return words[r.IntN(len(words))] + words[r.IntN(len(words))]
}

func randomBytes(r *rand.Rand, n int) string {
	b := make([]byte, r.IntN(n))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return string(b)
}

func texts(r *rand.Rand) (list []string) {
	for range r.IntN(3) {
		list = append(list, text(r))
	}
	return list
}

func TestRoundTrips(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		alg := jose.Unsupported
		if r.IntN(2) == 0 {
			alg = jose.ParseAlg(jose.Algs()[r.IntN(len(jose.Algs()))])
		}
		q := Question{Kind: Kind(1 + r.IntN(int(kinds)-1)), Instance: text(r), Generation: r.Uint64N(1 << 50), Key: text(r), Trust: text(r), Credential: text(r),
			KeyID: text(r), Alg: alg, Input: text(r), Signature: randomBytes(r, 100)}
		q.By, q.Value = texts(r), text(r)
		if q.Kind.OfBrowser() {
			q.Request = &Request{ID: text(r), Method: text(r), Scheme: text(r), Authority: text(r), Path: text(r), Route: text(r),
				Navigation: r.IntN(2) == 0, Attempt: r.Int64N(3), Peer: text(r), Port: r.Int64N(65536), ForwardedHost: text(r), ForwardedPort: text(r)}
			for range r.IntN(4) {
				q.Request.Cookies = append(q.Request.Cookies, Cookie{text(r), text(r)})
			}
		}
		if got, ok := DecodeQuestion(string(q.Encode())); !ok || !reflect.DeepEqual(got, q) {
			t.Fatalf("seed %d: %+v, %v from %s", seed, got, ok, q.Encode())
		}
		a := Answer{Feed: "f" + text(r), Seq: r.Uint64N(1 << 50), Verdict: Verdict(r.IntN(3))}
		if code := reason.Code(r.IntN(reason.Count)); !code.Passes() {
			a.Code = code
		}
		a.SetCookies = texts(r)
		if r.IntN(2) == 0 {
			a.Consumer = &bundle.Consumer{ID: "c" + text(r), Username: text(r), CustomID: text(r)}
			a.Session = &Session{ID: "s" + text(r), Keys: append(texts(r), "k"), Access: text(r), Claims: text(r), Info: text(r), Token: text(r),
				IDToken: text(r), Opaque: r.IntN(2) == 0, Until: r.Int64N(1 << 40), SetCookies: texts(r)}
		}
		if r.IntN(2) == 0 || a.Code.Step() {
			a.Response = &Response{Status: 200 + r.Int64N(400), Body: text(r)}
			for _, name := range texts(r) {
				a.Response.Headers = append(a.Response.Headers, Header{name, text(r)})
			}
		}
		if r.IntN(2) == 0 {
			a.Credential = &bundle.Credential{ID: "i" + text(r), Key: text(r), Version: "v", Leeway: 3, Keys: []bundle.Key{{ID: text(r), DER: randomBytes(r, 50)}}}
		}
		if r.IntN(2) == 0 {
			a.Trust = &bundle.Trust{ID: "t", Hash: "h", Issuers: []string{text(r)}}
		}
		if got, ok := DecodeAnswer(string(a.Encode())); !ok || !reflect.DeepEqual(got, a) {
			t.Fatalf("seed %d: %+v, %v from %s", seed, got, ok, a.Encode())
		}
		c := Changes{Feed: "f" + text(r), Seq: r.Uint64N(1 << 50), Bundle: "e" + text(r), Reset: r.IntN(2) == 0}
		for range r.IntN(4) {
			c.Credentials = append(c.Credentials, text(r))
		}
		c.Consumers, c.Revoked = texts(r), texts(r)
		if got, ok := DecodeChanges(string(c.Encode())); !ok || !reflect.DeepEqual(got, c) {
			t.Fatalf("seed %d: %+v, %v from %s", seed, got, ok, c.Encode())
		}
	}
}

func TestKinds(t *testing.T) {
	for kind, word := range map[Kind]string{Lookup: "lookup", Verify: "verify", Keys: "keys", Consumer: "consumer", Open: "open", Establish: "establish",
		Begin: "begin", Callback: "callback", Logout: "logout", APIKey: "api_key", Password: "password", 0: "", kinds: "", 255: ""} {
		if kind.String() != word {
			t.Errorf("kind %d is %q, want %q", kind, kind, word)
		}
	}
}

func TestDecodeQuestion(t *testing.T) {
	for src, ok := range map[string]bool{
		`{"kind":"lookup"}`:                                 true,
		`{"kind":"keys","generation":0}`:                    true,
		`{"kind":"keys","generation":7}`:                    true,
		`{"kind":"verify","later":true}`:                    true,
		`{"kind":"verify","signature":"AQID"}`:              true,
		`{"kind":"open","request":{"cookies":[["a","b"]]}}`: true,
		`{"kind":"api_key","value":"k"}`:                    true,
		`{"kind":"password","key":"u","value":"p"}`:         true,
		`{"kind":"api_key","request":{}}`:                   false,
		`{"kind":"open"}`:                                   false,
		`{"kind":"keys","request":{}}`:                      false,
		`{"kind":"open","request":[]}`:                      false,
		`{"kind":"open","request":{"cookies":[["a"]]}}`:     false,
		`{"kind":"open","request":{"cookies":[["a",1]]}}`:   false,
		`{"kind":"open","request":{"cookies":{"a":"b"}}}`:   false,
		`{"kind":"open","request":{"cookies":[{"a":"b"}]}}`: false,
		`{"kind":"begin","request":{"port":"80"}}`:          false,
		`{"kind":"begin","request":{"port":-1}}`:            false,
		`{"kind":"begin","request":{"navigation":1}}`:       false,
		`{"kind":"consumer","by":["id"],"value":"x"}`:       true,
		`{"kind":"consumer","by":"id","value":"x"}`:         false,
		`{}`:                                                  false,
		`{"kind":""}`:                                         false,
		`{"kind":"another"}`:                                  false,
		`{"kind":"Lookup"}`:                                   false,
		`{"kind":1}`:                                          false,
		`{"kind":"lookup","kind":"lookup"}`:                   false,
		`{"kind":"lookup","key":7}`:                           false,
		`{"kind":"lookup","key":null}`:                        false,
		`{"kind":"lookup","instance":["p"]}`:                  false,
		`{"kind":"lookup","generation":-1}`:                   false,
		`{"kind":"lookup","generation":1.5}`:                  false,
		`{"kind":"lookup","generation":"7"}`:                  false,
		`{"kind":"verify","alg":"none"}`:                      false,
		`{"kind":"verify","alg":"rs256"}`:                     false,
		`{"kind":"verify","signature":"AQI="}`:                false, // padding
		`{"kind":"verify","signature":"AQJ"}`:                 false, // not canonical
		`{"kind":"verify","signature":"A+/_"}`:                false,
		`{"kind":"verify","x":{"y":{"z":{"a":{"b":1}}}}}`:     false, // too deep
		`["kind","lookup"]`:                                   false,
		`"lookup"`:                                            false,
		``:                                                    false,
		`{"kind":"lookup"} {}`:                                false,
		`{"kind":"lookup","key":"` + long(MaxQuestion) + `"}`: false,
	} {
		if _, got := DecodeQuestion(src); got != ok {
			t.Errorf("%.80s: %v", src, got)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// An answer that would let somebody pass, or that says what this version does not
// know, is none.
func TestDecodeAnswer(t *testing.T) {
	for src, ok := range map[string]bool{
		`{"feed":"f"}`:                                       true,
		`{"feed":"f","seq":0,"valid":false}`:                 true,
		`{"feed":"f","seq":3,"valid":true}`:                  true,
		`{"feed":"f","later":{"a":[1]}}`:                     true,
		`{"feed":"f","code":"key_unknown"}`:                  true,
		`{"feed":"f","trust":{"id":"t","hash":"h"}}`:         true,
		`{"feed":"f","credential":{"id":"i","version":"v"}}`: true,
		`{}`:          false,
		`{"feed":""}`: false,
		`{"feed":"f","response":{"status":302,"headers":[["location","/"]],"body":"x"}}`: true,
		`{"feed":"f","response":{"status":100}}`:                                         false,
		`{"feed":"f","response":{}}`:                                                     false,
		`{"feed":"f","response":{"status":200,"headers":[["a"]]}}`:                       false,
		`{"feed":"f","session":{"id":"s","keys":["k"]}}`:                                 true,
		`{"feed":"f","session":{"id":"s"}}`:                                              false,
		`{"feed":"f","session":{"keys":["k"]}}`:                                          true,
		`{"feed":"f","session":[]}`:                                                      false,
		`{"feed":"f","consumer":{"id":"c"}}`:                                             true,
		`{"feed":"f","consumer":{"username":"c"}}`:                                       false,
		`{"feed":"f","consumer":null}`:                                                   false,
		`{"feed":"f","set_cookies":"a=b"}`:                                               false,
		`{"feed":7}`:                                                                     false,
		`{"feed":"f","seq":-1}`:                                                          false,
		`{"feed":"f","seq":"1"}`:                                                         false,
		`{"feed":"f","seq":1e2}`:                                                         false,
		`{"feed":"f","valid":1}`:                                                         false,
		`{"feed":"f","valid":null}`:                                                      false,
		`{"feed":"f","code":"allowed"}`:                                                  false,
		`{"feed":"f","code":"allowed_anonymous"}`:                                        false,
		`{"feed":"f","code":"unprotected"}`:                                              false,
		`{"feed":"f","code":"preflight"}`:                                                false,
		`{"feed":"f","code":"of a later version"}`:                                       false,
		`{"feed":"f","code":""}`:                                                         false,
		`{"feed":"f","code":7}`:                                                          false,
		`{"feed":"f","code":null}`:                                                       false,
		`{"feed":"f","trust":null}`:                                                      false,
		`{"feed":"f","trust":{}}`:                                                        false,
		`{"feed":"f","credential":{}}`:                                                   false,
		`{"feed":"f","credential":{"id":"i","version":"v","alg":["x"]}}`:                 false,
		`{"feed":"f","feed":"f"}`:                                                        false,
		`[]`:                                                                             false,
		`null`:                                                                           false,
		``:                                                                               false,
		`{"feed":"f","x":[[[[[[1]]]]]]}`:                                                 false,
		`{"feed":"` + long(MaxAnswer) + `"}`:                                             false,
		`{"feed":"f","x":[` + strings.Repeat("1,", 1<<14) + `1]}`:                        false,
	} {
		a, got := DecodeAnswer(src)
		if got != ok {
			t.Errorf("%.80s: %v", src, got)
		}
		if !got && !reflect.DeepEqual(a, Answer{}) {
			t.Errorf("%.80s: %+v beside a refusal", src, a)
		}
	}
}

// No code that passes, whichever it is, comes through the wire.
func TestNoAnswerPasses(t *testing.T) {
	for c := range reason.Count {
		code := reason.Code(c)
		a, ok := DecodeAnswer(`{"feed":"f","code":"` + code.Error() + `"}`)
		if ok == (code.Passes() || code.Step()) || a.Code.Passes() { // a step is nothing without its response
			t.Errorf("%s: %v, %s", code, ok, a.Code)
		}
		a, ok = DecodeAnswer(`{"feed":"f","code":"` + code.Error() + `","response":{"status":200}}`)
		if ok == code.Passes() || a.Code.Passes() {
			t.Errorf("%s with a response: %v, %s", code, ok, a.Code)
		}
	}
}

func TestDecodeChanges(t *testing.T) {
	for src, ok := range map[string]bool{
		`{"feed":"f","bundle":"e"}`:                              true,
		`{"feed":"f","bundle":"e","seq":9,"reset":true}`:         true,
		`{"feed":"f","bundle":"e","credentials":[]}`:             true,
		`{"feed":"f","bundle":"e","credentials":["a"],"more":1}`: true,
		`{"feed":"f"}`:                                    false,
		`{"bundle":"e"}`:                                  false,
		`{"feed":"f","bundle":""}`:                        false,
		`{"feed":"f","bundle":7}`:                         false,
		`{"feed":"","bundle":"e"}`:                        false,
		`{"feed":"f","bundle":"e","seq":-1}`:              false,
		`{"feed":"f","bundle":"e","reset":1}`:             false,
		`{"feed":"f","bundle":"e","credentials":"a"}`:     false,
		`{"feed":"f","bundle":"e","credentials":[1]}`:     false,
		`{"feed":"f","bundle":"e","credentials":{"a":1}}`: false,
		`[]`: false,
		``:   false,
		`{"feed":"f","bundle":"` + long(MaxChanges) + `"}`: false,
	} {
		c, got := DecodeChanges(src)
		if got != ok {
			t.Errorf("%.80s: %v", src, got)
		}
		if !got && !reflect.DeepEqual(c, Changes{}) {
			t.Errorf("%.80s: %+v beside a refusal", src, c)
		}
	}
	if got := ChangesPath("f", "3", "e"); got != "/v1/changes?feed=f&since=3&bundle=e" {
		t.Error(got)
	}
}

// A question has room for the longest token that the filter reads.
func TestBounds(t *testing.T) {
	q := Question{Kind: Verify, Instance: long(500), Trust: long(500), KeyID: strings.Repeat("\x01", jose.MaxToken/4), Alg: jose.PS512,
		Input: long(jose.MaxToken), Signature: long(1024)}
	if _, ok := DecodeQuestion(string(q.Encode())); !ok {
		t.Errorf("a question of %d bytes is refused", len(q.Encode()))
	}
}

// FuzzDecode: no input crashes a decoder, no answer passes, and what is taken is
// taken for good.
func FuzzDecode(f *testing.F) {
	q := Question{Kind: Verify, Instance: "p", Generation: 3, Trust: "t", KeyID: "k", Alg: jose.RS256, Input: "a.b", Signature: "\x01\x02"}
	a := Answer{Feed: "f", Seq: 1, Verdict: Valid, Trust: &bundle.Trust{ID: "t", Hash: "h"}, Credential: &bundle.Credential{ID: "i", Version: "v"}}
	c := Changes{Feed: "f", Seq: 1, Bundle: "e", Credentials: []string{"k"}, Reset: true}
	for _, s := range [][]byte{q.Encode(), a.Encode(), c.Encode(), []byte(`{"feed":"f","code":"allowed"}`), []byte(`{"kind":"lookup","signature":"AQJ"}`)} {
		f.Add(string(s))
	}
	f.Fuzz(func(t *testing.T, src string) {
		if q, ok := DecodeQuestion(src); ok {
			if again, ok := DecodeQuestion(string(q.Encode())); !ok || !reflect.DeepEqual(again, q) || q.Kind.String() == "" {
				t.Errorf("%+v, then %+v", q, again)
			}
		}
		if a, ok := DecodeAnswer(src); ok {
			if again, ok := DecodeAnswer(string(a.Encode())); !ok || string(again.Encode()) != string(a.Encode()) || a.Code.Passes() || a.Feed == "" {
				t.Errorf("%+v, then %+v", a, again)
			}
		}
		if c, ok := DecodeChanges(src); ok {
			if again, ok := DecodeChanges(string(c.Encode())); !ok || string(again.Encode()) != string(c.Encode()) || c.Feed == "" || c.Bundle == "" {
				t.Errorf("%+v, then %+v", c, again)
			}
		}
	})
}
