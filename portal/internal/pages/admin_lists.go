package pages

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

func newNonce() string { return rand.Text() }

// pageSize is how many rows a list shows.
const pageSize = 50

// someone is a developer on an administrator's page.
type someone struct {
	ID, Name, Email, Since string
	State                  state
}

func someoneOf(d registry.Developer) someone {
	name := d.Name
	if name == "" {
		name = d.Email
	}
	return someone{ID: d.ID, Name: name, Email: d.Email, Since: "Registered on " + when(d.Created), State: stateOf(d.Status)}
}

// wish is a contract that waits.
type wish struct {
	ID, ServiceName, Since string
	Application            app
	Developer              someone
	State                  state
}

// waiting shows what waits for a decision.
func (t *turn) waiting() {
	services := catalogue(t.config.Catalogue())
	d := struct {
		Contracts                     []wish
		Developers                    []someone
		MoreContracts, MoreDevelopers bool
		Pager                         pager
	}{}
	contracts, err := t.config.Registry.Contracts(t.ctx, registry.ContractFilter{Status: registry.Requested},
		registry.Page{Size: pageSize, Offset: t.r.URL.Query().Get("offset")})
	if t.failed(err) {
		return
	}
	d.MoreContracts, d.Pager = contracts.Next != "", t.pages(contracts.Next)
	for _, c := range contracts.Data {
		a, owner, err := t.ownerOf(c.ApplicationID)
		if errors.Is(err, registry.ErrNotFound) {
			continue // removed meanwhile
		}
		if t.failed(err) {
			return
		}
		d.Contracts = append(d.Contracts, wish{c.ID, services.nameOf(c.Service), sinceText(c), appOf(a), someoneOf(owner), contractState(c)})
	}
	developers, err := t.config.Registry.Developers(t.ctx, registry.DeveloperFilter{Status: registry.Requested}, registry.Page{Size: pageSize})
	if t.failed(err) {
		return
	}
	d.MoreDevelopers = developers.Next != ""
	for _, one := range developers.Data {
		d.Developers = append(d.Developers, someoneOf(one))
	}
	t.show(http.StatusOK, "admin_home", t.view("Requests", "home", d))
}

func (t *turn) ownerOf(application string) (registry.Application, registry.Developer, error) {
	a, err := t.config.Registry.Application(t.ctx, application)
	if err != nil {
		return a, registry.Developer{}, err
	}
	d, err := t.config.Registry.Developer(t.ctx, a.DeveloperID)
	return a, d, err
}

// pages leads through a list.
func (t *turn) pages(next string) pager {
	q := t.r.URL.Query()
	q.Del("done")
	at := q.Get("offset")
	q.Del("offset")
	p := pager{}
	with := func() string {
		if len(q) == 0 {
			return t.r.URL.Path
		}
		return t.r.URL.Path + "?" + q.Encode()
	}
	if at != "" {
		p.First = with()
	}
	if next != "" {
		q.Set("offset", next)
		p.Next = with()
	}
	return p
}

func options(selected string, list ...[2]string) []option {
	var out []option
	for _, o := range list {
		out = append(out, option{o[0], o[1], o[0] == selected})
	}
	return out
}

func (t *turn) developers() {
	q := t.r.URL.Query()
	want := registry.DeveloperFilter{Query: clean(q.Get("q")), Status: registry.ParseStatus(q.Get("status"))}
	list, err := t.config.Registry.Developers(t.ctx, want, registry.Page{Size: pageSize, Offset: q.Get("offset")})
	if t.failed(err) {
		return
	}
	d := struct {
		Query      string
		Statuses   []option
		Filtered   bool
		Developers []someone
		Pager      pager
	}{Query: want.Query, Filtered: want != registry.DeveloperFilter{}, Pager: t.pages(list.Next), Statuses: options(want.Status.String(),
		[2]string{"", "All"}, [2]string{"requested", "Requested"}, [2]string{"approved", "Approved"}, [2]string{"rejected", "Rejected"}, [2]string{"revoked", "Revoked"})}
	for _, one := range list.Data {
		d.Developers = append(d.Developers, someoneOf(one))
	}
	t.show(http.StatusOK, "admin_developers", t.view("Developers", "developers", d))
}

