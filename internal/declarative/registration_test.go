package declarative

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const registrationFile = `
_format_version: "3.0"
_sallyport:
  applications:
  - {custom_id: client-1, name: reports, services: [orders, billing, orders]}
  - {custom_id: client-2, services: [22222222-2222-4222-8222-222222222222]}
  - {custom_id: client-3}
  - {custom_id: partner-1, services: [{name: orders}]}
services:
- name: billing
  host: h
  plugins:
  - {name: openid-connect, config: {issuer: "https://i", auth_methods: [bearer], consumer_claim: client_id}}
  - {name: application-registration, config: {display_name: Billing}}
  routes: [{name: billing, paths: [/billing], plugins: [{name: openid-connect, config: {issuer: "https://j", auth_methods: [bearer], consumer_claim: client_id}}]}, {name: billing-2, paths: [/billing-2]}]
- id: 22222222-2222-4222-8222-222222222222
  host: h
  plugins:
  - {name: key-auth}
  - {name: acl, config: {allow: [g]}}
  - {name: application-registration, config: {display_name: Nameless, enable_proxy_with_consumer_credential: true}}
  routes: [{name: nameless, paths: [/nameless]}]
- name: orders
  host: h
  routes: [{name: orders, paths: [/orders], plugins: [{name: jwt}]}]
plugins:
- {name: application-registration, service: orders, config: {display_name: Orders, description: "all\norders", auto_approve: true, show_issuer: true}}
consumers:
- {username: partner, custom_id: partner-1, acls: [{group: g}]}
- {username: alice, custom_id: a-1}
`

func TestRegistrations(t *testing.T) {
	f, problems := Parse("kong.yml", []byte(registrationFile), Options{})
	if f == nil {
		t.Fatal(problems)
	}
	for key, want := range map[string]RegistrationConfig{
		"billing":                              {DisplayName: "Billing"},
		"22222222-2222-4222-8222-222222222222": {DisplayName: "Nameless", Consumers: true},
		"orders":                               {DisplayName: "Orders", Description: "all\norders", AutoApprove: true, ShowIssuer: true},
	} {
		i := slices.IndexFunc(f.Services, func(s *Service) bool { return s.Key() == key })
		if pl := f.Registration(f.Services[i]); pl == nil || *pl.Registration != want {
			t.Errorf("%s: %+v, want %+v", key, pl, want)
		}
	}
	names := func(route int) (list []string) {
		for _, pl := range f.Chain(f.Routes[route]) {
			list = append(list, pl.Name)
		}
		return list
	}
	if got := names(2); !slices.Equal(got, []string{"key-auth", "application-registration", "acl"}) {
		t.Errorf("the chain is %q: authentication, application, groups", got)
	}
	if got := f.Issuers(f.Services[0]); !slices.Equal(got, []string{"https://j", "https://i"}) {
		t.Errorf("the issuers are %q", got)
	}
	if got := f.Issuers(f.Services[2]); got != nil {
		t.Errorf("a service without openid-connect has the issuers %q", got)
	}
	for customID, want := range map[string]string{
		"client-1":  "reports true [billing orders] " + kongID("consumers", "reports"),
		"client-2":  " true [22222222-2222-4222-8222-222222222222] " + kongID("consumers", "client-2"),
		"client-3":  " true [] " + kongID("consumers", "client-3"),
		"partner-1": "partner true [orders] " + kongID("consumers", "partner"),
		"a-1":       "alice false [] " + kongID("consumers", "alice"),
	} {
		var got []string
		for _, c := range f.Consumers {
			if c.CustomID == customID {
				got = append(got, fmt.Sprintf("%s %v %v %s", c.Username, c.Application, c.Contracts, c.ID))
			}
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", customID, got, want)
		}
	}
	if f.ConsumerBy("reports") == nil || !slices.Equal(f.ConsumerBy("partner").Groups, []string{"g"}) {
		t.Error("an application is no consumer like others")
	}
}

