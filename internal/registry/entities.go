package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Entity is a service, a route or a plugin, as a JSON document that somebody else has
// checked.
type Entity struct {
	Kind string // services, routes, plugins
	ID   string
	// Name is unique in its kind, "" for none. A plugin's is its instance_name.
	Name string
	// What the document refers to, for lists; "" for nothing. It may stand in the
	// declarative file instead.
	ServiceID, RouteID, ConsumerID string
	JSON                           []byte
	Tags                           []string
	Created, Updated               time.Time
}

// EntityFilter is which entities are wanted; empty fields do not count.
type EntityFilter struct {
	Name, ServiceID, RouteID, ConsumerID string
	Tags                                 []string // all of them
	AnyTag                               bool     // or any of them
}

// kinds are the kinds of entities.
var kinds = []string{"services", "routes", "plugins"}

// sealedEntity is what documents are sealed for, beside the id.
const sealedEntity = "entities.sealed"

// entities is how entities are read, and their documents opened.
func (r *Registry) entities() *table[Entity] {
	return &table[Entity]{
		name: "entities",
		columns: `entities.kind, entities.id, COALESCE(entities.name, ''), entities.service_id, entities.route_id, entities.consumer_id,
			entities.sealed, entities.tags, entities.created, entities.updated`,
		scan: func(s scanner) (e Entity, err error) {
			var sealed, tags string
			var created, updated int64
			if err := s.Scan(&e.Kind, &e.ID, &e.Name, &e.ServiceID, &e.RouteID, &e.ConsumerID, &sealed, &tags, &created, &updated); err != nil {
				return e, err
			}
			text, err := r.sealer.open(sealedEntity, e.ID, sealed)
			if err != nil {
				return e, err
			}
			e.JSON, e.Created, e.Updated = []byte(text), moment(created), moment(updated)
			e.Tags, err = unlist(tags)
			return e, err
		},
		id: func(e Entity) string { return e.ID },
	}
}

// entityBy returns the entity of a kind with an id or, failing that, a name.
func (r *Registry) entityBy(ctx context.Context, c conn, kind, ref string) (Entity, error) {
	if isID(ref) {
		if e, err := r.entities().one(ctx, c, `entities.kind = ? AND entities.id = ?`, kind, ref); !errors.Is(err, ErrNotFound) {
			return e, err
		}
	}
	if ref == "" || badText(ref, maxName) || !slices.Contains(kinds, kind) {
		return Entity{}, ErrNotFound
	}
	return r.entities().one(ctx, c, `entities.kind = ? AND entities.name = ?`, kind, ref)
}

// Entity returns the entity of a kind with an id or, failing that, a name.
func (r *Registry) Entity(ctx context.Context, kind, ref string) (Entity, error) {
	return r.entityBy(ctx, r.read(), kind, ref)
}

// Entities lists the entities of a kind.
func (r *Registry) Entities(ctx context.Context, kind string, want EntityFilter, p Page) (List[Entity], error) {
	if !slices.Contains(kinds, kind) {
		return List[Entity]{}, invalid("kind", "is none of services, routes and plugins")
	}
	var f filter
	f.and("entities.kind = ?", kind)
	f.is("entities.name", want.Name)
	f.is("entities.service_id", want.ServiceID)
	f.is("entities.route_id", want.RouteID)
	f.is("entities.consumer_id", want.ConsumerID)
	f.tagged(kind, want.Tags, want.AnyTag)
	return r.entities().page(ctx, r.read(), &f, p)
}

// AllEntities returns every entity, as one state of the database has them, by id.
func (r *Registry) AllEntities(ctx context.Context) ([]Entity, error) {
	return r.entities().all(ctx, r.read(), `1 = 1`)
}

// CreateEntity enters an entity. check, which may be nil, is called with all entities
// as they would then be, and its error refuses the write; nobody else writes meanwhile.
func (r *Registry) CreateEntity(ctx context.Context, a Actor, e Entity, check func([]Entity) error) (Entity, error) {
	err := r.write(ctx, a, func(w *tx) (err error) {
		e, err = w.createEntity(ctx, e, check)
		return err
	})
	return e, err
}

