package registry

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Actor is who writes, for the audit log. Texts that are too long are cut, and control
// characters left out. Kind must not be empty.
type Actor struct {
	Kind   string // token, developer, system
	ID     string
	Name   string
	Role   string
	Remote string // where from
}

// tx is a write in the making: what it changes, and what is told of that.
type tx struct {
	conn
	r       *Registry
	actor   Actor
	now     time.Time
	changes []Change // without numbers
	told    map[Change]bool
	audits  []Audit // likewise
	bulk    bool    // too many changes to tell
}

// maxTold is up to how many changes one write tells one by one. A greater one tells
// followers to forget everything.
const maxTold = 5000

// write runs f in a transaction, in which nobody else writes. Its changes and audit rows
// are committed with it or not at all.
func (r *Registry) write(ctx context.Context, a Actor, f func(*tx) error) error {
	if a.Kind == "" {
		return errors.New("registry: a write without an actor")
	}
	return r.locked(ctx, func(c conn, h head) error {
		w := &tx{conn: c, r: r, actor: a.clean(), now: r.now(), told: map[Change]bool{}}
		if err := f(w); err != nil {
			return err
		}
		return w.tell(ctx, h)
	})
}

// head is the row that all writers lock.
type head struct{ seq, pruned, audit uint64 }

// locked runs f in a transaction that holds the lock of writers.
func (r *Registry) locked(ctx context.Context, f func(conn, head) error) error {
	o, lock := &sql.TxOptions{}, "" // SQLite's transactions begin with the lock
	if r.pg {
		o.Isolation, lock = sql.LevelReadCommitted, " FOR UPDATE"
	}
	t, err := r.writer.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // does nothing once it is committed
	c := r.conn(t)
	var h head
	if err := c.row(ctx, `SELECT seq, pruned, audit FROM head`+lock).Scan(&h.seq, &h.pruned, &h.audit); err != nil {
		return err
	}
	if err := f(c, h); err != nil {
		return err
	}
	return t.Commit()
}

// change notes what followers have to forget; empty keys are none.
func (w *tx) change(kind ChangeKind, keys ...string) {
	for _, key := range keys {
		c := Change{Kind: kind, Key: key}
		if key == "" || w.bulk || w.told[c] {
			continue
		}
		w.told[c] = true
		if w.changes = append(w.changes, c); len(w.changes) > maxTold {
			w.changes, w.bulk = nil, true
		}
	}
}

// audit notes what is done. detail holds no secret.
func (w *tx) audit(action, kind, id, detail string) {
	w.audits = append(w.audits, Audit{Action: action, Kind: kind, ID: id, Detail: cut(detail, maxDetail)})
}

// tell writes the changes and audit rows with their numbers.
func (w *tx) tell(ctx context.Context, h head) error {
	for _, c := range w.changes {
		h.seq++
		if _, err := w.exec(ctx, `INSERT INTO changes (seq, kind, name) VALUES (?, ?, ?)`, h.seq, c.Kind.String(), c.Key); err != nil {
			return err
		}
	}
	pruned := h.pruned
	switch keep := w.r.keep; {
	case w.bulk:
		h.seq++
		pruned = h.seq
	case h.seq-h.pruned > keep+keep/8: // not with every write
		pruned = h.seq - keep
	}
	if pruned != h.pruned {
		h.pruned = pruned
		if _, err := w.exec(ctx, `DELETE FROM changes WHERE seq <= ?`, h.pruned); err != nil {
			return err
		}
	}
	for _, a := range w.audits {
		h.audit++
		if _, err := w.exec(ctx, `INSERT INTO audits (seq, at, actor_kind, actor_id, actor_name, actor_role, actor_remote, action, kind, id, detail)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			h.audit, w.now.UnixMicro(), w.actor.Kind, w.actor.ID, w.actor.Name, w.actor.Role, w.actor.Remote, a.Action, a.Kind, a.ID, a.Detail); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, `UPDATE head SET seq = ?, pruned = ?, audit = ?`, h.seq, h.pruned, h.audit)
	return err
}

// micro returns a time as it is stored: microseconds since 1970, 0 for the zero time.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment returns a stored time, in UTC.
func moment(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
