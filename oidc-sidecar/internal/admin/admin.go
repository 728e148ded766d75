// Package admin shows what the declarative file has become, with the paths and
// shapes of Kong's admin API as far as the entities exist here:
//
//	GET /consumers                       GET /consumers/{username or id}
//	GET /consumers/{username or id}/jwt  GET /consumers/{…}/jwt/{key or id}
//	GET /jwts                            GET /jwts/{key or id}
//	GET /key-auths, /basic-auths, /acls  GET /consumers/{…}/key-auth, /basic-auth, /acls
//
// It shows secrets of the jwt plugin; of API keys and passwords there is nothing to show
// but whose they are. Every request therefore carries a token (Authorization:
// Bearer …, or Kong-Admin-Token), and names a loopback host, so that a page in a
// browser on this machine cannot talk to it by DNS rebinding.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Page sizes, as in Kong.
const (
	defaultSize = 100
	maxSize     = 1000
)

// New returns the admin API. file returns the file in force.
func New(file func() *declarative.File, token redact.Secret) http.Handler {
	a := &api{file: file}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /consumers", a.consumers)
	mux.HandleFunc("GET /consumers/{consumer}", a.consumer)
	mux.HandleFunc("GET /consumers/{consumer}/jwt", a.consumerJWTs)
	mux.HandleFunc("GET /consumers/{consumer}/jwt/{jwt}", a.consumerJWT)
	mux.HandleFunc("GET /jwts", a.jwts)
	mux.HandleFunc("GET /jwts/{jwt}", a.jwt)
	a.credentials(mux)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusMethodNotAllowed, message{"cannot change entities: the declarative file is read-only here"})
	})
	return guard(mux, token)
}

type message struct {
	Message string `json:"message"`
}

// guard lets only requests with the token through.
func guard(next http.Handler, token redact.Secret) http.Handler {
	want := sha256.Sum256([]byte(token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			reply(w, http.StatusForbidden, message{"the admin API answers only to loopback host names"})
			return
		}
		got := r.Header.Get("Kong-Admin-Token")
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			got = bearer
		}
		have := sha256.Sum256([]byte(got))
		if token.Empty() || subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			reply(w, http.StatusUnauthorized, message{"the admin API needs its token: it is in the file admin-token of the state directory"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether a Host header names this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

type api struct{ file func() *declarative.File }

// jwtJSON and consumerJSON have the members of Kong's.
type jwtJSON struct {
	ID           string            `json:"id"`
	Key          string            `json:"key"`
	Secret       *string           `json:"secret"`
	Algorithm    *string           `json:"algorithm"`
	RSAPublicKey *string           `json:"rsa_public_key"`
	JWKSURI      *string           `json:"jwks_uri,omitempty"`
	Consumer     map[string]string `json:"consumer"`
	Tags         []string          `json:"tags"`
}

type consumerJSON struct {
	ID       string  `json:"id"`
	Username *string `json:"username"`
	CustomID *string `json:"custom_id"`
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func viewJWT(s *declarative.JWTSecret) any {
	return jwtJSON{
		ID: s.ID, Key: s.Key, Secret: orNull(s.Secret), Algorithm: orNull(s.Algorithm.String()),
		RSAPublicKey: orNull(s.PublicPEM), JWKSURI: orNull(s.JWKSURI),
		Consumer: map[string]string{"id": s.Consumer.ID}, Tags: s.Tags,
	}
}

func viewConsumer(c *declarative.Consumer) any {
	return consumerJSON{ID: c.ID, Username: orNull(c.Username), CustomID: orNull(c.CustomID)}
}

func (a *api) consumers(w http.ResponseWriter, r *http.Request) {
	f := a.file()
	page(w, r, len(f.Consumers), func(i int) any { return viewConsumer(f.Consumers[i]) })
}

func (a *api) consumer(w http.ResponseWriter, r *http.Request) {
	c := a.file().ConsumerBy(r.PathValue("consumer"))
	if c == nil {
		notFound(w)
		return
	}
	reply(w, http.StatusOK, viewConsumer(c))
}

func (a *api) jwts(w http.ResponseWriter, r *http.Request) {
	f := a.file()
	page(w, r, len(f.JWTSecrets), func(i int) any { return viewJWT(f.JWTSecrets[i]) })
}

func (a *api) jwt(w http.ResponseWriter, r *http.Request) {
	for _, s := range a.file().JWTSecrets {
		if id := r.PathValue("jwt"); s.Key == id || s.ID == id {
			reply(w, http.StatusOK, viewJWT(s))
			return
		}
	}
	notFound(w)
}

// of returns the credentials of the consumer in the path; ok is false, and the
// request answered, when there is no such consumer.
func (a *api) of(w http.ResponseWriter, r *http.Request) (list []*declarative.JWTSecret, ok bool) {
	f := a.file()
	c := f.ConsumerBy(r.PathValue("consumer"))
	if c == nil {
		notFound(w)
		return nil, false
	}
	for _, s := range f.JWTSecrets {
		if s.Consumer == c {
			list = append(list, s)
		}
	}
	return list, true
}

func (a *api) consumerJWTs(w http.ResponseWriter, r *http.Request) {
	if list, ok := a.of(w, r); ok {
		page(w, r, len(list), func(i int) any { return viewJWT(list[i]) })
	}
}

func (a *api) consumerJWT(w http.ResponseWriter, r *http.Request) {
	list, ok := a.of(w, r)
	if !ok {
		return
	}
	for _, s := range list {
		if id := r.PathValue("jwt"); s.Key == id || s.ID == id {
			reply(w, http.StatusOK, viewJWT(s))
			return
		}
	}
	notFound(w)
}

// page writes a part of a list: size entries from offset, and where the next
// part begins.
func page(w http.ResponseWriter, r *http.Request, n int, item func(int) any) {
	query := r.URL.Query()
	size, offset := defaultSize, 0
	for name, dst := range map[string]*int{"size": &size, "offset": &offset} {
		if text := query.Get(name); text != "" {
			v, err := strconv.Atoi(text)
			if err != nil || v < 0 || name == "size" && (v < 1 || v > maxSize) {
				reply(w, http.StatusBadRequest, message{name + " is not in its range"})
				return
			}
			*dst = v
		}
	}
	out := struct {
		Data   []any   `json:"data"`
		Offset *string `json:"offset,omitempty"`
		Next   *string `json:"next"`
	}{Data: []any{}}
	for i := offset; i < n && len(out.Data) < size; i++ {
		out.Data = append(out.Data, item(i))
	}
	if offset < n-size {
		next := strconv.Itoa(offset + size)
		where := r.URL.EscapedPath() + "?offset=" + next + "&size=" + strconv.Itoa(size)
		out.Offset, out.Next = &next, &where
	}
	reply(w, http.StatusOK, out)
}

func notFound(w http.ResponseWriter) { reply(w, http.StatusNotFound, message{"Not found"}) }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // so that next can be copied as it is shown
	_ = enc.Encode(body)     // the client is gone: nobody to tell
}
