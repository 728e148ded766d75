package registry

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// ACL says that a consumer is in a group, once for each group.
type ACL struct {
	ID         string
	ConsumerID string
	Group      string
	Tags       []string
	Created    time.Time
}

// ACLFilter is which groups are wanted; empty fields do not count.
type ACLFilter struct {
	ConsumerID, Group string
	Tags              []string // all of them
	AnyTag            bool     // or any of them
}

var acls = &table[ACL]{
	name:    "acls",
	columns: `acls.id, acls.consumer_id, acls.grp, acls.tags, acls.created`,
	scan: func(s scanner) (a ACL, err error) {
		var tags string
		var created int64
		if err := s.Scan(&a.ID, &a.ConsumerID, &a.Group, &tags, &created); err != nil {
			return a, err
		}
		a.Created = moment(created)
		a.Tags, err = unlist(tags)
		return a, err
	},
	id: func(a ACL) string { return a.ID },
}

// ACL returns the row with an id.
func (r *Registry) ACL(ctx context.Context, id string) (ACL, error) {
	return acls.one(ctx, r.read(), `acls.id = ?`, known(id))
}

// ACLs lists groups.
func (r *Registry) ACLs(ctx context.Context, want ACLFilter, p Page) (List[ACL], error) {
	var f filter
	f.is("acls.consumer_id", want.ConsumerID)
	f.is("acls.grp", want.Group)
	f.tagged("acls", want.Tags, want.AnyTag)
	return acls.page(ctx, r.read(), &f, p)
}

// CreateACL puts the consumer l.ConsumerID into a group.
func (r *Registry) CreateACL(ctx context.Context, a Actor, l ACL) (ACL, error) {
	err := r.write(ctx, a, func(w *tx) (err error) {
		l, err = w.createACL(ctx, l)
		return err
	})
	return l, err
}

func (w *tx) createACL(ctx context.Context, l ACL) (ACL, error) {
	if err := l.check(); err != nil {
		return l, err
	}
	if err := w.owned(ctx, "acls", l.ConsumerID, maxGroups); err != nil {
		return l, err
	}
	if l.ID == "" {
		l.ID = newID()
	}
	l.Tags, l.Created = sorted(l.Tags), moment(micro(w.now))
	_, err := w.exec(ctx, `INSERT INTO acls (id, consumer_id, grp, tags, created) VALUES (?, ?, ?, ?, ?)`, l.ID, l.ConsumerID, l.Group, list(l.Tags), micro(l.Created))
	if err != nil {
		return l, taken(err, map[string]string{"id": l.ID, "group": l.Group})
	}
	if err := w.newTags(ctx, "acls", l.ID, l.Tags); err != nil {
		return l, err
	}
	w.audit("create", "acls", l.ID, fmt.Sprintf("group %q, consumer %s", l.Group, l.ConsumerID))
	return l, w.changeOwner(ctx, l.ConsumerID)
}

// UpdateACL changes Group and Tags.
func (r *Registry) UpdateACL(ctx context.Context, a Actor, id string, change func(*ACL) error) (l ACL, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := acls.one(ctx, w.conn, `acls.id = ?`, known(id))
		if err != nil {
			return err
		}
		l = old
		if err := change(&l); err != nil {
			return err
		}
		l.ID, l.ConsumerID, l.Created, l.Tags = old.ID, old.ConsumerID, old.Created, sorted(l.Tags)
		if err := l.check(); err != nil {
			return err
		}
		if _, err := w.exec(ctx, `UPDATE acls SET grp = ?, tags = ? WHERE id = ?`, l.Group, list(l.Tags), l.ID); err != nil {
			return taken(err, map[string]string{"group": l.Group})
		}
		if err := w.tag(ctx, "acls", l.ID, l.Tags); err != nil {
			return err
		}
		w.audit("update", "acls", l.ID, fmt.Sprintf("group %q to %q, consumer %s", old.Group, l.Group, l.ConsumerID))
		return w.changeOwner(ctx, l.ConsumerID)
	})
	return l, err
}

// DeleteACL takes a consumer out of a group.
func (r *Registry) DeleteACL(ctx context.Context, a Actor, id string) error {
	return r.write(ctx, a, func(w *tx) error {
		l, err := acls.one(ctx, w.conn, `acls.id = ?`, known(id))
		if err != nil {
			return err
		}
		if err := w.changeOwner(ctx, l.ConsumerID); err != nil {
			return err
		}
		return w.remove(ctx, "acls", l.ID, fmt.Sprintf("group %q, consumer %s", l.Group, l.ConsumerID))
	})
}

func (l *ACL) check() error {
	bad := checks{}
	bad.id("id", l.ID)
	bad.tags(l.Tags)
	bad.required("group", l.Group)
	bad.text("group", l.Group, maxName)
	if strings.Contains(l.Group, ",") {
		bad.fail("group", "has a comma: upstreams read the groups of X-Consumer-Groups as a list")
	}
	return bad.err()
}

// changeOwner tells that the consumer of a row is another than before.
func (w *tx) changeOwner(ctx context.Context, consumer string) error {
	if w.bulk { // everything is forgotten anyway
		return nil
	}
	c, err := consumers.one(ctx, w.conn, `consumers.id = ?`, consumer)
	if err != nil {
		return err
	}
	return w.changeConsumer(ctx, c)
}
