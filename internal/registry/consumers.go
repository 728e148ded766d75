package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// Consumer is who calls services. It has a user name, a custom id, or both; each is
// unique.
type Consumer struct {
	ID       string // a UUID; chosen where it is empty
	Username string
	CustomID string
	Tags     []string // in order
	// Application marks the consumer of an application: it is made, changed and removed
	// with that.
	Application      bool
	Created, Updated time.Time
}

// ConsumerFilter is which consumers are wanted; empty fields do not count.
type ConsumerFilter struct {
	Username, CustomID string
	Tags               []string // all of them
	AnyTag             bool     // or any of them
}

var consumers = &table[Consumer]{
	name:    "consumers",
	columns: `consumers.id, COALESCE(consumers.username, ''), COALESCE(consumers.custom_id, ''), consumers.tags, consumers.application, consumers.created, consumers.updated`,
	scan: func(s scanner) (c Consumer, err error) {
		var tags string
		var application, created, updated int64
		if err := s.Scan(&c.ID, &c.Username, &c.CustomID, &tags, &application, &created, &updated); err != nil {
			return c, err
		}
		c.Application, c.Created, c.Updated = application == 1, moment(created), moment(updated)
		c.Tags, err = unlist(tags)
		return c, err
	},
	id: func(c Consumer) string { return c.ID },
}

// consumerBy returns the consumer with an id or, failing that, a user name.
func consumerBy(ctx context.Context, c conn, ref string) (Consumer, error) {
	if isID(ref) {
		found, err := consumers.one(ctx, c, `consumers.id = ?`, ref)
		if !errors.Is(err, ErrNotFound) {
			return found, err
		}
	}
	if ref == "" || badText(ref, maxName) {
		return Consumer{}, ErrNotFound
	}
	return consumers.one(ctx, c, `consumers.username = ?`, ref)
}

// Consumer returns the consumer with an id or, failing that, a user name.
func (r *Registry) Consumer(ctx context.Context, ref string) (Consumer, error) {
	return consumerBy(ctx, r.read(), ref)
}

// Consumers lists consumers, those of applications among them.
func (r *Registry) Consumers(ctx context.Context, want ConsumerFilter, p Page) (List[Consumer], error) {
	var f filter
	f.is("consumers.username", want.Username)
	f.is("consumers.custom_id", want.CustomID)
	f.tagged("consumers", want.Tags, want.AnyTag)
	return consumers.page(ctx, r.read(), &f, p)
}

// CreateConsumer enters a consumer and returns it with its id and times.
func (r *Registry) CreateConsumer(ctx context.Context, a Actor, c Consumer) (Consumer, error) {
	err := r.write(ctx, a, func(w *tx) (err error) {
		c, err = w.createConsumer(ctx, c)
		return err
	})
	return c, err
}

// PutConsumer replaces the consumer that ref is the id or user name of, or else enters
// one with that id or user name, which c may leave out; created says which.
func (r *Registry) PutConsumer(ctx context.Context, a Actor, ref string, c Consumer) (out Consumer, created bool, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := consumerBy(ctx, w.conn, ref)
		switch {
		case errors.Is(err, ErrNotFound):
			created = true
			if isID(ref) {
				c.ID = ref
			} else if err := named("username", &c.Username, ref); err != nil {
				return err
			}
			out, err = w.createConsumer(ctx, c)
			return err
		case err != nil:
			return err
		}
		if !isID(ref) {
			if err := named("username", &c.Username, ref); err != nil {
				return err
			}
		}
		out, err = w.updateConsumer(ctx, old, func(have *Consumer) error {
			have.Username, have.CustomID, have.Tags = c.Username, c.CustomID, c.Tags
			return nil
		})
		return err
	})
	return out, created, err
}

// UpdateConsumer changes user name, custom id and tags, within the transaction in which
// it reads them. ref is an id or a user name.
func (r *Registry) UpdateConsumer(ctx context.Context, a Actor, ref string, change func(*Consumer) error) (c Consumer, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := consumerBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		c, err = w.updateConsumer(ctx, old, change)
		return err
	})
	return c, err
}