// developerActions are what can be decided about a developer.
func (t *turn) developerActions(s registry.DeveloperStatus) []action {
	if !mayDecide(t.token) {
		return nil
	}
	switch s {
	case registry.Requested:
		return []action{{"approve", "Approve", ""}, {"reject", "Reject", "danger"}}
	case registry.Approved:
		return []action{{"revoke", "Revoke the account", "danger"}}
	}
	return []action{{"approve", "Approve", ""}}
}

func (t *turn) developer() {
	dev, err := t.config.Registry.Developer(t.ctx, t.r.PathValue("id"))
	if t.failed(err) {
		return
	}
	apps, err := t.config.Registry.Applications(t.ctx, registry.ApplicationFilter{DeveloperID: dev.ID}, registry.Page{Size: maxApplications})
	if t.failed(err) {
		return
	}
	d := struct {
		someone
		Facts        []fact
		Actions      []action
		Applications []app
	}{someone: someoneOf(dev), Actions: t.developerActions(dev.Status)}
	d.Facts = []fact{{Name: "E-mail address", Value: dev.Email}, {Name: "Id", Value: dev.ID, Code: true}}
	if dev.Issuer != "" {
		d.Facts = append(d.Facts, fact{Name: "Identity provider", Value: dev.Issuer, Code: true}, fact{Name: "Subject", Value: dev.Subject, Code: true})
	} else {
		d.Facts = append(d.Facts, fact{Name: "Identity provider", Value: "Nobody has registered with this address yet"})
	}
	d.Facts = append(d.Facts, fullTime("Registered", dev.Created), fullTime("Changed", dev.Updated))
	for _, a := range apps.Data {
		one, err := t.summary(a)
		if t.failed(err) {
			return
		}
		d.Applications = append(d.Applications, one)
	}
	t.show(http.StatusOK, "admin_developer", t.view(d.Name, "developers", d))
}

// summary is an application with the state of its contracts.
func (t *turn) summary(a registry.Application) (app, error) {
	list, err := t.config.Registry.Contracts(t.ctx, registry.ContractFilter{ApplicationID: a.ID}, registry.Page{Size: 1000})
	one := appOf(a)
	one.Counts = counts(list.Data)
	return one, err
}

// statusOf is what a decision makes of a status; 0 for a word that is none.
func statusOf(action string) registry.Status {
	switch action {
	case "approve":
		return registry.Approved
	case "reject":
		return registry.Rejected
	case "revoke":
		return registry.Revoked
	}
	return 0
}

func (t *turn) decideDeveloper() {
	do := t.value("action")
	status := statusOf(do)
	if status == 0 {
		t.fail(http.StatusBadRequest, "The form cannot be read", "It asks for nothing that can be done.")
		return
	}
	dev, err := t.config.Registry.Developer(t.ctx, t.r.PathValue("id"))
	if t.failed(err) {
		return
	}
	if _, err := t.config.Registry.SetDeveloperStatus(t.ctx, t.actor(), dev.ID, status); t.failed(err) {
		return
	}
	t.after("/developers/"+dev.ID, do)
}

func (t *turn) applications() {
	q := t.r.URL.Query()
	want := registry.ApplicationFilter{Query: clean(q.Get("q"))}
	list, err := t.config.Registry.Applications(t.ctx, want, registry.Page{Size: pageSize, Offset: q.Get("offset")})
	if t.failed(err) {
		return
	}
	d := struct {
		Query        string
		Applications []app
		Pager        pager
	}{Query: want.Query, Pager: t.pages(list.Next)}
	for _, a := range list.Data {
		one, err := t.summary(a)
		if t.failed(err) {
			return
		}
		owner, err := t.config.Registry.Developer(t.ctx, a.DeveloperID)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			t.trouble(err)
			return
		}
		one.Owner = owner.Email
		d.Applications = append(d.Applications, one)
	}
	t.show(http.StatusOK, "admin_applications", t.view("Applications", "applications", d))
}

// contractActions are what can be decided about a contract.
func (t *turn) contractActions(c registry.Contract) (out []action) {
	if !mayDecide(t.token) {
		return nil
	}
	switch c.Status {
	case registry.Requested:
		out = append(out, action{"approve", "Approve", "tight"}, action{"reject", "Reject", "danger tight"})
	case registry.Approved:
		if c.Suspended {
			out = append(out, action{"resume", "Resume", "tight"})
		} else {
			out = append(out, action{"suspend", "Suspend", "plain tight"})
		}
		return append(out, action{"revoke", "Revoke", "danger tight"})
	default:
		out = append(out, action{"approve", "Approve", "plain tight"})
	}
	if c.Suspended {
		out = append(out, action{"resume", "Resume", "plain tight"})
	}
	return out
}