func (w *tx) createEntity(ctx context.Context, e Entity, check func([]Entity) error) (Entity, error) {
	if err := e.check(); err != nil {
		return e, err
	}
	n, err := w.count(ctx, `SELECT COUNT(*) FROM entities`)
	if err != nil {
		return e, err
	}
	if err := room(e.Kind, n, maxEntities); err != nil {
		return e, err
	}
	if e.ID == "" {
		e.ID = newID()
	}
	e.Tags, e.Created, e.Updated = sorted(e.Tags), moment(micro(w.now)), moment(micro(w.now))
	_, err = w.exec(ctx, `INSERT INTO entities (id, kind, name, service_id, route_id, consumer_id, sealed, tags, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.Kind, null(e.Name), e.ServiceID, e.RouteID, e.ConsumerID, w.r.sealer.seal(sealedEntity, e.ID, string(e.JSON)), list(e.Tags), micro(e.Created), micro(e.Updated))
	if err != nil {
		return e, taken(err, map[string]string{"id": e.ID, "name": e.Name})
	}
	if err := w.newTags(ctx, e.Kind, e.ID, e.Tags); err != nil {
		return e, err
	}
	w.changeEntity("create", e, "")
	return e, w.agreed(ctx, check)
}

// PutEntity replaces the entity of e.Kind that ref is the id or name of, or else enters
// one with that id or name, which e may leave out; created says which. A service that gets another name takes
// its contracts along; the error is a Conflict where there are contracts under that name.
// check is as for CreateEntity.
func (r *Registry) PutEntity(ctx context.Context, a Actor, ref string, e Entity, check func([]Entity) error) (out Entity, created bool, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := r.entityBy(ctx, w.conn, e.Kind, ref)
		if errors.Is(err, ErrNotFound) {
			created = true
			if isID(ref) {
				e.ID = ref
			} else if err := named("name", &e.Name, ref); err != nil {
				return err
			}
			out, err = w.createEntity(ctx, e, check)
			return err
		}
		if err != nil {
			return err
		}
		if !isID(ref) {
			if err := named("name", &e.Name, ref); err != nil {
				return err
			}
		}
		out, err = w.putEntity(ctx, old, e, check)
		return err
	})
	return out, created, err
}

// UpdateEntity changes an entity within the transaction in which it reads it. ref is an
// id or a name; the rest is as for PutEntity.
func (r *Registry) UpdateEntity(ctx context.Context, a Actor, kind, ref string, change func(*Entity) error, check func([]Entity) error) (e Entity, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := r.entityBy(ctx, w.conn, kind, ref)
		if err != nil {
			return err
		}
		e = old
		if err := change(&e); err != nil {
			return err
		}
		e, err = w.putEntity(ctx, old, e, check)
		return err
	})
	return e, err
}

func (w *tx) putEntity(ctx context.Context, old, e Entity, check func([]Entity) error) (Entity, error) {
	e.Kind, e.ID, e.Created, e.Updated, e.Tags = old.Kind, old.ID, old.Created, moment(micro(w.now)), sorted(e.Tags)
	if err := e.check(); err != nil {
		return e, err
	}
	_, err := w.exec(ctx, `UPDATE entities SET name = ?, service_id = ?, route_id = ?, consumer_id = ?, sealed = ?, tags = ?, updated = ? WHERE id = ?`,
		null(e.Name), e.ServiceID, e.RouteID, e.ConsumerID, w.r.sealer.seal(sealedEntity, e.ID, string(e.JSON)), list(e.Tags), micro(e.Updated), e.ID)
	if err != nil {
		return e, taken(err, map[string]string{"name": e.Name})
	}
	if err := w.tag(ctx, e.Kind, e.ID, e.Tags); err != nil {
		return e, err
	}
	w.changeEntity("update", e, old.Name)
	if old.contractKey() != e.contractKey() {
		if err := w.renameService(ctx, old.contractKey(), e.contractKey()); err != nil {
			return e, err
		}
	}
	return e, w.agreed(ctx, check)
}

// DeleteEntity removes an entity with the plugins that are bound to it, and a service with
// its contracts: another one of that name must not inherit them. check is as for
// CreateEntity; it finds what else refers to the entity.
func (r *Registry) DeleteEntity(ctx context.Context, a Actor, kind, ref string, check func([]Entity) error) error {
	return r.write(ctx, a, func(w *tx) error {
		e, err := r.entityBy(ctx, w.conn, kind, ref)
		if err != nil {
			return err
		}
		// All at once: a route without its guards must not be there for a moment.
		bound, err := r.entities().all(ctx, w.conn, `entities.kind = 'plugins' AND (entities.service_id = ? OR entities.route_id = ?)`, e.ID, e.ID)
		if err != nil {
			return err
		}
		for _, gone := range append(bound, e) {
			if err := w.tag(ctx, gone.Kind, gone.ID, nil); err != nil {
				return err
			}
			if _, err := w.exec(ctx, `DELETE FROM entities WHERE id = ?`, gone.ID); err != nil {
				return err
			}
			w.changeEntity("delete", gone, gone.Name)
		}
		if key := e.contractKey(); key != "" {
			list, err := contracts.all(ctx, w.conn, `contracts.service = ?`, key)
			if err != nil {
				return err
			}
			for _, k := range list {
				if err := w.deleteContract(ctx, k); err != nil {
					return err
				}
			}
		}
		return w.agreed(ctx, check)
	})
}

// contractKey returns what contracts know a service by; "" for other kinds.
func (e *Entity) contractKey() string {
	switch {
	case e.Kind != "services":
		return ""
	case e.Name != "":
		return e.Name
	}
	return e.ID
}

// renameService moves contracts from one key to another.
func (w *tx) renameService(ctx context.Context, from, to string) error {
	n, err := w.count(ctx, `SELECT COUNT(*) FROM contracts WHERE service = ?`, to)
	if err != nil {
		return err
	}
	if n > 0 { // of a service that the file has, or had
		return &Conflict{"name", to}
	}
	moved, err := contracts.all(ctx, w.conn, `contracts.service = ?`, from)
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, `UPDATE contracts SET service = ?, updated = ? WHERE service = ?`, to, micro(w.now), from); err != nil {
		return err
	}
	for _, k := range moved {
		k.Service = to
		if err := w.changeContract(ctx, "update", k, fmt.Sprintf("service was %q", from)); err != nil {
			return err
		}
	}
	return nil
}

// agreed asks whether the entities may be as they are now.
func (w *tx) agreed(ctx context.Context, check func([]Entity) error) error {
	if check == nil {
		return nil
	}
	all, err := w.r.entities().all(ctx, w.conn, `1 = 1`)
	if err != nil {
		return err
	}
	return check(all)
}

func (w *tx) changeEntity(action string, e Entity, old string) {
	w.change(ConfigChange, e.Kind+":"+e.ID)
	what := fmt.Sprintf("name %q", e.Name)
	if action == "update" && old != e.Name {
		what = fmt.Sprintf("name %q to %q", old, e.Name)
	}
	if e.Kind == "plugins" { // Name is that of the instance
		var plugin struct{ Name string }
		_ = json.Unmarshal(e.JSON, &plugin) // without one the row says no more than that
		what = fmt.Sprintf("%q, instance_%s", plugin.Name, what)
	}
	w.audit(action, e.Kind, e.ID, what)
}

func (e *Entity) check() error {
	bad := checks{}
	if !slices.Contains(kinds, e.Kind) {
		bad.fail("kind", "is none of services, routes and plugins")
	}
	bad.id("id", e.ID)
	bad.text("name", e.Name, maxName)
	bad.id("service", e.ServiceID)
	bad.id("route", e.RouteID)
	bad.id("consumer", e.ConsumerID)
	bad.tags(e.Tags)
	switch {
	case len(e.JSON) > maxJSON:
		bad.fail("json", "is longer than %d bytes", maxJSON)
	case !json.Valid(e.JSON) || badText(string(e.JSON), maxJSON):
		bad.fail("json", "is no JSON document in UTF-8")
	}
	return bad.err()
}
