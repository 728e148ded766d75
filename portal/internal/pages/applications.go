package pages

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// state is how something stands: the class that colours it, and the word.
type state struct{ Class, Text string }

// stateOf is a developer's.
func stateOf(s registry.DeveloperStatus) state {
	switch s {
	case registry.Approved:
		return state{"approved", "Approved"}
	case registry.Requested:
		return state{"requested", "Requested"}
	case registry.Rejected:
		return state{"rejected", "Rejected"}
	}
	return state{"revoked", "Revoked"}
}

// contractState is a contract's.
func contractState(c registry.Contract) state {
	switch {
	case c.Suspended && (c.Status == registry.Approved || c.Status == registry.Requested):
		return state{"suspended", "Suspended"}
	case c.Status == registry.Approved:
		return state{"approved", "Approved"}
	case c.Status == registry.Requested:
		return state{"requested", "Requested"}
	case c.Status == registry.Rejected:
		return state{"rejected", "Rejected"}
	}
	return state{"revoked", "Revoked"}
}

// sinceText says since when something stands as it does.
func sinceText(c registry.Contract) string {
	if c.Status == registry.Requested {
		return "Requested on " + when(c.Created)
	}
	return "Since " + when(c.Updated)
}

// app is an application on a page.
type app struct {
	ID, Name, Description, ClientID, RedirectURI, Owner string
	Counts                                              []state
}

func appOf(a registry.Application) app {
	return app{ID: a.ID, Name: a.Name, Description: a.Description, ClientID: a.CustomID, RedirectURI: a.RedirectURI}
}

// maxApplications is how many applications a developer may have, and so how long the
// lists are that are shown whole.
const maxApplications = 100

// mine are the visitor's applications.
func (v *visit) mine() ([]registry.Application, error) {
	l, err := v.config.Registry.Applications(v.ctx, registry.ApplicationFilter{DeveloperID: v.dev.ID}, registry.Page{Size: maxApplications})
	return l.Data, err
}

// contracts are an application's.
func (v *visit) contracts(application string) ([]registry.Contract, error) {
	l, err := v.config.Registry.Contracts(v.ctx, registry.ContractFilter{ApplicationID: application}, registry.Page{Size: 1000})
	return l.Data, err
}

// counts says how an application's contracts stand, each state once.
func counts(list []registry.Contract) []state {
	n := map[state]int{}
	for _, c := range list {
		n[contractState(c)]++
	}
	var out []state
	for _, s := range []state{{"approved", "Approved"}, {"requested", "Requested"}, {"suspended", "Suspended"}, {"rejected", "Rejected"}, {"revoked", "Revoked"}} {
		if n[s] > 0 {
			out = append(out, state{s.Class, strconv.Itoa(n[s]) + " " + strings.ToLower(s.Text)})
		}
	}
	return out
}

// summaries are the visitor's applications with the state of their contracts.
func (v *visit) summaries() ([]app, error) {
	list, contracts, err := v.all()
	if err != nil {
		return nil, err
	}
	var out []app
	for _, a := range list {
		one := appOf(a)
		one.Counts = counts(slices.DeleteFunc(slices.Clone(contracts), func(c registry.Contract) bool { return c.ApplicationID != a.ID }))
		out = append(out, one)
	}
	return out, nil
}

func (v *visit) catalogue() catalogue { return v.config.Catalogue() }

// start is the first page of a developer.
func (v *visit) start() {
	apps, err := v.summaries()
	if err != nil {
		v.trouble(err)
		return
	}
	v.show(http.StatusOK, "home", v.view("Start", "home", struct {
		Name         string
		Applications []app
		Services     []Service
	}{v.dev.Name, apps, v.catalogue()}))
}

func (v *visit) applications() {
	apps, err := v.summaries()
	if err != nil {
		v.trouble(err)
		return
	}
	v.show(http.StatusOK, "applications", v.view("Applications", "applications", struct {
		Applications []app
		Pager        pager
	}{apps, pager{}}))
}

// own finds the application that the path names. Another developer's is as good as
// none, and the answer is the same.
func (v *visit) own() (registry.Application, bool) {
	a, err := v.config.Registry.Application(v.ctx, v.r.PathValue("id"))
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && !same(a.DeveloperID, v.dev.ID):
		v.notFound()
		return a, false
	case err != nil:
		v.trouble(err)
		return a, false
	}
	return a, true
}

// applicationForm are the fields of an application.
type applicationForm struct{ ID, Name, ClientID, RedirectURI, Description string }

// read reads the form and says what is wrong with it.
func (f *applicationForm) read(v *visit) (problems []problem) {
	f.Name, f.ClientID, f.RedirectURI, f.Description = v.value("name"), v.value("custom_id"), v.value("redirect_uri"), v.value("description")
	wrong := func(field, text string) { problems = append(problems, problem{field, text}) }
	switch {
	case f.Name == "":
		wrong("name", "Enter a name.")
	case !line(f.Name, maxName):
		wrong("name", "Enter a name of one line, without control characters, of at most 200 bytes.")
	}
	switch {
	case f.ClientID == "":
		wrong("custom_id", "Enter the client id.")
	case !clientID(f.ClientID):
		wrong("custom_id", "Enter a client id as the identity provider shows it: letters, digits and signs of ASCII, at most 255.")
	}
	if f.RedirectURI != "" && !redirectAddress(f.RedirectURI) {
		wrong("redirect_uri", "Enter a whole address, such as https://app.example/callback, without a fragment.")
	}
	if !shown(f.Description, maxDescription, true) {
		wrong("description", "Enter a description without control characters, of at most 2000 bytes.")
	}
	return problems
}