func (t *turn) application() {
	a, owner, err := t.ownerOf(t.r.PathValue("id"))
	if t.failed(err) {
		return
	}
	list, err := t.config.Registry.Contracts(t.ctx, registry.ContractFilter{ApplicationID: a.ID}, registry.Page{Size: 1000})
	if t.failed(err) {
		return
	}
	services := catalogue(t.config.Catalogue())
	d := struct {
		Application    app
		Facts          []fact
		Developer      someone
		DeveloperState state
		Contracts      []granted
	}{Application: appOf(a), Facts: append(applicationFacts(a), fact{Name: "Id", Value: a.ID, Code: true}, fact{Name: "Consumer", Value: a.ConsumerID, Code: true}),
		Developer: someoneOf(owner), DeveloperState: stateOf(owner.Status)}
	for _, c := range list.Data {
		g := services.granted(c)
		g.Actions = t.contractActions(c)
		d.Contracts = append(d.Contracts, g)
	}
	t.show(http.StatusOK, "admin_application", t.view(a.Name, "applications", d))
}

func (t *turn) decideContract() {
	do := t.value("action")
	c, err := t.config.Registry.Contract(t.ctx, t.r.PathValue("id"))
	if t.failed(err) {
		return
	}
	switch status := statusOf(do); {
	case status != 0:
		_, err = t.config.Registry.SetContractStatus(t.ctx, t.actor(), c.ID, status)
	case do == "suspend" || do == "resume":
		_, err = t.config.Registry.SuspendContract(t.ctx, t.actor(), c.ID, do == "suspend")
	default:
		t.fail(http.StatusBadRequest, "The form cannot be read", "It asks for nothing that can be done.")
		return
	}
	if t.failed(err) {
		return
	}
	t.after("/applications/"+c.ApplicationID, do)
}

// auditRow is a row of the audit log.
type auditRow struct {
	Time, When, Who, WhoKind, Remote, Action, Kind, ID, Detail string
}

// auditKinds are what the audit log can be narrowed to. Whoever may only decide sees the
// first three kinds, as in the admin API none of the others.
var auditKinds = [][2]string{{"", "Everything"}, {"developers", "Developers"}, {"applications", "Applications"}, {"contracts", "Contracts"},
	{"consumers", "Consumers"}, {"tokens", "Admin tokens"}}

func (t *turn) audit() {
	q := t.r.URL.Query()
	want := registry.AuditFilter{Kind: q.Get("kind"), ID: clean(q.Get("id"))}
	kinds := auditKinds
	if !mayAudit(t.token) {
		kinds = auditKinds[1:4]
		if want.Kind == "" {
			want.Kind = "contracts"
		}
		if !slices.ContainsFunc(kinds, func(o [2]string) bool { return o[0] == want.Kind }) {
			t.fail(http.StatusForbidden, "Not with this token", "It may see the log of developers, applications and contracts: for more expected the role admin or read.")
			return
		}
	}
	if !line(want.Kind, maxName) || !line(want.ID, maxName) {
		t.fail(http.StatusBadRequest, "That cannot be looked for", "The address is not one of a link of these pages.")
		return
	}
	list, err := t.config.Registry.Audits(t.ctx, want, registry.Page{Size: pageSize, Offset: q.Get("offset")})
	if t.failed(err) {
		return
	}
	d := struct {
		Kinds    []option
		ID       string
		Filtered bool
		Rows     []auditRow
		Pager    pager
	}{ID: want.ID, Filtered: want != registry.AuditFilter{}, Pager: t.pages(list.Next), Kinds: options(want.Kind, kinds...)}
	for _, a := range list.Data {
		who := a.Actor.Name
		if who == "" {
			who = a.Actor.ID
		}
		d.Rows = append(d.Rows, auditRow{a.At.UTC().Format(time.RFC3339), when(a.At), who, a.Actor.Kind, a.Actor.Remote, a.Action, a.Kind, a.ID, a.Detail})
	}
	t.show(http.StatusOK, "admin_audit", t.view("Audit log", "audit", d))
}
