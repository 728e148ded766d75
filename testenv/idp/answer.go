package idp

import (
	"encoding/json"
	"html/template"
	"net/http"
)

// answer writes an answer and notes it on the record of its request.
type answer struct {
	http.ResponseWriter
	s         *Server
	call      *Call
	malformed bool // the form could not be parsed
}

// failure is an OAuth error (RFC 6749 §5.2); nil is none.
type failure struct {
	status       int
	code, detail string
}

func bad(code, detail string) *failure { return &failure{http.StatusBadRequest, code, detail} }

func (a *answer) WriteHeader(status int) {
	a.s.mu.Lock()
	if a.call.Status == 0 {
		a.call.Status = status
	}
	a.s.mu.Unlock()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.s.mu.Lock()
	if a.call.Status == 0 {
		a.call.Status = http.StatusOK
	}
	a.s.mu.Unlock()
	return a.ResponseWriter.Write(b)
}

// identify notes who the client says it is.
func (a *answer) identify(client, method string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.call.ClientID, a.call.AuthMethod = client, method
}

// blame notes why a request was refused.
func (a *answer) blame(f *failure) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.call.Error, a.call.Detail = f.code, f.detail
}

// json answers with what no cache may keep (RFC 6749 §5.1).
func (a *answer) json(status int, body any) {
	a.Header().Set("Content-Type", "application/json")
	a.Header().Set("Cache-Control", "no-store")
	a.WriteHeader(status)
	_ = json.NewEncoder(a).Encode(body)
}

// refuse answers with an error of the token endpoint, or one of its kind.
func (a *answer) refuse(f *failure) {
	a.blame(f)
	if f.status == http.StatusUnauthorized {
		a.Header().Set("WWW-Authenticate", `Basic realm="idp"`)
	}
	a.json(f.status, map[string]any{"error": f.code, "error_description": f.detail})
}

// page answers the browser where nobody can be redirected to.
func (a *answer) page(status int, t *template.Template, data any) {
	a.Header().Set("Content-Type", "text/html; charset=utf-8")
	a.Header().Set("Cache-Control", "no-store")
	a.Header().Set("Referrer-Policy", "no-referrer")
	a.WriteHeader(status)
	_ = t.Execute(a, data)
}

// stop refuses a request of the browser with a page.
func (a *answer) stop(detail string) {
	a.blame(bad("invalid_request", detail))
	a.page(http.StatusBadRequest, messagePage, detail)
}

// repeated returns a failure when a parameter is there twice (RFC 6749 §3.1, §3.2).
func (a *answer) repeated() *failure {
	if a.malformed {
		return bad("invalid_request", "malformed parameters")
	}
	for name, values := range a.call.Form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return bad("invalid_request", "repeated parameter "+name)
		}
	}
	return nil
}

var (
	messagePage = template.Must(template.New("message").Parse(
		`<!doctype html><meta charset="utf-8"><title>idp</title><p id="message">{{.}}</p>
`))
	loginPage = template.Must(template.New("login").Parse(
		`<!doctype html><meta charset="utf-8"><title>Sign in</title>
{{with .Error}}<p id="error">{{.}}</p>
{{end}}<form method="post" action="{{.Action}}">
<input id="username" name="username" value="{{.Hint}}" autocomplete="off">
<input id="password" name="password" type="password">
<button id="login" type="submit">Sign in</button>
</form>
`))
)
