package inquiry

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

func TestUserInfo(t *testing.T) {
	w := newWorld(t, "userinfo_query_args_names: [schema]\nuserinfo_query_args_values: [openid]\nuserinfo_query_args_client: [tenant]\nuserinfo_headers_client: [x-tenant]")
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	token := w.tokens("openid").Access
	s := w.good(bundle.UserInfo, token, header("tenant", "a&b"), header("x-tenant", "c"), header("access_token", "x"), header("authorization", "x"))
	if !s.Opaque || s.Introspected || s.Access != "{}" || s.Token != token || !strings.Contains(s.Info, `"sub":"alice-1"`) {
		t.Errorf("%+v", s)
	}
	if s.Until != w.now().Unix()+60 { // nothing says how long it holds
		t.Errorf("until %d", s.Until-w.now().Unix())
	}
	if want := endpoint.SubjectKey(w.idp.Issuer(), "alice-1"); len(s.Keys) != 1 || s.Keys[0] != want {
		t.Errorf("keys %v", s.Keys)
	}
	call := w.last("userinfo")
	if call.Header.Get("Authorization") != "Bearer "+token || call.Header.Get("X-Tenant") != "c" {
		t.Errorf("%v", call.Header)
	}
	if !strings.HasSuffix(call.URI, "?schema=openid&tenant=a%26b") || call.Method != "GET" {
		t.Errorf("%s %s", call.Method, call.URI)
	}
	w.bad(bundle.UserInfo, "made-up", reason.TokenInactive)
	w.bad(bundle.UserInfo, "a token\r\nX: y", reason.TokenMalformed)
	// A token that can be read is not remembered beyond its own end.
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = false; o.AccessLifetime = 20e9 })
	if s := w.good(bundle.UserInfo, w.tokens("openid").Access); s.Until != w.now().Unix()+20 {
		t.Errorf("until %d", s.Until-w.now().Unix())
	}
}

func TestUserInfoThatGoesWrong(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		fault          idp.Fault
		want           reason.Code
	}{
		{"no sub", "", idp.UserinfoNoSub, reason.IssuerUnavailable},
		{"signed", "", idp.UserinfoJWT, reason.IssuerUnavailable},
		{"500", "", idp.Userinfo500, reason.IssuerUnavailable},
		{"HTML", "", idp.UserinfoHTML, reason.IssuerUnavailable},
		{"huge", "", idp.UserinfoHuge, reason.IssuerUnavailable},
		{"hung up", "", idp.UserinfoHangUp, reason.IssuerUnavailable},
		{"sub twice", "", "userinfo:" + idp.Duplicate, reason.IssuerUnavailable},
		{"a loop", "", "userinfo:" + idp.Loop, reason.IssuerUnavailable},
		{"slow", "timeout: 50", idp.UserinfoSlow, reason.IssuerUnavailable},
		{"401", "", idp.StatusOf("userinfo", "401"), reason.TokenInactive},
		{"403", "", idp.StatusOf("userinfo", "403"), reason.TokenInactive},
		{"404", "", idp.StatusOf("userinfo", "404"), reason.IssuerUnavailable},
		{"429", "", idp.StatusOf("userinfo", "429"), reason.Overloaded},
		{"no organisation", "domains: [corp.example]", "", reason.DomainMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.settings)
			token := w.tokens("openid").Access
			w.idp.FlowFault(tt.fault)
			if n := w.bad(bundle.UserInfo, token, tt.want); tt.want.Ours() != (n == 0) {
				t.Errorf("remembered for %d s", n)
			}
			// A connection that was hung up is tried again: nothing is used up by asking.
			if n := w.idp.Count("userinfo"); n != 1 && tt.fault != idp.UserinfoHangUp {
				t.Errorf("the issuer was asked %d times", n)
			}
		})
	}
}
