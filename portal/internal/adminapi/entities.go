package adminapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// document is a service, a route or a plugin as the registry keeps it: what was written of
// it, with its id, without nulls and without what stands for something else (url).
type document = map[string]any

// kind is how one of services, routes and plugins is read and shown.
type kind struct {
	name string // services
	one  string // service: in paths, forms and schemas
	// named is the member that is unique among its kind.
	named string
	// references are the members that refer to others, and the kind of each.
	references map[string]string
	// settle brings what was written into the form in which it is kept.
	settle func(document, *fields)
	// show completes a document.
	show func(*call, document) document
	file func(*declarative.File) []fileEntity
}

// fileEntity is one of the file.
type fileEntity struct {
	id, name               string
	service, route, plugin string // what it is bound to, and which plugin it is
	tags                   []string
	doc                    func() document
}

var kinds map[string]*kind

func init() {
	kinds = map[string]*kind{"services": services, "routes": routes, "plugins": plugins}
}

// entity is a service, route or plugin of the file or the registry.
type entity struct {
	kind     *kind
	id, name string
	file     *fileEntity
	entity   registry.Entity
}

// find returns the entity with an id or, failing that, a name.
func (c *call) find(k *kind, ref string) (entity, error) {
	for _, f := range k.file(c.File()) {
		if f.id == ref || f.name == ref && ref != "" {
			return entity{kind: k, id: f.id, name: f.name, file: &f}, nil
		}
	}
	if c.Registry == nil {
		return entity{}, errNotFound
	}
	e, err := c.Registry.Entity(c.r.Context(), k.name, ref)
	return entity{kind: k, id: e.ID, name: e.Name, entity: e}, err
}

// service is an entity with the name that contracts know it by.
type service struct{ id, name string }

func (s service) key() string {
	if s.name != "" {
		return s.name
	}
	return s.id
}

func (c *call) serviceBy(ref string) (service, error) {
	e, err := c.find(services, ref)
	return service{e.id, e.name}, err
}

// document returns what an entity says; the maker of a page calls it for each.
func (e entity) document() (document, error) {
	if e.file != nil {
		return e.file.doc(), nil
	}
	return stored(e.entity)
}

// stored reads a document of the registry.
func stored(e registry.Entity) (document, error) {
	doc, err := jsonBody(string(e.JSON))
	if err != nil {
		return nil, errors.New("adminapi: a document of the registry cannot be read: " + e.Kind + " " + e.ID)
	}
	doc["created_at"], doc["updated_at"] = e.Created.Unix(), e.Updated.Unix()
	return doc, nil
}

func (c *call) showEntity(e entity) (any, error) {
	doc, err := e.document()
	if err != nil {
		return nil, err
	}
	if e.kind == plugins {
		return c.showPlugin(doc)
	}
	return e.kind.show(c, doc), nil
}

// parent returns the entity that a path is below, nil for a path at the top; field is how
// what is below refers to it.
func (c *call) parent(k *kind) (of *entity, field string, err error) {
	for _, p := range []*kind{services, routes} {
		ref, ok := c.path[p.one]
		if !ok || p == k {
			continue
		}
		e, err := c.find(p, ref)
		return &e, p.one, err
	}
	if c.path["consumer"] != "" {
		o, err := c.consumer()
		return &entity{id: o.id()}, "consumer", err
	}
	return nil, "", nil
}

// below reports whether an entity of the file is bound to another.
func (f fileEntity) below(field, id string) bool {
	switch field {
	case "":
		return true
	case "service":
		return f.service == id
	case "route":
		return f.route == id
	}
	return false
}

func (k *kind) list(c *call) (int, any, error) {
	of, field, err := c.parent(k)
	if err != nil {
		return 0, nil, err
	}
	tags, err := c.tags()
	if err != nil {
		return 0, nil, err
	}
	q, _ := c.query()
	want := registry.EntityFilter{Name: q.Get("name"), Tags: tags.list, AnyTag: tags.anyOf}
	if k == plugins {
		want.Name = "" // a plugin's is no name of its own
	}
	id := ""
	if of != nil {
		id = of.id
	}
	switch field {
	case "service":
		want.ServiceID = id
	case "route":
		want.RouteID = id
	case "consumer":
		want.ConsumerID = id
	}
	var file []any
	for _, f := range k.file(c.File()) {
		if !f.below(field, id) || !tags.fit(f.tags) || want.Name != "" && f.name != want.Name {
			continue
		}
		view, err := c.showEntity(entity{kind: k, file: &f})
		if err != nil {
			return 0, nil, err
		}
		file = append(file, view)
	}
	return c.page(file, func(p registry.Page) ([]any, string, error) {
		list, err := c.Registry.Entities(c.r.Context(), k.name, want, p)
		if err != nil {
			return nil, "", err
		}
		var out []any
		for _, e := range list.Data {
			view, err := c.showEntity(entity{kind: k, entity: e})
			if err != nil {
				return nil, "", err
			}
			out = append(out, view)
		}
		return out, list.Next, nil
	})
}