// A file is refused where nobody could be an application, or where it is not clear who is.
func TestRefusedRegistrations(t *testing.T) {
	const (
		guarded = "services:\n- name: s\n  host: h\n  routes: [{name: r, paths: [/]}]\n  plugins:\n  - {name: key-auth}\n"
		plugin  = "  - {name: application-registration, config: {display_name: S}}\n"
	)
	apps := func(list string) string { return guarded + plugin + "_sallyport: {applications: " + list + "}\n" }
	if f, problems := Parse("k", []byte("_format_version: '3.0'\n"+guarded+plugin), Options{}); f == nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct{ src, want string }{
		{guarded + "  - {name: application-registration}", "8: services[0].plugins[1]: has no display_name: expected the name that developers know the service by"},
		{guarded + "  - {name: application-registration, config: {display_name: ''}}", "8: services[0].plugins[1].config.display_name: is empty"},
		{guarded + "  - {name: application-registration, config: {display_name: " + strings.Repeat("x", 257) + "}}", "8: services[0].plugins[1].config.display_name: is longer than 256 bytes"},
		{guarded + "  - {name: application-registration, config: {display_name: S, description: " + strings.Repeat("x", 4097) + "}}", "8: services[0].plugins[1].config.description: is longer than 4096 bytes"},
		{guarded + "  - {name: application-registration, config: {display_name: S, auto_approve: yes please}}", "8: services[0].plugins[1].config.auto_approve: is"},
		{guarded + plugin + "- {name: t, host: h, plugins: [{name: application-registration, config: {display_name: S}}]}",
			`9: services[1].plugins[0]: "S" is taken by another of the display_names of application-registration`},
		{guarded + "  - {name: application-registration, config: {display_name: S, description: d}}\n" +
			"- {name: t, host: h, plugins: [{name: application-registration, config: {display_name: T, description: d}}]}",
			`9: services[1].plugins[0]: "d" is taken by another of the descriptions of application-registration`},
		{guarded + "plugins: [{name: application-registration, config: {display_name: S}}]", "8: plugins[0]: application-registration is bound to a whole service only"},
		{guarded + "plugins: [{name: application-registration, route: r, config: {display_name: S}}]", "8: plugins[0]: application-registration is bound to a whole service only"},
		{guarded + "plugins: [{name: application-registration, route: r, service: s, config: {display_name: S}}]", "8: plugins[0]: application-registration is bound to a whole service only"},
		{guarded + "plugins: [{name: application-registration, service: nobody, config: {display_name: S}}]", `8: plugins[0].service: refers to "nobody"`},
		{guarded + "consumers: [{username: u, plugins: [{name: application-registration}]}]", "8: consumers[0].plugins[0]: is bound to a consumer"},
		{strings.Replace(guarded, "key-auth", "acl, config: {allow: [g]}", 1) + plugin,
			"8: services[0].plugins[1]: application-registration has no authentication plugin before it on the route of line 5: expected openid-connect, or another, on the service"},
		{strings.Replace(guarded, "  - {name: key-auth}\n", "  - {name: key-auth, enabled: false}\n", 1) + plugin,
			"8: services[0].plugins[1]: application-registration has no authentication plugin before it on the route of line 5"},
		{apps("[{services: [s]}]"), "9: _sallyport.applications[0]: has no custom_id"},
		{apps("[{custom_id: ''}]"), "9: _sallyport.applications[0].custom_id: is empty"},
		{apps("[{custom_id: a, service: s}]"), "9: _sallyport.applications[0].service: unknown field"},
		{apps("[{custom_id: a, services: [t]}]"), `9: _sallyport.applications[0].services[0]: refers to "t", which is not among the services`},
		{apps("[{custom_id: a}, {custom_id: a}]"), `9: _sallyport.applications[1]: "a" is taken by another of the applications`},
		{apps("[{custom_id: a, name: n}, {custom_id: b, name: n}]"), `9: _sallyport.applications[1]: "n" is taken by another of the consumers' usernames`},
		{apps("[{custom_id: a, name: n}]") + "consumers: [{username: m, custom_id: a}]", `9: _sallyport.applications[0]: has the name "n", and the consumer of line 10`},
		{apps("[{custom_id: a, services: [" + strings.Repeat("s, ", MaxContracts+1) + "]}]"), "9: _sallyport.applications[0]: has 1001 services: expected at most 1000"},
	} {
		f, problems := Parse("kong.yml", []byte("_format_version: '3.0'\n"+tt.src), Options{})
		if f != nil || !strings.HasPrefix(problems.Errors()[0].String(), "kong.yml:"+tt.want) {
			t.Errorf("%s:\n%v\nwant %s", tt.src, problems.Errors(), tt.want)
		}
	}
}
