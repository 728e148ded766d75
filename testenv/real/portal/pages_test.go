//go:build real

package portal

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// TestPages goes through the portal as developers and administrators do, and looks at
// each page. The pictures are left in build/screens.
func TestPages(t *testing.T) {
	s := start(t)
	ada := s.browser.New(t).Tab(t)
	at := func(want string) {
		t.Helper()
		var got string
		if ada.Eval(`document.querySelector("h1").textContent`, &got); got != want {
			t.Fatalf("the page is %q instead of %q, at %s\n%s", got, want, ada.Location(), s.process.Tail())
		}
	}
	ada.Navigate(s.url + "/default")
	at("Build on our services.")
	s.look(t, ada, "01-welcome")
	if n := s.signIn(ada, "ada"); n.Status != 403 {
		t.Fatalf("%d at %s", n.Status, n.URL)
	}
	at("You have no developer account yet")
	s.look(t, ada, "02-no-account")
	ada.Follow("main .button")
	at("Register as a developer")
	s.look(t, ada, "03-register")
	ada.Fill("#name", "")
	ada.Submit("#name")
	s.look(t, ada, "04-register-wrong")
	ada.Fill("#name", "Ada Example")
	ada.Submit("#name")
	at("Your registration has been received")
	s.look(t, ada, "05-registered")
	ada.Follow("main .button")
	at("Your account waits for approval")
	s.look(t, ada, "06-waiting")

	// The administrator.
	op := s.browser.New(t).Tab(t)
	op.Navigate(s.admin + "/portal-admin")
	s.look(t, op, "20-admin-sign-in")
	op.Fill("#token", "wrong-token-0123456789-0123456789")
	op.Submit("#token")
	s.look(t, op, "21-admin-wrong-token")
	op.Fill("#token", s.token)
	op.Submit("#token")
	s.look(t, op, "22-admin-requests-registration")
	op.Follow("button[value=approve]")

	ada.Reload()
	ada.Navigate(s.url + "/default")
	at("Hello, Ada Example.")
	s.look(t, ada, "07-home-empty")
	ada.Navigate(s.url + "/default/applications")
	s.look(t, ada, "08-applications-empty")
	ada.Follow("main .button")
	at("Register an application")
	s.look(t, ada, "09-application-new")
	ada.Fill("#redirect_uri", "javascript:alert(1)")
	ada.Submit("#name")
	s.look(t, ada, "10-application-wrong")
	ada.Fill("#name", "Shop front")
	ada.Fill("#custom_id", "0oa7shopfrontKq3h4x7")
	ada.Fill("#redirect_uri", "https://shop.example/callback")
	ada.Fill("#description", "What our customers see. It reads orders, so that people can follow theirs.")
	ada.Submit("#name")
	at("Shop front")
	s.look(t, ada, "11-application-fresh")
	for _, key := range []string{"orders", "weather"} {
		ada.Eval(`document.querySelector("#service").value = "`+key+`"`, nil)
		ada.Submit("#service")
	}
	s.look(t, ada, "12-application-requested")

	op.Navigate(s.admin + "/portal-admin")
	s.look(t, op, "23-admin-requests-access")
	op.Follow("button[value=approve]")
	s.look(t, op, "24-admin-nothing-waits")

	// Two more, one of each state.
	dev, err := s.db.Developer(context.Background(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	system := registry.Actor{Kind: "system", Name: "test"}
	for name, status := range map[string]registry.Status{"Batch importer": registry.Rejected, "Old mobile app with a name that goes on for quite a while": registry.Revoked} {
		a, err := s.db.CreateApplication(context.Background(), system, registry.Application{DeveloperID: dev.ID, Name: name, CustomID: "client-" + strings.ToLower(strings.Fields(name)[0])})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.db.RequestContract(context.Background(), system, a.ID, "returns", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.SetContractStatus(context.Background(), system, c.ID, status); err != nil {
			t.Fatal(err)
		}
	}
	ada.Reload()
	s.look(t, ada, "13-application-approved")
	ada.Navigate(s.url + "/default")
	s.look(t, ada, "14-home")
	ada.Navigate(s.url + "/default/applications")
	s.look(t, ada, "15-applications")
	ada.Navigate(s.url + "/default/services")
	s.look(t, ada, "16-services")
	ada.Navigate(s.url + "/default/services/orders")
	s.look(t, ada, "17-service")
	ada.Navigate(s.url + "/default/account")
	s.look(t, ada, "18-account")
	ada.Navigate(s.url + "/default/nothing/here")
	at("There is no such page")
	s.look(t, ada, "19-not-found")

	op.Navigate(s.admin + "/portal-admin/developers")
	s.look(t, op, "25-admin-developers")
	op.Follow(".rows .name")
	s.look(t, op, "26-admin-developer")
	op.Navigate(s.admin + "/portal-admin/applications?q=shop")
	s.look(t, op, "27-admin-applications")
	op.Follow(".rows .name")
	s.look(t, op, "28-admin-application")
	op.Follow("button[value=suspend]")
	s.look(t, op, "29-admin-suspended")
	op.Navigate(s.admin + "/portal-admin/audit")
	s.look(t, op, "30-admin-audit")

	ada.Navigate(s.url + "/default/applications")
	ada.Eval(`[...document.querySelectorAll(".rows .name")].find(a => a.textContent.startsWith("Old")).id = "old"`, nil)
	ada.Follow("#old")
	ada.Navigate(ada.Location() + "/delete")
	s.look(t, ada, "31-application-held")
	ada.Navigate(s.url + "/default/applications")
	ada.Eval(`[...document.querySelectorAll(".rows .name")].find(a => a.textContent.startsWith("Batch")).id = "batch"`, nil)
	ada.Follow("#batch")
	ada.Follow("main a.danger")
	at("Remove Batch importer?")
	s.look(t, ada, "32-application-remove")
	ada.Follow("main button")
	at("Applications")

	ada.Follow(".me button")
	at("Build on our services.")
	if got := ada.Location(); !strings.HasPrefix(got, s.url+"/default") {
		t.Errorf("signed out at %s", got)
	}
}