// find returns the entity of the path, which is bound to the one that the path is below.
func (k *kind) find(c *call) (entity, error) {
	of, field, err := c.parent(k)
	if err != nil {
		return entity{}, err
	}
	e, err := c.find(k, c.path[k.one])
	if err != nil || of == nil {
		return e, err
	}
	bound := e.file != nil && e.file.below(field, of.id)
	if e.file == nil {
		bound = map[string]string{"service": e.entity.ServiceID, "route": e.entity.RouteID, "consumer": e.entity.ConsumerID}[field] == of.id
	}
	if !bound {
		return entity{}, errNotFound
	}
	return e, nil
}

func (k *kind) get(c *call) (int, any, error) {
	e, err := k.find(c)
	if err != nil {
		return 0, nil, err
	}
	view, err := c.showEntity(e)
	return http.StatusOK, view, err
}

// serviceOf answers the service of a route.
func serviceOf(c *call) (int, any, error) {
	e, err := routes.find(c)
	if err != nil {
		return 0, nil, err
	}
	doc, err := e.document()
	if err != nil {
		return 0, nil, err
	}
	ref, _ := doc["service"].(map[string]any)
	id, _ := ref["id"].(string)
	s, err := c.find(services, id)
	if err != nil {
		return 0, nil, err
	}
	view, err := c.showEntity(s)
	return http.StatusOK, view, err
}

// read reads a body into a document. Nulls stay, for a PATCH to take away what they are
// for. old is what the body changes.
func (k *kind) read(c *call, old registry.Entity) (document, error) {
	doc, err := c.body(k.one, pluginName(old))
	if err != nil {
		return nil, err
	}
	f := newFields(doc)
	of, field, err := c.parent(k)
	if err != nil {
		return nil, err
	}
	for member, to := range k.references {
		ref, id := "", ""
		given := f.reference(member, &ref, nameOf(to))
		if member == field && of != nil {
			if given && ref != of.id && ref != of.name {
				f.fail(member, "is not that of the path")
			}
			id = of.id
		} else if ref != "" && f.wrong[member] == "" {
			if id, err = c.resolve(to, ref); err != nil {
				return nil, notThere(err, member, to, ref)
			}
		}
		if id != "" {
			doc[member] = map[string]any{"id": id}
		}
	}
	if len(f.wrong) > 0 {
		return nil, violation(f.wrong)
	}
	delete(doc, "created_at")
	delete(doc, "updated_at")
	return doc, nil
}

// nameOf returns what an entity of a collection is known by beside its id.
func nameOf(collection string) string {
	if collection == "consumers" {
		return "username"
	}
	return "name"
}

// resolve returns the id of an entity that is referred to.
func (c *call) resolve(collection, ref string) (string, error) {
	if k := kinds[collection]; k != nil {
		e, err := c.find(k, ref)
		return e.id, err
	}
	if f := c.File().ConsumerBy(ref); f != nil {
		return f.ID, nil
	}
	found, err := c.Registry.Consumer(c.r.Context(), ref)
	return found.ID, err
}

// notThere turns the absence of an entity that a body refers to into Kong's refusal.
func notThere(err error, member, collection, ref string) error {
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, errNotFound) {
		return foreign(member, collection, map[string]any{"id": cut(ref)})
	}
	return err
}

// entity makes of a document what the registry keeps.
func (k *kind) entity(doc document, id string) (registry.Entity, error) {
	f := newFields(doc)
	k.settle(doc, f)
	if len(f.wrong) > 0 {
		return registry.Entity{}, violation(f.wrong)
	}
	for name, value := range doc {
		if value == nil {
			delete(doc, name)
		}
	}
	doc["id"] = id
	e := registry.Entity{Kind: k.name, ID: id}
	e.Name, _ = doc[k.named].(string)
	tags, _ := doc["tags"].([]any)
	for _, t := range tags {
		if s, ok := t.(string); ok { // others are refused where the document is read
			e.Tags = append(e.Tags, s)
		}
	}
	for member, dst := range map[string]*string{"service": &e.ServiceID, "route": &e.RouteID, "consumer": &e.ConsumerID} {
		ref, _ := doc[member].(map[string]any)
		if k.references[member] != "" {
			*dst, _ = ref["id"].(string)
		}
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return registry.Entity{}, err
	}
	// Several writes may come together to more than one body may have. What could not be
	// read again would be in the way of every list that it is on.
	if _, err := jsonBody(string(data)); err != nil {
		return registry.Entity{}, violation(map[string]string{"@entity": "would have more in it, with what is there, than one document may have"})
	}
	e.JSON = data
	return e, nil
}

