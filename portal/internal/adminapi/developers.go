package adminapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// developerJSON has the members of Kong's. As there, meta is JSON in a string.
type developerJSON struct {
	ID      string  `json:"id"`
	Email   string  `json:"email"`
	Name    *string `json:"name"`
	Status  int     `json:"status"` // 0 approved, 1 requested, 2 rejected, 3 revoked
	Meta    string  `json:"meta"`
	Issuer  *string `json:"issuer"` // of the ID tokens that somebody signs in with
	Subject *string `json:"subject"`
	times
}

type applicationJSON struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	RedirectURI *string `json:"redirect_uri"`
	CustomID    *string `json:"custom_id"`
	Consumer    idJSON  `json:"consumer"`
	Developer   idJSON  `json:"developer"`
	times
}

type contractJSON struct {
	ID          string      `json:"id"`
	CompositeID string      `json:"composite_id"`
	Application idJSON      `json:"application"`
	Service     serviceName `json:"service"`
	Status      int         `json:"status"`
	Suspended   bool        `json:"suspended"`
	times
}

// serviceName says which service a contract is for. ID is empty where there is none of
// that name any more.
type serviceName struct {
	ID   *string `json:"id"`
	Name string  `json:"name"`
}

func showDeveloper(d registry.Developer) any {
	meta := []byte("{}")
	if len(d.Meta) > 0 {
		meta, _ = json.Marshal(d.Meta) // texts
	}
	return developerJSON{d.ID, d.Email, orNull(d.Name), d.Status.Number(), string(meta), orNull(d.Issuer), orNull(d.Subject),
		times{seconds(d.Created), seconds(d.Updated)}}
}

func showApplication(p registry.Application) any {
	return applicationJSON{p.ID, p.Name, orNull(p.Description), orNull(p.RedirectURI), orNull(p.CustomID), idJSON{p.ConsumerID}, idJSON{p.DeveloperID},
		times{seconds(p.Created), seconds(p.Updated)}}
}

func (c *call) showContract(k registry.Contract) any {
	view := contractJSON{k.ID, k.CompositeID(), idJSON{k.ApplicationID}, serviceName{nil, k.Service}, k.Status.Number(), k.Suspended,
		times{seconds(k.Created), seconds(k.Updated)}}
	if s, err := c.serviceBy(k.Service); err == nil {
		view.Service.ID = &s.id
	}
	return view
}

// statusOf reads a status, one of Kong's numbers.
func statusOf(f *fields, dst *registry.Status) bool {
	var n int64
	if !f.number("status", &n, 0, 3) {
		return false
	}
	*dst = registry.StatusOf(int(n))
	return true
}

// statusAsked reads ?status=.
func (c *call) statusAsked() (registry.Status, error) {
	q, err := c.query()
	if err != nil || q.Get("status") == "" {
		return 0, err
	}
	n, err := strconv.Atoi(q.Get("status"))
	if s := registry.StatusOf(n); err == nil && s != 0 {
		return s, nil
	}
	return 0, violation(map[string]string{"status": "expected 0 (approved), 1 (requested), 2 (rejected) or 3 (revoked)"})
}

func listDevelopers(c *call) (int, any, error) {
	status, err := c.statusAsked()
	if err != nil {
		return 0, nil, err
	}
	q, _ := c.query()
	return c.page(nil, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.Developers(c.r.Context(), registry.DeveloperFilter{Status: status, Query: q.Get("q")}, p)
		return each(list, err, showDeveloper)
	})
}

// developer returns the developer of the path, by id or e-mail address.
func (c *call) developer() (registry.Developer, error) {
	if c.Registry == nil {
		return registry.Developer{}, errNotFound
	}
	return c.Registry.Developer(c.r.Context(), c.path["developer"])
}

func getDeveloper(c *call) (int, any, error) {
	d, err := c.developer()
	return http.StatusOK, showDeveloper(d), err
}

// readDeveloper reads what a body says of a developer, but for the status.
func readDeveloper(f *fields, d *registry.Developer) {
	f.text("email", &d.Email)
	f.text("name", &d.Name)
	f.text("issuer", &d.Issuer)
	f.text("subject", &d.Subject)
	value, given := f.get("meta")
	if text, ok := value.(string); ok && text != "" {
		object, err := jsonBody(text)
		if err != nil {
			f.fail("meta", "expected an object, or JSON of one in a string")
			return
		}
		value = object
	}
	if !given {
		return
	}
	d.Meta = nil
	members, ok := value.(map[string]any)
	if value == nil || value == "" {
		return
	}
	if !ok {
		f.fail("meta", "expected an object, or JSON of one in a string")
		return
	}
	d.Meta = map[string]string{}
	for name, v := range members {
		s, ok := v.(string)
		if !ok {
			f.fail("meta", "expected texts")
			return
		}
		d.Meta[name] = s
	}
}

