package registry

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Developer is somebody with an account at the portal.
type Developer struct {
	ID     string
	Email  string // unique, whatever its letters' case
	Name   string
	Status DeveloperStatus
	// Issuer and Subject are who signs in: an ID token's iss and sub, unique together.
	// Both are empty until somebody is linked to the account.
	Issuer, Subject  string
	Meta             map[string]string // fields of the registration form; names are as they are
	Created, Updated time.Time
}

// DeveloperFilter is which developers are wanted; empty fields do not count.
type DeveloperFilter struct {
	Status DeveloperStatus
	Query  string // a part of e-mail or name
}

var developers = &table[Developer]{
	name: "developers",
	columns: `developers.id, developers.email, developers.name, developers.status, COALESCE(developers.issuer, ''), COALESCE(developers.subject, ''),
		developers.meta, developers.created, developers.updated`,
	scan: func(s scanner) (d Developer, err error) {
		var status, meta string
		var created, updated int64
		if err := s.Scan(&d.ID, &d.Email, &d.Name, &status, &d.Issuer, &d.Subject, &meta, &created, &updated); err != nil {
			return d, err
		}
		d.Status, d.Created, d.Updated = ParseStatus(status), moment(created), moment(updated)
		if meta != "{}" {
			err = decode(meta, &d.Meta)
		}
		return d, err
	},
	id: func(d Developer) string { return d.ID },
}

// developerBy returns the developer with an id or an e-mail address.
func developerBy(ctx context.Context, c conn, ref string) (Developer, error) {
	if isID(ref) {
		return developers.one(ctx, c, `developers.id = ?`, ref)
	}
	if ref == "" || badText(ref, maxEmail) {
		return Developer{}, ErrNotFound
	}
	return developers.one(ctx, c, `developers.email_fold = ?`, foldEmail(ref))
}

// Developer returns the developer with an id or an e-mail address.
func (r *Registry) Developer(ctx context.Context, ref string) (Developer, error) {
	return developerBy(ctx, r.read(), ref)
}

// DeveloperBySubject returns the developer who signs in as a subject of an issuer.
func (r *Registry) DeveloperBySubject(ctx context.Context, issuer, subject string) (Developer, error) {
	if issuer == "" || subject == "" || badText(issuer, maxURI) || badText(subject, maxName) {
		return Developer{}, ErrNotFound
	}
	return developers.one(ctx, r.read(), `developers.issuer = ? AND developers.subject = ?`, issuer, subject)
}

// Developers lists developers.
func (r *Registry) Developers(ctx context.Context, want DeveloperFilter, p Page) (List[Developer], error) {
	var f filter
	f.is("developers.status", want.Status.String())
	if badText(want.Query, maxQuery) {
		return List[Developer]{}, invalid("query", "is longer than %d bytes, or not UTF-8", maxQuery)
	}
	f.contains("developers.search", want.Query)
	return developers.page(ctx, r.read(), &f, p)
}