// chosen returns the id that a body asks for, or a new one.
func chosen(doc document) (string, error) {
	switch id := doc["id"].(type) {
	case nil:
		u, err := uuid.NewV7()
		return u.String(), err
	case string:
		if isUUID(id) {
			return id, nil
		}
	}
	return "", violation(map[string]string{"id": "expected a UUID in small letters"})
}

func (k *kind) post(c *call) (int, any, error) {
	doc, err := k.read(c, registry.Entity{})
	if err != nil {
		return 0, nil, err
	}
	id, err := chosen(doc)
	if err != nil {
		return 0, nil, err
	}
	return k.create(c, doc, id, http.StatusCreated)
}

func (k *kind) create(c *call, doc document, id string, status int) (int, any, error) {
	e, err := k.entity(doc, id)
	if err != nil {
		return 0, nil, err
	}
	e, err = c.Registry.CreateEntity(c.r.Context(), c.who.actor, e, c.agree(e))
	return k.written(c, e, status, err)
}

// written answers a write; secrets are not said again.
func (k *kind) written(c *call, e registry.Entity, status int, err error) (int, any, error) {
	var conflict *registry.Conflict
	if errors.As(err, &conflict) && conflict.Field == "name" {
		err = taken(k.named, conflict.Value) // a plugin's unique name is not its name
	}
	if err != nil {
		return 0, nil, err
	}
	doc, err := stored(e)
	if err != nil {
		return 0, nil, err
	}
	doc = k.show(c, doc)
	if k == plugins {
		hide(doc)
	}
	return status, doc, nil
}

// put replaces an entity, or makes one with the id or name in the path.
func (k *kind) put(c *call) (int, any, error) {
	old, err := k.find(c)
	if err == nil && old.file != nil {
		return 0, nil, ofFile(k.name, c.path[k.one])
	}
	missing := errors.Is(err, registry.ErrNotFound) || errors.Is(err, errNotFound)
	if err != nil && !missing {
		return 0, nil, err
	}
	if missing && len(c.path) > 1 {
		if _, err := c.find(k, c.path[k.one]); err == nil {
			return 0, nil, errNotFound // it is bound to another
		}
	}
	doc, err := k.read(c, old.entity)
	if err != nil {
		return 0, nil, err
	}
	f := newFields(doc)
	ref, id := c.path[k.one], old.id
	switch {
	case isUUID(ref):
		f.same("id", ref)
		id = ref
	case missing && k == plugins: // whose names are not of their own
		return 0, nil, errNotFound
	default:
		if missing {
			if id, err = chosen(doc); err != nil {
				return 0, nil, err
			}
		}
		f.same("id", id)
		if doc[k.named] == nil {
			doc[k.named] = ref
		} else if doc[k.named] != any(ref) && ref != old.id {
			f.fail(k.named, "is not the one that it is put under")
		}
	}
	if len(f.wrong) > 0 {
		return 0, nil, violation(f.wrong)
	}
	if missing {
		return k.create(c, doc, id, http.StatusOK)
	}
	return k.change(c, id, func(document) document { return doc })
}

func (k *kind) patch(c *call) (int, any, error) {
	old, err := k.find(c)
	if err != nil {
		return 0, nil, err
	}
	if old.file != nil {
		return 0, nil, ofFile(k.name, c.path[k.one])
	}
	doc, err := k.read(c, old.entity)
	if err != nil {
		return 0, nil, err
	}
	f := newFields(doc)
	if f.same("id", old.id); len(f.wrong) > 0 {
		return 0, nil, violation(f.wrong)
	}
	return k.change(c, old.id, func(old document) document {
		merge(old, doc, 0)
		return old
	})
}

// merge puts the members of a patch over those of a document; null takes one away. What
// config has is merged member by member, as in Kong.
func merge(into, patch document, depth int) {
	for name, value := range patch {
		there, isMap := into[name].(map[string]any)
		new, alsoMap := value.(map[string]any)
		if isMap && alsoMap && (name == "config" || depth > 0) && depth < 8 {
			merge(there, new, depth+1)
			continue
		}
		if into[name] = value; value == nil {
			delete(into, name)
		}
	}
}

