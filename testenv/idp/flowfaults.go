package idp

import "strings"

// Script is the error_description of faults that describe themselves to a
// browser. A page that has it as it stands runs it.
const Script = `<script>document.title="owned"</script>`

// The faults of the authorization endpoint. They show when the form would, or
// instead of the code.
const (
	AuthorizeDenied       Fault = "authorize:denied"              // error=access_denied, with Script
	AuthorizeDeniedState  Fault = "authorize:denied, wrong state" // the same with the state of nobody
	AuthorizeWrongState   Fault = "authorize:wrong state"         // a code, and the state of nobody
	AuthorizeNoState      Fault = "authorize:no state"            // a code alone
	AuthorizeRepeatedCode Fault = "authorize:repeated code"       // the code twice
	IssWrong              Fault = "authorize:wrong iss"           // RFC 9207, another issuer's
	IssMissing            Fault = "authorize:no iss"              // although it may be advertised
)

// The faults of ID tokens, wherever they are issued.
const (
	NonceWrong   Fault = "id:wrong nonce"
	NonceMissing Fault = "id:no nonce"
	NonceArray   Fault = "id:nonce array" // the right one, in a list

	IDWrongIss     Fault = "id:wrong iss"
	IDWrongAud     Fault = "id:wrong aud"
	IDAudNoAzp     Fault = "id:aud of two, no azp" // the client and a stranger
	IDAudWrongAzp  Fault = "id:aud of two, wrong azp"
	IDWrongAzp     Fault = "id:wrong azp" // aud is right
	IDWrongAtHash  Fault = "id:wrong at_hash"
	IDNoSub        Fault = "id:no sub"
	IDDuplicate    Fault = "id:duplicate sub" // somebody else's before the right one
	IDExpired      Fault = "id:expired"       // an hour ago
	IDFutureIat    Fault = "id:iat ahead"     // by an hour
	IDFutureNbf    Fault = "id:nbf ahead"     // by an hour
	IDMissing      Fault = "id:missing"       // from the response
	IDNotJWT       Fault = "id:not a JWT"
	IDAlgNone      Fault = "id:alg none"
	IDHS256        Fault = "id:HS256 with the client secret"
	IDHS256Key     Fault = "id:HS256 with the public key" // its PEM
	IDTampered     Fault = "id:tampered"                  // one bit of the signature
	IDOtherKey     Fault = "id:other key"                 // a key that is not published, under a kid that is
	IDUnknownKid   Fault = "id:unknown kid"               // a kid that never is published
	IDKidLate      Fault = "id:late kid"                  // a kid that is published with the token: at the next fetch
	IDOtherSubject Fault = "id:other sub"
)

// The faults of the token endpoint, whatever the grant. Those that are transport
// leave the code or the refresh token unused, but for TokenTruncated, TokenHuge,
// TokenDuplicate and TokenLost, whose answer is right or would have been.
const (
	TokenSlow      = "token:" + Slow
	Token500       = "token:" + Error500
	TokenHTML      = "token:" + NotJSON
	TokenEndless   = "token:" + Endless
	TokenRedirect  = "token:" + Redirect // 307 to /elsewhere, which would answer
	TokenHangUp    = "token:" + HangUp
	TokenTruncated = "token:" + Truncated
	TokenHuge      = "token:" + Huge
	TokenDuplicate = "token:" + Duplicate // two access_token, the second is right

	TokenLost      Fault = "token:lost"            // does its work, then hangs up
	TokenWrongType Fault = "token:wrong type"      // token_type mac
	TokenNoAccess  Fault = "token:no access_token" // RFC 6749 §5.1 has it required
)

// The faults of refreshes. OnRefresh makes more.
var (
	RefreshOtherSubject = OnRefresh(IDOtherSubject)
	RefreshInvalidGrant = OnRefresh(TokenError("invalid_grant"))
	Refresh500          = OnRefresh(Token500)
)

// The faults of introspection (RFC 7662 §2.2). Those of transport are as at the token
// endpoint.
const (
	Introspect500       = "introspect:" + Error500
	IntrospectHTML      = "introspect:" + NotJSON
	IntrospectHangUp    = "introspect:" + HangUp
	IntrospectEndless   = "introspect:" + Endless
	IntrospectHuge      = "introspect:" + Huge
	IntrospectDuplicate = "introspect:" + Duplicate // active twice, the second is right

	IntrospectActiveText Fault = "introspect:active text" // "true"
	IntrospectNoActive   Fault = "introspect:no active"
	IntrospectActiveNull Fault = "introspect:active null"
	IntrospectWrongIss   Fault = "introspect:wrong iss"
	IntrospectExpired    Fault = "introspect:expired"   // active, with an exp of an hour ago
	IntrospectNbfAhead   Fault = "introspect:nbf ahead" // by an hour
	IntrospectExpText    Fault = "introspect:exp text"
	IntrospectList       Fault = "introspect:list"   // [{…}]
	IntrospectSigned     Fault = "introspect:signed" // RFC 9701, which nobody has asked for
)

// The faults of userinfo.
const (
	UserinfoOtherSub = Fault("userinfo:other sub")
	UserinfoNoSub    = Fault("userinfo:no sub")
	UserinfoJWT      = Fault("userinfo:JWT") // signed, application/jwt
	Userinfo500      = "userinfo:" + Error500
	UserinfoHTML     = "userinfo:" + NotJSON
	UserinfoSlow     = "userinfo:" + Slow
	UserinfoHuge     = "userinfo:" + Huge
	UserinfoHangUp   = "userinfo:" + HangUp
)

// TokenError is the fault of a token endpoint that answers with an error code,
// and Script as its description.
func TokenError(code string) Fault { return "token:error " + Fault(code) }

// OnRefresh is a fault of ID tokens or of the token endpoint at refreshes only:
// the sign-in goes well.
func OnRefresh(f Fault) Fault { return "refresh:" + f }

// FlowFault sets the faults of the login; "", or none, behaves again. Of several,
// those that meet in one answer all apply, but an endpoint has one of transport.
func (s *Server) FlowFault(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flow = append([]Fault(nil), f...)
}

// faulty reports whether a fault is set. The lock is held.
func (s *Server) faulty(f Fault, refresh bool) bool {
	for _, set := range s.flow {
		if set == f || refresh && set == OnRefresh(f) {
			return true
		}
	}
	return false
}

// faultOf returns the fault of an endpoint, without the endpoint's name.
func (s *Server) faultOf(endpoint string, refresh bool) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range s.flow {
		name := string(set)
		if refresh {
			name = strings.TrimPrefix(name, "refresh:")
		}
		if what, ok := strings.CutPrefix(name, endpoint+":"); ok {
			return Fault(what)
		}
	}
	return ""
}
