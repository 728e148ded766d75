package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// authorization is a request to /authorize that may be answered by a redirect.
type authorization struct {
	params   url.Values
	client   Client
	redirect string
	prompt   []string
	maxAge   time.Duration // negative: not asked for
}

// code is an authorization code and what it is bound to.
type code struct {
	grant     *grant
	redirect  string
	challenge string
	expires   time.Time
	used      bool
}

func (s *Server) serveAuthorize(w *answer, r *http.Request) {
	a, detail := s.readAuthorization(w)
	if detail != "" {
		w.stop(detail)
		return
	}
	if f := s.checkAuthorization(a); f != nil {
		s.redirectError(w, r, a, f)
		return
	}
	switch s.faultOf("authorize", false) {
	case "denied":
		s.redirectError(w, r, a, bad("access_denied", Script))
		return
	case "denied, wrong state":
		a.params.Set("state", "nobody's-state")
		s.redirectError(w, r, a, bad("access_denied", Script))
		return
	}
	one, problem := s.signedIn(w, r, a)
	switch {
	case one != nil && a.params.Get("response_type") == "token":
		s.redirectToken(w, a, one)
	case one != nil:
		s.redirectCode(w, r, a, one)
	case slices.Contains(a.prompt, "none"):
		s.redirectError(w, r, a, bad("login_required", "nobody has signed in"))
	default:
		status := http.StatusOK
		if problem != "" {
			w.blame(bad("access_denied", problem))
			status = http.StatusUnauthorized
		}
		action := url.URL{Path: r.URL.Path, RawQuery: a.params.Encode()}
		hint := a.params.Get("login_hint")
		w.page(status, loginPage, map[string]string{"Action": action.String(), "Hint": hint, "Error": problem})
	}
}

// readAuthorization reads a request, or says why it cannot be answered by a
// redirect: who asks and where to is not certain (RFC 6749 §4.1.2.1).
func (s *Server) readAuthorization(w *answer) (*authorization, string) {
	if f := w.repeated(); f != nil {
		return nil, f.detail
	}
	a := &authorization{params: url.Values{}, maxAge: -1}
	for name, values := range w.call.Form {
		if name != "username" && name != "password" {
			a.params[name] = values
		}
	}
	id := a.params.Get("client_id")
	w.identify(id, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if own, _ := url.ParseQuery(layouts[s.shape].query); len(own) > 0 {
		for name := range own {
			if a.params.Get(name) != own.Get(name) {
				return nil, "the query of the authorization endpoint is gone: " + name
			}
		}
	}
	var ok bool
	if a.client, ok = s.client(id); !ok {
		return nil, "unknown client"
	}
	a.redirect = a.params.Get("redirect_uri")
	u, err := url.Parse(a.redirect)
	if err != nil || !u.IsAbs() || u.Host == "" || strings.Contains(a.redirect, "#") {
		return nil, "redirect_uri is not absolute"
	}
	if !registered(a.client.RedirectURIs, a.redirect) {
		return nil, "redirect_uri is not registered"
	}
	return a, ""
}

// checkAuthorization checks what the relying party is told of by a redirect.
func (s *Server) checkAuthorization(a *authorization) *failure {
	p := a.params
	a.prompt = strings.Fields(p.Get("prompt"))
	if p.Has("max_age") {
		n, err := strconv.Atoi(p.Get("max_age"))
		if err != nil || n < 0 {
			return bad("invalid_request", "max_age is no number of seconds")
		}
		a.maxAge = time.Duration(n) * time.Second
	}
	challenge := p.Get("code_challenge")
	switch {
	case p.Get("response_type") == "":
		return bad("invalid_request", "no response_type")
	case p.Get("response_type") == "token" && s.implicit():
	case p.Get("response_type") != "code":
		return bad("unsupported_response_type", "only code")
	case p.Has("response_mode") && p.Get("response_mode") != "query":
		return bad("invalid_request", "only response_mode query")
	case p.Has("request"):
		return bad("request_not_supported", "no request objects")
	case p.Has("request_uri"):
		return bad("request_uri_not_supported", "no request objects")
	case len(a.prompt) > 1 && slices.Contains(a.prompt, "none"):
		return bad("invalid_request", "prompt none and another")
	case p.Has("code_challenge") && p.Get("code_challenge_method") != "S256":
		return bad("invalid_request", "only code_challenge_method S256")
	case p.Has("code_challenge_method") && !p.Has("code_challenge"):
		return bad("invalid_request", "code_challenge_method without code_challenge")
	case p.Has("code_challenge") && (len(challenge) != 43 || !unreserved(challenge)):
		return bad("invalid_request", "code_challenge is no SHA-256")
	}
	return nil
}

// signedIn returns the session of the browser if it answers the request, or signs
// in by the form, or by the option; and why the form was not good enough.
func (s *Server) signedIn(w *answer, r *http.Request, a *authorization) (*session, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost && r.PostForm.Has("username") {
		u, ok := s.check(r.PostForm.Get("username"), r.PostForm.Get("password"))
		if !ok {
			return nil, "wrong user name or password"
		}
		return s.enter(w, r, u.Name), ""
	}
	auto := s.options.AutoLogin
	one := s.sessionOf(r)
	if one != nil && (auto == "" || auto == one.user) && !slices.Contains(a.prompt, "login") &&
		(a.maxAge < 0 || a.maxAge > 0 && s.options.Now().Sub(one.authTime) <= a.maxAge) {
		return one, ""
	}
	if auto == "" || slices.Contains(a.prompt, "none") {
		return nil, ""
	}
	if _, ok := s.users[auto]; !ok {
		s.addUser(User{Name: auto})
	}
	return s.enter(w, r, auto), ""
}

// enter opens a session in the browser, in place of the one it has, and under a
// cookie that nobody can have planted.
func (s *Server) enter(w *answer, r *http.Request, user string) *session {
	if old := s.sessionOf(r); old != nil {
		delete(s.sessions, old.cookie)
	}
	one := s.begin(user)
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: one.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return one
}

func (s *Server) sessionOf(r *http.Request) *session {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil
	}
	return s.sessions[c.Value]
}

