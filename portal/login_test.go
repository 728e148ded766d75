package portal_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

func TestFirstLook(t *testing.T) {
	r := start(t, options{})
	v := r.visitor("ada")
	p := v.Open(r.url + "/default")
	if p.StatusCode != 200 || title(p) != "Build on our services." {
		t.Fatalf("%d %s\n%s", p.StatusCode, p.Body, r.log)
	}
	p = v.signIn()
	if p.StatusCode != http.StatusForbidden || title(p) != "You have no developer account yet" {
		t.Fatalf("%d %s\n%s", p.StatusCode, p.Body, r.log)
	}
	p = v.register()
	if p.StatusCode != http.StatusSeeOther || !strings.HasSuffix(p.Location(), "/default/register/sent") {
		t.Fatalf("%d %s %s\n%s", p.StatusCode, p.Location(), p.Body, r.log)
	}
	p = v.Open(r.url + "/default")
	if p.StatusCode != http.StatusForbidden || title(p) != "Your account waits for approval" {
		t.Fatalf("%d %s\n%s", p.StatusCode, p.Body, r.log)
	}
	r.set("ada", registry.Approved)
	p = v.Open(r.url + "/default")
	if p.StatusCode != 200 || title(p) != "Hello, Somebody ada." {
		t.Fatalf("%d %s\n%s", p.StatusCode, p.Body, r.log)
	}
	t.Log(v.application("Shop", "client-1"))
}