// Register enters a developer, approved at once or to be approved by somebody. d.Status
// has to be empty.
func (r *Registry) Register(ctx context.Context, a Actor, d Developer, autoApprove bool) (Developer, error) {
	err := r.write(ctx, a, func(w *tx) error {
		if d.Status != 0 {
			return invalid("status", "is given: registering is what decides on it")
		}
		if err := d.check(); err != nil {
			return err
		}
		if d.ID == "" {
			d.ID = newID()
		}
		d.Status, d.Created, d.Updated = first(autoApprove), moment(micro(w.now)), moment(micro(w.now))
		_, err := w.exec(ctx, `INSERT INTO developers (id, email, email_fold, name, status, issuer, subject, meta, search, created, updated)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.ID, d.Email, foldEmail(d.Email), d.Name, d.Status.String(), null(d.Issuer), null(d.Subject), d.meta(), d.search(), micro(d.Created), micro(d.Updated))
		if err != nil {
			return d.taken(err)
		}
		w.audit("register", "developers", d.ID, fmt.Sprintf("email %q, %s", d.Email, d.Status))
		return nil
	})
	return d, err
}

// UpdateDeveloper changes Email, Name, Meta, Issuer and Subject. ref is an id or an
// e-mail address.
func (r *Registry) UpdateDeveloper(ctx context.Context, a Actor, ref string, change func(*Developer) error) (d Developer, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := developerBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		d = old
		if err := change(&d); err != nil {
			return err
		}
		if d.Status != old.Status {
			return invalid("status", "is another: that is SetDeveloperStatus's")
		}
		d.ID, d.Created, d.Updated = old.ID, old.Created, moment(micro(w.now))
		if err := d.check(); err != nil {
			return err
		}
		_, err = w.exec(ctx, `UPDATE developers SET email = ?, email_fold = ?, name = ?, issuer = ?, subject = ?, meta = ?, search = ?, updated = ? WHERE id = ?`,
			d.Email, foldEmail(d.Email), d.Name, null(d.Issuer), null(d.Subject), d.meta(), d.search(), micro(d.Updated), d.ID)
		if err != nil {
			return d.taken(err)
		}
		what := fmt.Sprintf("email %q to %q", old.Email, d.Email)
		if d.Issuer != old.Issuer || d.Subject != old.Subject {
			what += fmt.Sprintf(", issuer %q to %q, subject %q to %q", old.Issuer, d.Issuer, old.Subject, d.Subject)
		}
		w.audit("update", "developers", d.ID, what)
		return nil
	})
	return d, err
}

// SetDeveloperStatus approves, rejects or revokes a developer. The applications of one
// who is not approved have no contract that holds. ref is an id or an e-mail address.
func (r *Registry) SetDeveloperStatus(ctx context.Context, a Actor, ref string, status DeveloperStatus) (d Developer, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		if status.String() == "" {
			return invalid("status", "is none")
		}
		if d, err = developerBy(ctx, w.conn, ref); err != nil {
			return err
		}
		old := d.Status
		d.Status, d.Updated = status, moment(micro(w.now))
		if _, err := w.exec(ctx, `UPDATE developers SET status = ?, updated = ? WHERE id = ?`, status.String(), micro(d.Updated), d.ID); err != nil {
			return err
		}
		w.audit("set status", "developers", d.ID, fmt.Sprintf("email %q, %s to %s", d.Email, old, status))
		return w.eachApplication(ctx, d.ID, func(p Application) error { return w.changeOwner(ctx, p.ConsumerID) })
	})
	return d, err
}

// DeleteDeveloper removes a developer with all applications. ref is an id or an e-mail
// address.
func (r *Registry) DeleteDeveloper(ctx context.Context, a Actor, ref string) error {
	return r.write(ctx, a, func(w *tx) error {
		d, err := developerBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		if err := w.eachApplication(ctx, d.ID, func(p Application) error { return w.deleteApplication(ctx, p) }); err != nil {
			return err
		}
		if _, err := w.exec(ctx, `DELETE FROM developers WHERE id = ?`, d.ID); err != nil {
			return err
		}
		w.audit("delete", "developers", d.ID, fmt.Sprintf("email %q", d.Email))
		return nil
	})
}

func (w *tx) eachApplication(ctx context.Context, developer string, do func(Application) error) error {
	list, err := applications.all(ctx, w.conn, `applications.developer_id = ?`, developer)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

func (d *Developer) check() error {
	bad := checks{}
	bad.id("id", d.ID)
	bad.required("email", d.Email)
	bad.email("email", d.Email)
	bad.text("name", d.Name, maxName)
	bad.text("issuer", d.Issuer, maxURI)
	bad.text("subject", d.Subject, maxName)
	if (d.Issuer == "") != (d.Subject == "") {
		bad.fail("subject", "and issuer belong together: expected both or none")
	}
	if len(d.Meta) > maxMeta {
		bad.fail("meta", "has more than %d members", maxMeta)
	}
	for name, value := range d.Meta {
		bad.required("meta", name)
		bad.text("meta", name, maxTag)
		bad.lines("meta", value, maxMetaValue)
	}
	return bad.err()
}

func (d *Developer) meta() string {
	if len(d.Meta) == 0 {
		return "{}"
	}
	return encode(d.Meta)
}

func (d *Developer) search() string { return fold(d.Email + "\n" + d.Name) }

func (d *Developer) taken(err error) error {
	return taken(err, map[string]string{"id": d.ID, "email": d.Email, "subject": d.Subject})
}

// email checks the form of an address, as far as a form tells anything: whether it is
// anybody's, the identity provider says.
func (c checks) email(field, s string) {
	c.text(field, s, maxEmail)
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") || strings.ContainsFunc(s, unicode.IsSpace) {
		c.fail(field, "is no e-mail address")
	}
	// A Kelvin sign would become a k: two addresses would be one account.
	for _, r := range s {
		if r >= 0x80 && unicode.ToLower(r) < 0x80 {
			c.fail(field, "has a letter that looks like one of ASCII")
		}
	}
}

// foldEmail returns what two spellings of one address have in common.
func foldEmail(s string) string {
	for _, r := range s {
		if r >= 0x80 && unicode.ToLower(r) < 0x80 {
			return s // no address that is stored: none must be found by it
		}
	}
	return strings.ToLower(s)
}