// cookieName tells providers on one host apart: cookies know no ports.
func (s *Server) cookieName() string { return "idp_" + s.URL[strings.LastIndexByte(s.URL, ':')+1:] }

func (s *Server) implicit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Implicit
}

// redirectToken answers with an access token in the fragment (RFC 6749 §4.2.2).
func (s *Server) redirectToken(w *answer, a *authorization, one *session) {
	s.mu.Lock()
	g := &grant{client: a.client.ID, user: one.user, scope: a.params.Get("scope"), sid: one.sid, authTime: one.authTime}
	out := url.Values{"access_token": {s.mintAccess(g, g.scope)}, "token_type": {"Bearer"}, "state": a.params["state"],
		"expires_in": {strconv.Itoa(int(s.options.AccessLifetime / time.Second))}}
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", a.redirect+"#"+out.Encode())
	w.WriteHeader(http.StatusFound)
}

func (s *Server) redirectCode(w *answer, r *http.Request, a *authorization, one *session) {
	s.mu.Lock()
	now := s.options.Now()
	if !slices.Contains(one.clients, a.client.ID) {
		one.clients = append(one.clients, a.client.ID)
	}
	c := &code{
		grant: &grant{
			client: a.client.ID, user: one.user, scope: a.params.Get("scope"), nonce: a.params.Get("nonce"),
			sid: one.sid, authTime: one.authTime,
		},
		redirect: a.redirect, challenge: a.params.Get("code_challenge"), expires: now.Add(s.options.CodeLifetime),
	}
	text := tokens.Random()
	s.codes[text] = c
	out := url.Values{"code": {text}}
	if layouts[s.shape].state {
		out.Set("session_state", one.state)
	}
	s.mu.Unlock()
	s.redirectBack(w, r, a, out)
}

func (s *Server) redirectError(w *answer, r *http.Request, a *authorization, f *failure) {
	w.blame(f)
	s.redirectBack(w, r, a, url.Values{"error": {f.code}, "error_description": {f.detail}})
}

// redirectBack answers the relying party. The redirect URI keeps its own query
// (RFC 6749 §3.1.2).
func (s *Server) redirectBack(w *answer, r *http.Request, a *authorization, out url.Values) {
	if state, ok := a.params["state"]; ok {
		out["state"] = state
	}
	s.mu.Lock()
	if s.options.IssParameter && !s.faulty(IssMissing, false) {
		out.Set("iss", s.tokenIssuer())
	}
	if s.faulty(IssWrong, false) {
		out.Set("iss", "https://evil.example")
	}
	if s.faulty(AuthorizeWrongState, false) {
		out.Set("state", "nobody's-state")
	}
	if s.faulty(AuthorizeNoState, false) {
		out.Del("state")
	}
	if s.faulty(AuthorizeRepeatedCode, false) && out.Has("code") {
		out.Add("code", tokens.Random())
	}
	s.mu.Unlock()
	to := a.redirect + "?" + out.Encode()
	if strings.Contains(a.redirect, "?") {
		to = a.redirect + "&" + out.Encode()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

// unreserved reports whether a text has the characters of RFC 7636 §4.1 only.
func unreserved(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
	}) < 0
}
