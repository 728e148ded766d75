package inquiry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// Bounds on what a caller may add.
const (
	maxSent      = 16
	maxSentValue = 2 << 10
)

// pair is a header or a parameter.
type pair struct{ name, value string }

// sent is what a caller adds to what the issuer is asked.
type sent struct{ headers, args []pair }

// ownArgs are parameters that say what is asked, about whom and by whom: no caller
// decides them, whatever the file names.
var ownArgs = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier",
	"redirect_uri", "token", "token_type_hint", "access_token", "refresh_token", "id_token", "username", "password",
	"scope", "assertion", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"requested_token_type", "device_code", "request", "request_uri",
}

// ownHeaders say the same, or where a request ends.
var ownHeaders = []string{
	"Authorization", "Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection",
	"Keep-Alive", "Te", "Trailer", "Upgrade", "Expect", "Accept", "Accept-Encoding", "User-Agent",
}

// ownHeader reports whether a header is ours to decide.
func ownHeader(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return slices.Contains(ownHeaders, name) || strings.HasPrefix(name, "Proxy-")
}

// Extra is what the configuration adds to the requests of a method, nil for one that
// makes none.
func Extra(i *declarative.Inquiry, m bundle.Method) *declarative.Extra {
	switch m {
	case bundle.Introspection:
		return &i.Introspection
	case bundle.UserInfo:
		return &i.UserInfo
	case bundle.RefreshToken, bundle.Password, bundle.ClientCredentials:
		return &i.Token
	}
	return nil
}

// filter returns those of a caller's headers and parameters that the configuration lets
// through. Of two with one name the first counts. ok is false where there are too many,
// or they cannot be what they are for.
func filter(e *declarative.Extra, i *declarative.Inquiry, list []wire.Header) (out sent, ok bool) {
	spelling := func(names []string, sent string) string { // as the configuration has it
		if at := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, sent) }); at >= 0 {
			return names[at]
		}
		return ""
	}
	for _, h := range list {
		header, arg := spelling(e.ClientHeaders, h.Name), spelling(e.ClientArgHeaders, h.Name)
		if slices.Contains(e.ClientArgs, h.Name) {
			arg = h.Name
		}
		if ownHeader(header) {
			header = ""
		}
		if slices.Contains(ownArgs, strings.ToLower(arg)) || arg == i.IntrospectionName {
			arg = ""
		}
		switch {
		case header == "" && arg == "":
			continue
		case len(h.Value) > maxSentValue, len(out.headers)+len(out.args) >= maxSent, header != "" && !fieldValue(h.Value):
			return sent{}, false
		}
		if header != "" {
			out.headers = add(out.headers, pair{http.CanonicalHeaderKey(header), h.Value})
		}
		if arg != "" {
			out.args = add(out.args, pair{arg, h.Value})
		}
	}
	return out, true
}

// add adds a pair unless there is one with its name.
func add(list []pair, p pair) []pair {
	if slices.ContainsFunc(list, func(have pair) bool { return have.name == p.name }) {
		return list
	}
	return append(list, p)
}

// fieldValue reports whether a text can be the value of a header (RFC 9110 §5.5).
func fieldValue(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}

// headers are what goes along with a request: what the file says, then what the caller
// adds. Who is asking is not theirs to say, but where we have nothing to say of it.
func (q *question) headers(who *endpoint.Client) http.Header {
	h := http.Header{}
	for _, p := range Extra(q.inquiry(), q.method).Headers {
		silent := who != nil && who.Auth == "none" && q.method == bundle.Introspection && strings.EqualFold(p.Name, "Authorization")
		if !ownHeader(p.Name) || silent {
			h.Add(p.Name, p.Value)
		}
	}
	for _, p := range q.sent.headers {
		if h.Get(p.name) == "" {
			h.Set(p.name, p.value)
		}
	}
	return h
}

// args are the parameters of a request before those of the protocol are set.
func (q *question) args() url.Values {
	v := url.Values{}
	for _, p := range Extra(q.inquiry(), q.method).Args {
		v.Add(p.Name, p.Value)
	}
	for _, p := range q.sent.args {
		if !v.Has(p.name) {
			v.Set(p.name, p.value)
		}
	}
	return v
}