// DeleteConsumer removes a consumer with its credentials and groups. ref is an id or a
// user name.
func (r *Registry) DeleteConsumer(ctx context.Context, a Actor, ref string) error {
	return r.write(ctx, a, func(w *tx) error {
		c, err := consumerBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		if c.Application {
			return invalid("id", "is the consumer of an application, which it is removed with")
		}
		return w.deleteConsumer(ctx, c)
	})
}

func (c *Consumer) check() error {
	bad := checks{}
	bad.id("id", c.ID)
	bad.text("username", c.Username, maxName)
	bad.text("custom_id", c.CustomID, maxName)
	bad.tags(c.Tags)
	if c.Username == "" && c.CustomID == "" {
		bad.fail("@entity", "has neither username nor custom_id: expected one of them")
	}
	return bad.err()
}

// createConsumer enters a consumer that is not an application's.
func (w *tx) createConsumer(ctx context.Context, c Consumer) (Consumer, error) {
	if c.Application {
		return c, invalid("application", "is true: such consumers are made with their application")
	}
	if err := c.check(); err != nil {
		return c, err
	}
	c, err := w.insertConsumer(ctx, c)
	if err != nil {
		return c, err
	}
	w.audit("create", "consumers", c.ID, fmt.Sprintf("username %q, custom_id %q", c.Username, c.CustomID))
	return c, nil
}