// conflict turns what the registry says into what is wrong with the form.
func conflict(err error) (problem, bool) {
	var taken *registry.Conflict
	if errors.As(err, &taken) {
		if taken.Field == "name" {
			return problem{"name", "You have an application of that name already."}, true
		}
		return problem{"custom_id", "That client id cannot be used: an application is registered with it. If it is yours, ask the administrators."}, true
	}
	var invalid *registry.Invalid
	if errors.As(err, &invalid) {
		for _, field := range []string{"name", "custom_id", "redirect_uri", "description"} {
			if text, ok := invalid.Fields[field]; ok {
				return problem{field, "That cannot be used: it " + text + "."}, true
			}
		}
	}
	return problem{}, false
}

func (v *visit) newApplication() {
	var d applicationForm
	p := v.view("Register an application", "applications", &d)
	p.Narrow = true
	if v.r.Method != http.MethodPost {
		v.show(http.StatusOK, "application_form", p)
		return
	}
	p.Problems = d.read(v)
	if len(p.Problems) == 0 {
		list, err := v.mine()
		if err != nil {
			v.trouble(err)
			return
		}
		if len(list) >= maxApplications {
			p.Problems = append(p.Problems, problem{"", "You have as many applications as one may have. Remove one first."})
		}
	}
	if len(p.Problems) == 0 {
		made, err := v.config.Registry.CreateApplication(v.ctx, v.actor(), registry.Application{DeveloperID: v.dev.ID, Name: d.Name,
			Description: d.Description, RedirectURI: d.RedirectURI, CustomID: d.ClientID})
		if err == nil {
			v.to("/applications/"+made.ID, "registered")
			return
		}
		wrong, ok := conflict(err)
		if !ok {
			v.trouble(err)
			return
		}
		p.Problems = append(p.Problems, wrong)
	}
	v.show(http.StatusUnprocessableEntity, "application_form", p)
}

func (v *visit) editApplication() {
	a, ok := v.own()
	if !ok {
		return
	}
	d := applicationForm{ID: a.ID, Name: a.Name, ClientID: a.CustomID, RedirectURI: a.RedirectURI, Description: a.Description}
	p := v.view("Edit the application", "applications", &d)
	p.Narrow = true
	if v.r.Method != http.MethodPost {
		v.show(http.StatusOK, "application_form", p)
		return
	}
	p.Problems = d.read(v)
	if len(p.Problems) == 0 && d.ClientID != a.CustomID {
		held, err := v.held(a.ID)
		if err != nil {
			v.trouble(err)
			return
		}
		if held {
			p.Problems = append(p.Problems, problem{"custom_id", "The client id cannot be changed while an administrator has taken away access of the application."})
		}
	}
	if len(p.Problems) == 0 {
		_, err := v.config.Registry.UpdateApplication(v.ctx, v.actor(), a.ID, func(a *registry.Application) error {
			a.Name, a.Description, a.RedirectURI, a.CustomID = d.Name, d.Description, d.RedirectURI, d.ClientID
			return nil
		})
		if err == nil {
			v.to("/applications/"+a.ID, "saved")
			return
		}
		wrong, ok := conflict(err)
		if !ok {
			v.trouble(err)
			return
		}
		p.Problems = append(p.Problems, wrong)
	}
	v.show(http.StatusUnprocessableEntity, "application_form", p)
}

// held reports whether an administrator has taken access away from an application.
// Removing it would make that undone: a new one with the same client id could get
// access anew where that is given at once.
func (v *visit) held(application string) (bool, error) {
	list, err := v.contracts(application)
	return slices.ContainsFunc(list, v.catalogue().holds), err
}

// holds reports whether a contract was taken away. One that was rejected may be asked for
// again by another application, but not where nobody would be asked.
func (c catalogue) holds(k registry.Contract) bool {
	s, offered := c.find(k.Service)
	return k.Status == registry.Revoked || k.Suspended || k.Status == registry.Rejected && offered && s.AutoApprove
}

func (v *visit) deleteApplication() {
	a, ok := v.own()
	if !ok {
		return
	}
	held, err := v.held(a.ID)
	switch {
	case err != nil:
		v.trouble(err)
		return
	case held:
		v.to("/applications/"+a.ID, "not-removed")
		return
	case v.r.Method != http.MethodPost:
		p := v.view("Remove "+a.Name, "applications", appOf(a))
		p.Narrow = true
		v.show(http.StatusOK, "application_delete", p)
		return
	}
	if err := v.config.Registry.DeleteApplication(v.ctx, v.actor(), a.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
		v.trouble(err)
		return
	}
	v.to("/applications", "removed")
}
