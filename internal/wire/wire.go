// Package wire is the only contract between filter and sidecar: HTTP/1.1 over a
// Unix socket (or mutual TLS), three resources, JSON.
//
//	GET  /v1/bundle    the bundle, with an ETag; 304 when If-None-Match has it
//	GET  /v1/changes   what happened since the filter last asked; 204 for nothing
//	POST /v1/ask       one question, one answer
//
// Every request and answer carries the header sallyport-wire with Version. A
// sidecar that does not speak the filter's version answers 400 with its own in
// that header; a filter that sees another version than its own, or none, denies
// with reason.SidecarVersion. Within a version, members that a reader does not
// know are stepped over and a kind of question that it does not know is refused.
//
// A question names the plugin instance and the generation of the bundle it
// comes from; the sidecar refuses those it does not know (reason.SidecarRefused),
// so that an old filter is never answered by the rules of a new file.
//
// Both sides link it: it must never import fmt, reflection or net/http.
package wire

import (
	"encoding/base64"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// Version of the contract, and the header that carries it.
const (
	Version       = "1"
	VersionHeader = "sallyport-wire"
)

// Resources.
const (
	PathBundle  = "/v1/bundle"
	PathChanges = "/v1/changes"
	PathAsk     = "/v1/ask"
)

// Bounds on bodies. A question holds at most one token, or the cookies of a session
// and a path that may be six times as long once it is escaped; an answer at most one
// key set.
const (
	MaxQuestion = 128 << 10
	MaxAnswer   = 1 << 20
	MaxChanges  = 256 << 10
)

// Kind is a kind of question. The zero Kind is none.
type Kind uint8

// The kinds.
const (
	// Lookup asks for the credential with Key. Where Alg is one that the filter
	// cannot verify, Input and Signature come along and the answer judges them too.
	Lookup Kind = iota + 1
	// Verify asks whether Signature holds for Input under a key of Trust or of Credential.
	Verify
	// Keys asks for the key KeyID of Trust or of Credential, unknown to the filter so far.
	Keys
	// Consumer asks for the consumer whose By has Value.
	Consumer
	// Inquire hands over a credential that only its issuer can judge. Method says how
	// it is to be asked, Value is the credential, Sent what the caller adds for the issuer.
	Inquire
	// Open asks for the session of the cookies of Request.
	Open
	// Establish asks for a session for the bearer token Input and Signature.
	Establish
	// Begin asks for the redirection to the identity provider.
	Begin
	// Callback hands over what the identity provider sent the browser back with.
	Callback
	// Logout asks for the end of a session.
	Logout
	// APIKey asks whose the API key Value is.
	APIKey
	// Password asks whether Value is the password of the user name Key.
	Password

	kinds // keep last
)

var kindNames = [kinds]string{
	Lookup: "lookup", Verify: "verify", Keys: "keys", Consumer: "consumer", Inquire: "inquire",
	Open: "open", Establish: "establish", Begin: "begin", Callback: "callback", Logout: "logout",
	APIKey: "api_key", Password: "password",
}

// String returns the word on the wire.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// AsksIssuer reports whether a question of the kind may wait for an identity provider
// for long.
func (k Kind) AsksIssuer() bool { return k == Inquire || k.OfBrowser() && k != Establish }

// OfBrowser reports whether a question of the kind has a Request.
func (k Kind) OfBrowser() bool { return k >= Open && k <= Logout }

// Question is what a filter cannot answer itself.
type Question struct {
	Kind       Kind
	Instance   string // the plugin instance that asks
	Generation uint64 // of the bundle that names the instance
	Key        string // Lookup; Password: the user name
	Trust      string // Verify and Keys: a trust record …
	Credential string // … or a credential, by its key
	KeyID      string // kid of the token
	Alg        jose.Alg
	Input      string // JWS signing input
	Signature  string // decoded

	By      []string // Consumer: id, username, custom_id; the first that fits counts
	Value   string   // Consumer; Inquire: a token, or user and password with a colon between; APIKey and Password: the secret
	Method  string   // Inquire: one of the methods of bundle.Method
	Beside  string   // Inquire about an ID token: the access token that it came with
	Sent    []Header // Inquire: what the configuration lets callers add, by name
	Request *Request // Open and what follows it
}

// Encode returns the question's body.
func (q *Question) Encode() []byte {
	w := &jsonx.Writer{Buf: make([]byte, 0, 256+len(q.Input)+2*len(q.Signature))}
	w.Open('{')
	w.StringMember("kind", q.Kind.String())
	w.StringMember("instance", q.Instance)
	w.IntMember("generation", int64(q.Generation))
	w.StringMember("key", q.Key)
	w.StringMember("trust", q.Trust)
	w.StringMember("credential", q.Credential)
	w.StringMember("kid", q.KeyID)
	w.StringMember("alg", q.Alg.String())
	w.StringMember("input", q.Input)
	if q.Signature != "" {
		w.StringMember("signature", base64.RawURLEncoding.EncodeToString([]byte(q.Signature)))
	}
	w.StringsMember("by", q.By)
	w.StringMember("value", q.Value)
	w.StringMember("method", q.Method)
	w.StringMember("beside", q.Beside)
	writePairs(w, "sent", q.Sent)
	if q.Request != nil {
		w.Name("request")
		q.Request.write(w)
	}
	w.Close('}')
	return w.Buf
}

// DecodeQuestion reads a question's body; ok is false when it is none.
func DecodeQuestion(src string) (q Question, ok bool) {
	doc, err := jsonx.Parse(src, jsonx.Limits{Bytes: MaxQuestion, Depth: 4, Nodes: 512})
	if err != nil {
		return Question{}, false
	}
	root := doc.Root()
	ok = root.Kind() == jsonx.Object
	text := func(name string) string {
		v := root.Get(name)
		s, isText := v.Text()
		ok = ok && (isText || !v.Exists())
		return s
	}
	kind := text("kind")
	for k, name := range kindNames {
		if name == kind && kind != "" {
			q.Kind = Kind(k)
		}
	}
	q.Instance, q.Key, q.Trust = text("instance"), text("key"), text("trust")
	q.Credential, q.KeyID, q.Input = text("credential"), text("kid"), text("input")
	if name := text("alg"); name != "" {
		q.Alg = jose.ParseAlg(name)
		ok = ok && q.Alg != jose.Unsupported
	}
	if v := root.Get("generation"); v.Exists() {
		n, isInt := v.Int()
		ok = ok && isInt && n >= 0
		q.Generation = uint64(n)
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(text("signature"))
	q.Signature = string(sig)
	d := &reader{}
	q.By, q.Value = d.texts(root.Get("by")), text("value")
	q.Method, q.Beside = text("method"), text("beside")
	d.pairs(root.Get("sent"), func(name, value string) { q.Sent = append(q.Sent, Header{name, value}) })
	var okRequest bool
	q.Request, okRequest = readRequest(root.Get("request"))
	return q, ok && err == nil && q.Kind != 0 && !d.bad && okRequest && (q.Request != nil) == q.Kind.OfBrowser()
}

// Verdict is what the sidecar found out about a signature. The zero Verdict
// says that it was not asked.
type Verdict uint8

// The verdicts.
const (
	Unjudged Verdict = iota
	Valid
	Invalid
)

// Answer is the sidecar's answer. Code is reason.Unspecified when the question
// could be answered; else it is the outcome: CredentialUnknown, KeyUnknown,
// KeysThrottled, IssuerUnavailable, SidecarRefused, SidecarVersion, Overloaded …
type Answer struct {
	Code       reason.Code
	Credential *bundle.Credential // Lookup; Keys for a credential; APIKey, Password
	Trust      *bundle.Trust      // Keys for a trust record
	Verdict    Verdict            // Verify; Lookup that brought a token
	Consumer   *bundle.Consumer   // Consumer
	Session    *Session           // Open, Inquire
	// Until is when a refusal has to be asked for again, in Unix seconds; 0: it is not
	// to be remembered.
	Until int64 // Inquire
	// Response is what the client gets, for Begin, Callback and Logout. Code says what
	// it is: a step of a login, or why there is none.
	Response *Response
	// SetCookies are values of Set-Cookie beside an answer that lets the request
	// go on: Establish.
	SetCookies []string

	// Feed and Seq say how much of the changes the answer knows of. A filter that
	// has seen later ones uses the answer once and does not keep it.
	Feed string
	Seq  uint64
}

// Encode returns the answer's body.
func (a *Answer) Encode() []byte {
	w := &jsonx.Writer{}
	w.Open('{')
	if a.Code != reason.Unspecified {
		w.StringMember("code", a.Code.Error())
	}
	if a.Credential != nil {
		w.Name("credential")
		a.Credential.Write(w)
	}
	if a.Trust != nil {
		w.Name("trust")
		a.Trust.Write(w)
	}
	if a.Verdict != Unjudged {
		w.Name("valid")
		w.Bool(a.Verdict == Valid)
	}
	if a.Consumer != nil {
		w.Name("consumer")
		a.Consumer.Write(w)
	}
	if a.Session != nil {
		w.Name("session")
		a.Session.write(w)
	}
	w.IntMember("until", a.Until)
	if a.Response != nil {
		w.Name("response")
		a.Response.write(w)
	}
	w.StringsMember("set_cookies", a.SetCookies)
	w.StringMember("feed", a.Feed)
	w.IntMember("seq", int64(a.Seq))
	w.Close('}')
	return w.Buf
}

// DecodeAnswer reads an answer's body; ok is false when it is none. A code that
// would be a pass, or that this version does not know, makes it none.
func DecodeAnswer(src string) (a Answer, ok bool) {
	doc, err := jsonx.Parse(src, jsonx.Limits{Bytes: MaxAnswer, Depth: 6, Nodes: 1 << 14})
	if err != nil {
		return Answer{}, false
	}
	root := doc.Root()
	if root.Kind() != jsonx.Object {
		return Answer{}, false
	}
	var okPlace bool
	if a.Feed, a.Seq, okPlace = readPlace(root); !okPlace {
		return Answer{}, false
	}
	if v := root.Get("code"); v.Exists() {
		word, isText := v.Text()
		code, known := reason.Parse(word)
		if !isText || !known || code.Passes() {
			return Answer{}, false
		}
		a.Code = code
	}
	if v := root.Get("credential"); v.Exists() {
		if a.Credential = bundle.ReadCredential(v); a.Credential == nil {
			return Answer{}, false
		}
	}
	if v := root.Get("trust"); v.Exists() {
		if a.Trust = bundle.ReadTrust(v); a.Trust == nil {
			return Answer{}, false
		}
	}
	if v := root.Get("valid"); v.Exists() {
		valid, isBool := v.Bool()
		if !isBool {
			return Answer{}, false
		}
		a.Verdict = Invalid
		if valid {
			a.Verdict = Valid
		}
	}
	if v := root.Get("consumer"); v.Exists() {
		if a.Consumer = bundle.ReadConsumer(v); a.Consumer == nil {
			return Answer{}, false
		}
	}
	d := &reader{}
	a.Until = d.int(root.Get("until"))
	a.SetCookies = d.texts(root.Get("set_cookies"))
	var okSession, okResponse bool
	a.Session, okSession = readSession(root.Get("session"))
	a.Response, okResponse = readResponse(root.Get("response"))
	// A step of a login is nothing without its response.
	if !okSession || !okResponse || d.bad || a.Code.Step() && a.Response == nil {
		return Answer{}, false
	}
	return a, true
}