// change replaces an entity by what becomes of it.
func (k *kind) change(c *call, id string, become func(document) document) (int, any, error) {
	var will registry.Entity
	e, err := c.Registry.UpdateEntity(c.r.Context(), c.who.actor, k.name, id, func(e *registry.Entity) error {
		doc, err := stored(*e)
		if err != nil {
			return err
		}
		delete(doc, "created_at")
		delete(doc, "updated_at")
		if will, err = k.entity(become(doc), id); err != nil {
			return err
		}
		e.Name, e.ServiceID, e.RouteID, e.ConsumerID = will.Name, will.ServiceID, will.RouteID, will.ConsumerID
		e.JSON, e.Tags = will.JSON, will.Tags
		return nil
	}, func(all []registry.Entity) error { return c.agree(will)(all) })
	return k.written(c, e, http.StatusOK, err)
}

func (k *kind) remove(c *call) (int, any, error) {
	old, err := k.find(c)
	switch {
	case errors.Is(err, registry.ErrNotFound) || errors.Is(err, errNotFound) && c.path[k.one] != "":
		return http.StatusNoContent, nil, nil // as in Kong
	case err != nil:
		return 0, nil, err
	case old.file != nil:
		return 0, nil, ofFile(k.name, c.path[k.one])
	}
	return noContent(c.Registry.DeleteEntity(c.r.Context(), c.who.actor, k.name, old.id, func(all []registry.Entity) error {
		for _, e := range all {
			if k == services && e.Kind == "routes" && e.ServiceID == old.id {
				return referenced("services", "routes")
			}
		}
		return c.load(all, "")
	}))
}

// agree returns what refuses an entity when the configuration would then be none: names
// that are taken, and everything that package declarative finds.
func (c *call) agree(e registry.Entity) func([]registry.Entity) error {
	return func(all []registry.Entity) error {
		k := kinds[e.Kind]
		name := pluginName(e)
		for _, f := range k.file(c.File()) {
			switch {
			case f.id == e.ID:
				return taken("id", e.ID)
			case e.Name != "" && f.name == e.Name:
				return taken(k.named, e.Name)
			case k == plugins && f.plugin == name && f.service == e.ServiceID && f.route == e.RouteID && e.ConsumerID == "":
				return samePlace(e, name)
			}
		}
		for _, other := range all {
			if k == plugins && other.Kind == e.Kind && other.ID != e.ID && pluginName(other) == name &&
				other.ServiceID == e.ServiceID && other.RouteID == e.RouteID && other.ConsumerID == e.ConsumerID {
				return samePlace(e, name)
			}
		}
		return c.load(all, further(e).Path())
	}
}

// beside returns what the registry has as package declarative reads it.
func beside(all []registry.Entity) []declarative.Further {
	list := make([]declarative.Further, len(all))
	for i, e := range all {
		list[i] = further(e)
	}
	return list
}

func further(e registry.Entity) declarative.Further {
	return declarative.Further{Kind: e.Kind, ID: e.ID, JSON: e.JSON}
}

// load refuses entities that could not be put in force; about is the path of the one that
// is written.
func (c *call) load(all []registry.Entity, about string) error {
	if c.Check == nil {
		return errors.New("adminapi: nothing judges what is written")
	}
	problems := c.Check(beside(all))
	if errs := problems.Errors(); len(errs) > 0 {
		return refused(errs, about)
	}
	for _, p := range problems {
		if entity, _, ok := p.FurtherField(); ok && entity == about && p.Severity == declarative.Warning {
			c.Logger.Warn(p.String())
		}
	}
	return nil
}

// pluginName returns which plugin an entity is, "" for no plugin.
func pluginName(e registry.Entity) string {
	if e.Kind != "plugins" {
		return ""
	}
	doc, err := jsonBody(string(e.JSON))
	if err != nil {
		return ""
	}
	name, _ := doc["name"].(string)
	return name
}

// samePlace is Kong's answer to a second plugin of one name in one place.
func samePlace(e registry.Entity, name string) error {
	ref := func(id string) any {
		if id == "" {
			return nil
		}
		return map[string]any{"id": id}
	}
	fields := map[string]any{"name": name, "service": ref(e.ServiceID), "route": ref(e.RouteID), "consumer": ref(e.ConsumerID)}
	var p *problem
	_ = errors.As(taken("name", name), &p)
	p.Fields = fields
	return p
}

// anyOf returns a list as JSON has it, nil for none.
func anyOf[T any](list []T) any {
	if list == nil {
		return nil
	}
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// complete puts what a document does not say beside what it says.
func complete(doc document, rest document) document {
	for name, value := range rest {
		if _, there := doc[name]; !there {
			doc[name] = value
		}
	}
	return doc
}

// contains reports whether a list of a document has a text.
func contains(list any, text string) bool {
	texts, _ := list.([]any)
	return slices.Contains(texts, any(text))
}
