package registry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Application is what a developer calls services with. It has a consumer of its own,
// which has the application's custom id.
type Application struct {
	ID               string
	DeveloperID      string
	Name             string // unique among the developer's
	Description      string
	RedirectURI      string
	CustomID         string // its client id at the identity provider; unique among consumers
	ConsumerID       string
	Created, Updated time.Time
}

// ApplicationFilter is which applications are wanted; empty fields do not count.
type ApplicationFilter struct {
	DeveloperID string
	Query       string // a part of name or custom id
}

var applications = &table[Application]{
	name: "applications",
	columns: `applications.id, applications.developer_id, applications.name, applications.description, applications.redirect_uri,
		COALESCE(consumers.custom_id, ''), applications.consumer_id, applications.created, applications.updated`,
	from: `applications JOIN consumers ON consumers.id = applications.consumer_id`,
	scan: func(s scanner) (p Application, err error) {
		var created, updated int64
		err = s.Scan(&p.ID, &p.DeveloperID, &p.Name, &p.Description, &p.RedirectURI, &p.CustomID, &p.ConsumerID, &created, &updated)
		p.Created, p.Updated = moment(created), moment(updated)
		return p, err
	},
	id: func(p Application) string { return p.ID },
}

// Application returns the application with an id.
func (r *Registry) Application(ctx context.Context, id string) (Application, error) {
	return applications.one(ctx, r.read(), `applications.id = ?`, known(id))
}

// Applications lists applications.
func (r *Registry) Applications(ctx context.Context, want ApplicationFilter, p Page) (List[Application], error) {
	var f filter
	f.is("applications.developer_id", want.DeveloperID)
	if badText(want.Query, maxQuery) {
		return List[Application]{}, invalid("query", "is longer than %d bytes, or not UTF-8", maxQuery)
	}
	f.contains("applications.search", want.Query)
	return applications.page(ctx, r.read(), &f, p)
}

// CreateApplication enters an application of the developer p.DeveloperID, with its
// consumer. The error is a Conflict of custom_id where a consumer has it already, or is
// found by it in another way.
func (r *Registry) CreateApplication(ctx context.Context, a Actor, p Application) (Application, error) {
	err := r.write(ctx, a, func(w *tx) error {
		if p.ConsumerID != "" {
			return invalid("consumer", "is given: an application has one of its own, which is made with it")
		}
		if err := p.check(); err != nil {
			return err
		}
		d, err := developers.one(ctx, w.conn, `developers.id = ?`, known(p.DeveloperID))
		if err != nil {
			return err
		}
		n, err := w.count(ctx, `SELECT COUNT(*) FROM applications WHERE developer_id = ?`, d.ID)
		if err != nil {
			return err
		}
		if err := room("developer", n, maxApplications); err != nil {
			return err
		}
		c, err := w.insertConsumer(ctx, Consumer{CustomID: p.CustomID, Application: true})
		if err != nil {
			return err
		}
		if p.ID == "" {
			p.ID = newID()
		}
		p.ConsumerID, p.Created, p.Updated = c.ID, c.Created, c.Updated
		_, err = w.exec(ctx, `INSERT INTO applications (id, developer_id, consumer_id, name, description, redirect_uri, search, created, updated)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.ID, p.DeveloperID, p.ConsumerID, p.Name, p.Description, p.RedirectURI, p.search(), micro(p.Created), micro(p.Updated))
		if err != nil {
			return taken(err, map[string]string{"id": p.ID, "name": p.Name})
		}
		w.audit("create", "applications", p.ID, fmt.Sprintf("name %q, custom_id %q, developer %q, consumer %s", p.Name, p.CustomID, d.Email, c.ID))
		return nil
	})
	return p, err
}

// UpdateApplication changes Name, Description, RedirectURI and CustomID.
func (r *Registry) UpdateApplication(ctx context.Context, a Actor, id string, change func(*Application) error) (p Application, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := applications.one(ctx, w.conn, `applications.id = ?`, known(id))
		if err != nil {
			return err
		}
		p = old
		if err := change(&p); err != nil {
			return err
		}
		p.ID, p.DeveloperID, p.ConsumerID, p.Created, p.Updated = old.ID, old.DeveloperID, old.ConsumerID, old.Created, moment(micro(w.now))
		if err := p.check(); err != nil {
			return err
		}
		_, err = w.exec(ctx, `UPDATE applications SET name = ?, description = ?, redirect_uri = ?, search = ?, updated = ? WHERE id = ?`,
			p.Name, p.Description, p.RedirectURI, p.search(), micro(p.Updated), p.ID)
		if err != nil {
			return taken(err, map[string]string{"name": p.Name})
		}
		w.audit("update", "applications", p.ID, fmt.Sprintf("name %q to %q, custom_id %q to %q, redirect_uri %q to %q",
			old.Name, p.Name, old.CustomID, p.CustomID, old.RedirectURI, p.RedirectURI))
		if p.CustomID == old.CustomID {
			return nil
		}
		c, err := consumers.one(ctx, w.conn, `consumers.id = ?`, p.ConsumerID)
		if err != nil {
			return err
		}
		next := c
		next.CustomID = p.CustomID
		_, err = w.storeConsumer(ctx, c, next)
		return err
	})
	return p, err
}

// DeleteApplication removes an application with its consumer and contracts.
func (r *Registry) DeleteApplication(ctx context.Context, a Actor, id string) error {
	return r.write(ctx, a, func(w *tx) error {
		p, err := applications.one(ctx, w.conn, `applications.id = ?`, known(id))
		if err != nil {
			return err
		}
		return w.deleteApplication(ctx, p)
	})
}

func (w *tx) deleteApplication(ctx context.Context, p Application) error {
	c, err := consumers.one(ctx, w.conn, `consumers.id = ?`, p.ConsumerID)
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, `DELETE FROM applications WHERE id = ?`, p.ID); err != nil {
		return err
	}
	w.audit("delete", "applications", p.ID, fmt.Sprintf("name %q, custom_id %q", p.Name, p.CustomID))
	return w.deleteConsumer(ctx, c)
}

func (p *Application) check() error {
	bad := checks{}
	bad.id("id", p.ID)
	bad.required("name", p.Name)
	bad.text("name", p.Name, maxName)
	bad.lines("description", p.Description, maxDescription)
	bad.required("custom_id", p.CustomID)
	bad.text("custom_id", p.CustomID, maxName)
	bad.redirectURI("redirect_uri", p.RedirectURI)
	return bad.err()
}

func (p *Application) search() string { return fold(p.Name + "\n" + p.CustomID) }

// redirectURI checks where a browser is sent, and what pages may link to: http, https, or
// the scheme of an app, which has a dot (RFC 8252 §7.1).
func (c checks) redirectURI(field, s string) {
	if s == "" {
		return
	}
	c.text(field, s, maxURI)
	u, err := url.Parse(s)
	switch {
	case err != nil || !u.IsAbs() || strings.ContainsAny(s, " \"<>\\^`{|}"):
		c.fail(field, "is no absolute URI")
	case u.Fragment != "" || strings.Contains(s, "#"):
		c.fail(field, "has a fragment") // RFC 6749 §3.1.2
	case u.Scheme == "http", u.Scheme == "https":
		if u.Host == "" || u.User != nil {
			c.fail(field, "has no host, or a user name")
		}
	case !strings.Contains(u.Scheme, "."):
		c.fail(field, "is not http, https, or of an app's own scheme, which has a dot")
	}
}