func createDeveloper(c *call) (int, any, error) {
	body, err := c.body("developer", "")
	if err != nil {
		return 0, nil, err
	}
	var d registry.Developer
	status := registry.Requested
	f := newFields(body)
	readDeveloper(f, &d)
	if statusOf(f, &status) && status != registry.Approved && status != registry.Requested {
		f.fail("status", "expected 0 (approved) or 1 (requested) of somebody new")
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	d, err = c.Registry.Register(c.r.Context(), c.who.actor, d, status == registry.Approved)
	return http.StatusCreated, showDeveloper(d), err
}

// patchDeveloper changes an account; a token for approvals changes nothing but its status.
func patchDeveloper(c *call) (int, any, error) {
	d, err := c.developer()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body("developer", "")
	if err != nil {
		return 0, nil, err
	}
	f := newFields(body)
	var status registry.Status
	f.same("id", d.ID)
	set := statusOf(f, &status)
	readDeveloper(f, &registry.Developer{}) // for what is wrong with it
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	if more := has(body, "email", "name", "meta", "issuer", "subject"); more {
		if c.who.roles&admin == 0 {
			return 0, nil, forbidden(admin)
		}
		d, err = c.Registry.UpdateDeveloper(c.r.Context(), c.who.actor, d.ID, func(d *registry.Developer) error {
			readDeveloper(newFields(body), d)
			return nil
		})
		if err != nil {
			return 0, nil, err
		}
	}
	if set && status != d.Status {
		d, err = c.Registry.SetDeveloperStatus(c.r.Context(), c.who.actor, d.ID, status)
	}
	return http.StatusOK, showDeveloper(d), err
}

// has reports whether a body has one of some members.
func has(body map[string]any, names ...string) bool {
	for _, name := range names {
		if _, there := body[name]; there {
			return true
		}
	}
	return false
}

func deleteDeveloper(c *call) (int, any, error) {
	return noContent(c.Registry.DeleteDeveloper(c.r.Context(), c.who.actor, c.path["developer"]))
}

// application returns the application of the path, which is the developer's where the path
// names one.
func (c *call) application() (registry.Application, error) {
	if c.Registry == nil {
		return registry.Application{}, errNotFound
	}
	p, err := c.Registry.Application(c.r.Context(), c.path["application"])
	if err != nil || c.path["developer"] == "" {
		return p, err
	}
	d, err := c.developer()
	if err == nil && p.DeveloperID != d.ID {
		err = errNotFound
	}
	return p, err
}

func listApplications(c *call) (int, any, error) {
	q, err := c.query()
	if err != nil {
		return 0, nil, err
	}
	want := registry.ApplicationFilter{Query: q.Get("q")}
	if c.path["developer"] != "" {
		d, err := c.developer()
		if err != nil {
			return 0, nil, err
		}
		want.DeveloperID = d.ID
	}
	return c.page(nil, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.Applications(c.r.Context(), want, p)
		return each(list, err, showApplication)
	})
}

func getApplication(c *call) (int, any, error) {
	p, err := c.application()
	return http.StatusOK, showApplication(p), err
}

func readApplication(f *fields, p *registry.Application) {
	f.text("name", &p.Name)
	f.text("description", &p.Description)
	f.text("redirect_uri", &p.RedirectURI)
	f.text("custom_id", &p.CustomID)
}

// freeCustomID refuses a custom id that a consumer of the file is found by, its id and its
// user name in any case: who calls with it would be taken for one when he is the other.
func (c *call) freeCustomID(id string) error {
	for _, f := range c.File().Consumers {
		if id != "" && (id == f.CustomID || id == f.ID || strings.EqualFold(id, f.Username)) {
			return taken("custom_id", id)
		}
	}
	return nil
}