func (w *tx) insertConsumer(ctx context.Context, c Consumer) (Consumer, error) {
	if c.ID == "" {
		c.ID = newID()
	}
	c.Tags, c.Created, c.Updated = sorted(c.Tags), moment(micro(w.now)), moment(micro(w.now))
	if err := w.distinct(ctx, c); err != nil {
		return c, err
	}
	_, err := w.exec(ctx, `INSERT INTO consumers (id, username, username_fold, custom_id, tags, application, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, null(c.Username), null(lowerASCII(c.Username)), null(c.CustomID), list(c.Tags), bit(c.Application), micro(c.Created), micro(c.Updated))
	if err != nil {
		return c, taken(err, map[string]string{"id": c.ID, "username": c.Username, "custom_id": c.CustomID})
	}
	if err := w.newTags(ctx, "consumers", c.ID, c.Tags); err != nil {
		return c, err
	}
	w.change(ConsumerChange, c.ID, c.Username, c.CustomID)
	return c, nil
}

// distinct refuses a user name that is another's id, and an id that is another's user
// name: one reference would mean two. An application's custom id comes from a developer,
// and must not be what any other consumer is found by, whichever of them was there first.
func (w *tx) distinct(ctx context.Context, c Consumer) error {
	for _, f := range []struct{ field, value string }{{"id", c.ID}, {"username", c.Username}, {"custom_id", c.CustomID}} {
		if f.value != "" && w.r.reserved("consumers", f.field, f.value) {
			return &Conflict{f.field, f.value}
		}
	}
	if isID(c.Username) { // other user names are nobody's id
		if n, err := w.count(ctx, `SELECT COUNT(*) FROM consumers WHERE id = ? AND id <> ?`, c.Username, c.ID); err != nil {
			return err
		} else if n > 0 {
			return &Conflict{"username", c.Username}
		}
	}
	if n, err := w.count(ctx, `SELECT COUNT(*) FROM consumers WHERE username = ? AND id <> ?`, c.ID, c.ID); err != nil {
		return err
	} else if n > 0 {
		return &Conflict{"id", c.ID}
	}
	if !c.Application {
		for _, f := range []struct{ field, value string }{{"id", c.ID}, {"username", c.Username}} {
			if f.value == "" {
				continue
			}
			n, err := w.count(ctx, `SELECT COUNT(*) FROM consumers WHERE (custom_id = ? OR LOWER(custom_id) = ?) AND application = 1`, f.value, lowerASCII(f.value))
			if err != nil {
				return err
			}
			if n > 0 {
				return &Conflict{f.field, f.value}
			}
		}
		return nil
	}
	n, err := w.count(ctx, `SELECT COUNT(*) FROM consumers WHERE (id = ? OR username_fold = ?) AND id <> ?`, c.CustomID, lowerASCII(c.CustomID), c.ID)
	if err != nil {
		return err
	}
	if n > 0 || w.r.reserved("consumers", "id", c.CustomID) || w.r.reserved("consumers", "username", c.CustomID) {
		return &Conflict{"custom_id", c.CustomID}
	}
	return nil
}

func (w *tx) updateConsumer(ctx context.Context, old Consumer, change func(*Consumer) error) (Consumer, error) {
	c := old
	if err := change(&c); err != nil {
		return c, err
	}
	if old.Application && (c.Username != old.Username || c.CustomID != old.CustomID) {
		return c, invalid("id", "is the consumer of an application, which it is changed with")
	}
	c.ID, c.Application, c.Created = old.ID, old.Application, old.Created
	if err := c.check(); err != nil {
		return c, err
	}
	c, err := w.storeConsumer(ctx, old, c)
	if err != nil {
		return c, err
	}
	w.audit("update", "consumers", c.ID, fmt.Sprintf("username %q to %q, custom_id %q to %q", old.Username, c.Username, old.CustomID, c.CustomID))
	return c, nil
}

func (w *tx) storeConsumer(ctx context.Context, old, c Consumer) (Consumer, error) {
	c.Tags, c.Updated = sorted(c.Tags), moment(micro(w.now))
	if err := w.distinct(ctx, c); err != nil {
		return c, err
	}
	_, err := w.exec(ctx, `UPDATE consumers SET username = ?, username_fold = ?, custom_id = ?, tags = ?, updated = ? WHERE id = ?`,
		null(c.Username), null(lowerASCII(c.Username)), null(c.CustomID), list(c.Tags), micro(c.Updated), c.ID)
	if err != nil {
		return c, taken(err, map[string]string{"username": c.Username, "custom_id": c.CustomID})
	}
	if err := w.tag(ctx, "consumers", c.ID, c.Tags); err != nil {
		return c, err
	}
	w.change(ConsumerChange, c.ID, old.Username, old.CustomID, c.Username, c.CustomID)
	return c, w.changeCredentials(ctx, c.ID)
}

func (w *tx) deleteConsumer(ctx context.Context, c Consumer) error {
	if err := w.changeConsumer(ctx, c); err != nil {
		return err
	}
	if err := w.untagAll(ctx, c.ID); err != nil {
		return err
	}
	if err := w.tag(ctx, "consumers", c.ID, nil); err != nil {
		return err
	}
	if _, err := w.exec(ctx, `DELETE FROM consumers WHERE id = ?`, c.ID); err != nil {
		return err
	}
	w.audit("delete", "consumers", c.ID, fmt.Sprintf("username %q, custom_id %q", c.Username, c.CustomID))
	return nil
}

// changeConsumer tells that a consumer is another than before: who has been told of it,
// alone or with a credential, has to forget that.
func (w *tx) changeConsumer(ctx context.Context, c Consumer) error {
	w.change(ConsumerChange, c.ID, c.Username, c.CustomID)
	return w.changeCredentials(ctx, c.ID)
}

// changeCredentials tells of all credentials of a consumer, by the names that the
// sidecar's feed has for them.
func (w *tx) changeCredentials(ctx context.Context, consumer string) error {
	for _, k := range []struct{ query, prefix string }{
		{`SELECT iss FROM jwts WHERE consumer_id = ?`, ""},
		{`SELECT id FROM keyauths WHERE consumer_id = ?`, bundle.KeyPrefix},
		{`SELECT id FROM basicauths WHERE consumer_id = ?`, bundle.BasicPrefix},
	} {
		keys, err := w.texts(ctx, k.query, consumer)
		if err != nil {
			return err
		}
		for _, key := range keys {
			w.change(CredentialChange, k.prefix+key)
		}
	}
	return nil
}

// room refuses one more of what a parent has n of already.
func room(field string, n, bound int) error {
	if n >= bound {
		return invalid(field, "would be one of more than %s", strconv.Itoa(bound))
	}
	return nil
}

// named gives an entity the name that it is put under; it must not bring another.
func named(field string, name *string, ref string) error {
	if *name == "" {
		*name = ref
	}
	if *name != ref {
		return invalid(field, "is not the one that it is put under")
	}
	return nil
}
