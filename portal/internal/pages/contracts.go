package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// accessText says how access to a service is given.
func accessText(atOnce bool) string {
	if atOnce {
		return "At once"
	}
	return "After an administrator has approved it"
}

// granted is a contract on an application's page.
type granted struct {
	ID, Key, Name, Since string
	State                state
	Offered              bool
	CanWithdraw          bool
	WithdrawText         string
	Actions              []action
}

func (c catalogue) granted(k registry.Contract) granted {
	_, offered := c.find(k.Service)
	g := granted{ID: k.ID, Key: k.Service, Name: c.nameOf(k.Service), Since: sinceText(k), State: contractState(k), Offered: offered}
	switch {
	case k.Suspended:
	case k.Status == registry.Requested:
		g.CanWithdraw, g.WithdrawText = true, "Withdraw"
	case k.Status == registry.Approved:
		g.CanWithdraw, g.WithdrawText = true, "Give up"
	}
	return g
}

// application is the page of an application: what it may use, and how (S4-08).
func (v *visit) application() {
	a, ok := v.own()
	if !ok {
		return
	}
	list, err := v.contracts(a.ID)
	if err != nil {
		v.trouble(err)
		return
	}
	services := v.catalogue()
	d := struct {
		Application app
		Facts       []fact
		Contracts   []granted
		Free        []Service
		Calls       []call
		Held        bool
	}{Application: appOf(a), Facts: applicationFacts(a)}
	has := map[string]bool{}
	for _, c := range list {
		has[c.Service] = true
		d.Held = d.Held || services.holds(c)
		d.Contracts = append(d.Contracts, services.granted(c))
		if s, offered := services.find(c.Service); offered && c.Status == registry.Approved && !c.Suspended {
			d.Calls = append(d.Calls, callOf(s, a.CustomID, a.RedirectURI))
		}
	}
	for _, s := range services {
		if !has[s.Key] {
			d.Free = append(d.Free, s)
		}
	}
	v.show(http.StatusOK, "application", v.view(a.Name, "applications", d))
}

func applicationFacts(a registry.Application) []fact {
	facts := []fact{{Name: "Client id", Value: a.CustomID, Code: true}}
	if a.RedirectURI != "" {
		facts = append(facts, fact{Name: "Redirect address", Value: a.RedirectURI, Code: true})
	}
	return append(facts, fullTime("Registered", a.Created))
}

// offered are services with the state of the visitor's contracts.
type offered struct {
	Service
	Counts []state
}

// all are the visitor's applications, and the contracts of all of them.
func (v *visit) all() ([]registry.Application, []registry.Contract, error) {
	apps, err := v.mine()
	if err != nil {
		return nil, nil, err
	}
	var out []registry.Contract
	for page := (registry.Page{Size: 1000}); ; {
		l, err := v.config.Registry.Contracts(v.ctx, registry.ContractFilter{DeveloperID: v.dev.ID}, page)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, l.Data...)
		if page.Offset = l.Next; page.Offset == "" {
			return apps, out, nil
		}
	}
}

func (v *visit) services() {
	_, list, err := v.all()
	if err != nil {
		v.trouble(err)
		return
	}
	var out []offered
	for _, s := range v.catalogue() {
		of := slices.DeleteFunc(slices.Clone(list), func(c registry.Contract) bool { return c.Service != s.Key })
		out = append(out, offered{s, counts(of)})
	}
	v.show(http.StatusOK, "services", v.view("Services", "services", struct{ Services []offered }{out}))
}

// used is a contract on a service's page.
type used struct {
	Application app
	State       state
	Since       string
}

// service is the page of a service.
func (v *visit) service() {
	s, ok := v.catalogue().find(v.r.PathValue("key"))
	if !ok {
		v.notFound()
		return
	}
	apps, list, err := v.all()
	if err != nil {
		v.trouble(err)
		return
	}
	d := struct {
		Service   Service
		Facts     []fact
		Contracts []used
		Free      []app
	}{Service: s, Facts: []fact{{Name: "Address", Value: s.URL, Code: true}, {Name: "Access", Value: accessText(s.AutoApprove)}}}
	if s.ShowIssuer {
		for _, issuer := range s.Issuers {
			d.Facts = append(d.Facts, fact{Name: "Issuer of tokens", Value: issuer, Code: true})
		}
	}
	if len(s.Scopes) > 0 {
		d.Facts = append(d.Facts, fact{Name: "Scopes", Value: strings.Join(s.Scopes, " "), Code: true})
	}
	for _, a := range apps {
		i := slices.IndexFunc(list, func(c registry.Contract) bool { return c.ApplicationID == a.ID && c.Service == s.Key })
		if i < 0 {
			d.Free = append(d.Free, appOf(a))
			continue
		}
		d.Contracts = append(d.Contracts, used{appOf(a), contractState(list[i]), sinceText(list[i])})
	}
	v.show(http.StatusOK, "service", v.view(s.Name, "services", d))
}

func (v *visit) requestFromService() {
	v.r.SetPathValue("id", v.value("application"))
	v.request(v.r.PathValue("key"))
}

func (v *visit) requestFromApplication() { v.request(v.value("service")) }

// request asks for access of an application to a service that is offered.
func (v *visit) request(service string) {
	a, ok := v.own()
	if !ok {
		return
	}
	s, ok := v.catalogue().find(service)
	if !ok {
		v.notFound()
		return
	}
	_, err := v.config.Registry.RequestContract(v.ctx, v.actor(), a.ID, s.Key, s.AutoApprove)
	var taken *registry.Conflict
	switch {
	case errors.As(err, &taken):
		v.to("/applications/"+a.ID, "not-requested")
	case err != nil:
		v.trouble(err)
	case s.AutoApprove:
		v.to("/applications/"+a.ID, "approved")
	default:
		v.to("/applications/"+a.ID, "requested")
	}
}

// withdraw ends an application's access, or the wish for it. What an administrator has
// taken away stays taken away.
func (v *visit) withdraw() {
	a, ok := v.own()
	if !ok {
		return
	}
	c, err := v.config.Registry.Contract(v.ctx, v.r.PathValue("contract"))
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && (c.ApplicationID != a.ID || !v.catalogue().granted(c).CanWithdraw):
		v.notFound()
		return
	case err == nil:
		err = v.config.Registry.DeleteContract(v.ctx, v.actor(), c.ID)
	}
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		v.trouble(err)
		return
	}
	v.to("/applications/"+a.ID, "withdrawn")
}
