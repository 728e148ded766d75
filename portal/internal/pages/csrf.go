package pages

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// tokens makes the tokens of forms: bound to a session and to whose it is, so that one
// that somebody else was given, or that was given before a login, is good for nothing.
type tokens struct{ key redact.Secret }

func (t tokens) of(parts ...string) string {
	mac := hmac.New(sha256.New, []byte(t.key.Reveal()))
	for _, p := range append([]string{"csrf"}, parts...) {
		mac.Write([]byte(p))
		mac.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// maxForm bounds a form, in bytes.
const maxForm = 64 << 10

// Why a form is not looked at.
var (
	errForeign = errors.New("pages: the form comes from elsewhere")
	errToken   = errors.New("pages: the form's token is not that of the session")
	errForm    = errors.New("pages: the form cannot be read")
)

// form reads a form of ours: sent from a page of this origin, with the session's
// token.
func form(w http.ResponseWriter, r *http.Request, token, origin string) (url.Values, error) {
	if !sameOrigin(r, origin) {
		return nil, errForeign
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(kind) != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, errForm
	}
	given := r.PostForm["csrf"]
	if len(given) != 1 || token == "" || !hmac.Equal([]byte(given[0]), []byte(token)) {
		return nil, errToken
	}
	for _, values := range r.PostForm {
		if len(values) != 1 { // none of ours has a field twice
			return nil, errForm
		}
	}
	return r.PostForm, nil
}

// sameOrigin reports whether a request was sent by a page of this origin, as far as
// browsers tell: Sec-Fetch-Site (Fetch Metadata), and Origin, which one without the
// other sends too. The token decides where neither is there.
func sameOrigin(r *http.Request, origin string) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	given := r.Header.Get("Origin")
	return given == "" || strings.EqualFold(given, origin)
}
