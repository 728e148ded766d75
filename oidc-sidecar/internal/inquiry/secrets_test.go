package inquiry

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// Whatever goes wrong, no log has a credential, a secret, or a word of the issuer's.
func TestLogsAreClean(t *testing.T) {
	faults := []idp.Fault{"", idp.TokenError("the_secret_word"), idp.Script, idp.TokenHTML, idp.TokenHangUp, idp.TokenTruncated, idp.TokenRedirect,
		"introspect:" + idp.NotJSON, "introspect:" + idp.Redirect, "introspect:error the_secret_word", idp.IntrospectActiveText,
		idp.UserinfoHTML, idp.UserinfoJWT, "userinfo:" + idp.Loop, idp.IDWrongIss, idp.IDKidLate}
	for _, settings := range []string{"", "client_secret: [wrong-secret]", "client_auth: client_secret_post", "timeout: 100\nissuer: http://127.0.0.1:1"} {
		w := newWorld(t, settings)
		var secrets []string
		if settings == "" {
			tokens := w.tokens("openid")
			secrets = append(secrets, tokens.Access, tokens.Refresh, tokens.ID)
		} else {
			secrets = append(secrets, "a-token", "a-refresh-token", "an.id.token")
		}
		for _, fault := range faults {
			w.idp.FlowFault(fault)
			w.seconds(3600) // nothing is remembered
			w.ask(bundle.Introspection, secrets[0])
			w.ask(bundle.UserInfo, secrets[0])
			w.ask(bundle.RefreshToken, secrets[1])
			w.ask(bundle.IDToken, secrets[2])
			w.ask(bundle.Password, alice, header("tenant", "x"))
			w.ask(bundle.ClientCredentials, "machine:"+machineSecret)
		}
		text := w.logged()
		if !strings.Contains(text, "level=WARN") {
			t.Fatalf("nothing was logged: %s", text)
		}
		for _, s := range append(secrets, alicePassword, machineSecret, appSecret, "wrong-secret", "alice", "the_secret_word", idp.Script, "machine") {
			for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), fmt.Sprintf("%q", s)} {
				if strings.Contains(text, form) {
					t.Errorf("logged %q:\n%s", form, text)
				}
			}
		}
	}
}

// What callers decide does not fill the log.
func TestLogIsQuiet(t *testing.T) {
	w := newWorld(t, "")
	w.idp.FlowFault("introspect:" + idp.Error500)
	for i := range 50 {
		w.ask(bundle.Introspection, fmt.Sprint("token", i))
	}
	if n := strings.Count(w.logged(), "issuer_unavailable"); n != 1 {
		t.Errorf("%d lines", n)
	}
	w.seconds(10)
	w.ask(bundle.Introspection, "token")
	if n := strings.Count(w.logged(), "issuer_unavailable"); n != 2 {
		t.Errorf("%d lines", n)
	}
	l := newQuiet()
	for i := range 10 * maxQuiet {
		l.broken(fmt.Sprint(i), w.now())
	}
	if len(l.said) > maxQuiet {
		t.Errorf("%d entries", len(l.said))
	}
}

// Nothing that is remembered holds what a caller has brought: memory that is read, or
// swapped out, gives no password away.
func TestMemoryHoldsNoCredential(t *testing.T) {
	w := newWorld(t, "")
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	tokens := w.tokens("openid")
	w.good(bundle.Introspection, tokens.Access)
	w.good(bundle.UserInfo, tokens.Access)
	w.good(bundle.RefreshToken, tokens.Refresh)
	w.good(bundle.Password, alice)
	w.ask(bundle.Password, "alice:"+"another password")
	w.good(bundle.ClientCredentials, "machine:"+machineSecret)
	if len(w.svc.good.entries) != 5 || len(w.svc.bad.entries) != 1 {
		t.Fatalf("%d and %d are remembered", len(w.svc.good.entries), len(w.svc.bad.entries))
	}
	seen := map[unsafe.Pointer]bool{}
	for _, st := range []*store{w.svc.good, w.svc.bad} {
		walk(reflect.ValueOf(st), seen, func(text string) {
			for _, s := range []string{tokens.Access, tokens.Refresh, alicePassword, "another password", machineSecret} {
				if strings.Contains(text, s) {
					t.Errorf("remembered: %q", text)
				}
			}
		})
	}
}

// walk yields every text that a value leads to.
func walk(v reflect.Value, seen map[unsafe.Pointer]bool, yield func(string)) {
	switch v.Kind() {
	case reflect.String:
		yield(v.String())
	case reflect.Pointer:
		if v.IsNil() || seen[v.UnsafePointer()] {
			return
		}
		seen[v.UnsafePointer()] = true
		walk(v.Elem(), seen, yield)
	case reflect.Interface:
		walk(v.Elem(), seen, yield)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), seen, yield)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), seen, yield)
		}
	case reflect.Map:
		for r := v.MapRange(); r.Next(); {
			walk(r.Key(), seen, yield)
			walk(r.Value(), seen, yield)
		}
	}
}