func createApplication(c *call) (int, any, error) {
	body, err := c.body("application", "")
	if err != nil {
		return 0, nil, err
	}
	var p registry.Application
	f := newFields(body)
	readApplication(f, &p)
	ref := c.path["developer"]
	if f.reference("developer", &ref, "email"); ref == "" {
		f.fail("developer", "is missing")
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	d, err := c.Registry.Developer(c.r.Context(), ref)
	named := c.path["developer"]
	switch {
	case errors.Is(err, registry.ErrNotFound) && named == "":
		return 0, nil, foreign("developer", "developers", map[string]any{"id": cut(ref)})
	case err != nil:
		return 0, nil, err
	case named != "" && named != d.ID && named != ref:
		return 0, nil, violation(map[string]string{"developer": "is not that of the path"})
	}
	if err := c.freeCustomID(p.CustomID); err != nil {
		return 0, nil, err
	}
	p.DeveloperID = d.ID
	p, err = c.Registry.CreateApplication(c.r.Context(), c.who.actor, p)
	return http.StatusCreated, showApplication(p), err
}

func patchApplication(c *call) (int, any, error) {
	p, err := c.application()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body("application", "")
	if err != nil {
		return 0, nil, err
	}
	f := newFields(body)
	f.same("id", p.ID)
	readApplication(f, &registry.Application{}) // for what is wrong with it
	for name, want := range map[string]string{"developer": p.DeveloperID, "consumer": p.ConsumerID} {
		ref := want
		if f.reference(name, &ref); ref != want {
			f.fail(name, "cannot be changed")
		}
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	p, err = c.Registry.UpdateApplication(c.r.Context(), c.who.actor, p.ID, func(p *registry.Application) error {
		before := p.CustomID
		readApplication(newFields(body), p)
		if p.CustomID == before {
			return nil
		}
		return c.freeCustomID(p.CustomID)
	})
	return http.StatusOK, showApplication(p), err
}

func deleteApplication(c *call) (int, any, error) {
	p, err := c.application()
	if err == nil {
		err = c.Registry.DeleteApplication(c.r.Context(), c.who.actor, p.ID)
	}
	if errors.Is(err, errNotFound) {
		err = nil
	}
	return noContent(err)
}

// contract returns the contract of the path, which is the application's where the path
// names one.
func (c *call) contract() (registry.Contract, error) {
	if c.Registry == nil {
		return registry.Contract{}, errNotFound
	}
	k, err := c.Registry.Contract(c.r.Context(), c.path["instance"])
	if err != nil || c.path["application"] == "" {
		return k, err
	}
	p, err := c.application()
	if err == nil && k.ApplicationID != p.ID {
		err = errNotFound
	}
	return k, err
}

func listContracts(c *call) (int, any, error) {
	status, err := c.statusAsked()
	if err != nil {
		return 0, nil, err
	}
	want := registry.ContractFilter{Status: status}
	if c.path["application"] != "" {
		p, err := c.application()
		if err != nil {
			return 0, nil, err
		}
		want.ApplicationID = p.ID
	}
	if ref := c.path["service"]; ref != "" {
		s, err := c.serviceBy(ref)
		if err != nil {
			return 0, nil, err
		}
		want.Service = s.key()
	}
	return c.page(nil, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.Contracts(c.r.Context(), want, p)
		return each(list, err, c.showContract)
	})
}

func getContract(c *call) (int, any, error) {
	k, err := c.contract()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.showContract(k), nil
}

// createContract asks for access to a service that has the plugin application-registration,
// which says whether that is approved at once.
func createContract(c *call) (int, any, error) {
	p, err := c.application()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body("application_instance", "")
	if err != nil {
		return 0, nil, err
	}
	f := newFields(body)
	ref, of := "", p.ID
	if f.reference("service", &ref, "name"); ref == "" {
		f.fail("service", "is missing")
	}
	if f.reference("application", &of); of != p.ID {
		f.fail("application", "is not that of the path")
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	s, err := c.serviceBy(ref)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, errNotFound) {
		return 0, nil, foreign("service", "services", map[string]any{"id": cut(ref)})
	}
	if err != nil {
		return 0, nil, err
	}
	auto, found, err := c.registration(s)
	if err != nil {
		return 0, nil, err
	}
	if !found {
		return 0, nil, violation(map[string]string{"service": "has no plugin application-registration: nobody needs a contract for it"})
	}
	k, err := c.Registry.RequestContract(c.r.Context(), c.who.actor, p.ID, s.key(), auto)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c.showContract(k), nil
}

// registration looks for the plugin application-registration of a service, and returns
// whether it approves at once.
func (c *call) registration(s service) (auto, found bool, err error) {
	const name = "application-registration"
	approves := func(config any) bool {
		m, _ := config.(map[string]any)
		auto, _ := m["auto_approve"].(bool)
		return auto
	}
	for _, p := range c.File().Plugins {
		if !p.Beside && p.Name == name && p.Route == nil && p.Service != nil && p.Service.ID == s.id {
			config, _ := p.Config()
			return approves(config), true, nil
		}
	}
	list, err := c.Registry.Entities(c.r.Context(), "plugins", registry.EntityFilter{ServiceID: s.id}, registry.Page{Size: maxSize})
	if err != nil {
		return false, false, err
	}
	for _, e := range list.Data {
		doc, err := jsonBody(string(e.JSON))
		if err != nil {
			return false, false, err
		}
		if off, said := doc["enabled"].(bool); doc["name"] == name && e.RouteID == "" && (off || !said) {
			return approves(doc["config"]), true, nil
		}
	}
	return false, false, nil
}

// patchContract approves, rejects, revokes and suspends. What takes away comes first.
func patchContract(c *call) (int, any, error) {
	k, err := c.contract()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body("application_instance", "")
	if err != nil {
		return 0, nil, err
	}
	f := newFields(body)
	var status registry.Status
	suspended := k.Suspended
	f.same("id", k.ID)
	f.same("composite_id", k.CompositeID())
	set := statusOf(f, &status)
	f.flag("suspended", &suspended)
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	suspend := func() {
		if err == nil && suspended != k.Suspended {
			k, err = c.Registry.SuspendContract(c.r.Context(), c.who.actor, k.ID, suspended)
		}
	}
	if suspended {
		suspend()
	}
	if err == nil && set && status != k.Status {
		k, err = c.Registry.SetContractStatus(c.r.Context(), c.who.actor, k.ID, status)
	}
	suspend()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.showContract(k), nil
}

func deleteContract(c *call) (int, any, error) {
	k, err := c.contract()
	if err == nil {
		err = c.Registry.DeleteContract(c.r.Context(), c.who.actor, k.ID)
	}
	if errors.Is(err, errNotFound) {
		err = nil
	}
	return noContent(err)
}
