package registry

import (
	"context"
	"strconv"
	"time"
)

// Audit is a row of the audit log. Rows are written with what they tell of, in one
// transaction, and stay.
type Audit struct {
	Seq    uint64 // from 1, without a gap
	At     time.Time
	Actor  Actor
	Action string // create, update, delete, set status, suspend, request, register, read secret, import …
	Kind   string // a table: consumers, keyauths, contracts …
	ID     string
	Detail string // for people; never a secret
}

// AuditFilter is which rows are wanted; empty fields do not count.
type AuditFilter struct {
	ActorID, Action, Kind, ID string
	Since, Until              time.Time // of At; Until is not included
}

// Audits lists the audit log, from the newest row to the oldest.
func (r *Registry) Audits(ctx context.Context, want AuditFilter, p Page) (List[Audit], error) {
	size, after, err := p.read("audits", isSeq)
	if err != nil {
		return List[Audit]{}, err
	}
	var f filter
	f.is("actor_id", want.ActorID)
	f.is("action", want.Action)
	f.is("kind", want.Kind)
	f.is("id", want.ID)
	if !want.Since.IsZero() {
		f.and("at >= ?", want.Since.UnixMicro())
	}
	if !want.Until.IsZero() {
		f.and("at < ?", want.Until.UnixMicro())
	}
	if after != "" {
		seq, err := strconv.ParseInt(after, 10, 64)
		if err != nil {
			return List[Audit]{}, err // isSeq has read it
		}
		f.and("seq < ?", seq)
	}
	out := List[Audit]{Data: []Audit{}}
	err = r.read().rows(ctx, func(s scanner) error {
		var a Audit
		var at int64
		err := s.Scan(&a.Seq, &at, &a.Actor.Kind, &a.Actor.ID, &a.Actor.Name, &a.Actor.Role, &a.Actor.Remote, &a.Action, &a.Kind, &a.ID, &a.Detail)
		a.At = moment(at)
		out.Data = append(out.Data, a)
		return err
	}, `SELECT seq, at, actor_kind, actor_id, actor_name, actor_role, actor_remote, action, kind, id, detail FROM audits`+
		f.String()+` ORDER BY seq DESC LIMIT `+strconv.Itoa(size+1), f.args...)
	if err != nil {
		return List[Audit]{}, err
	}
	if len(out.Data) > size {
		out.Data = out.Data[:size]
		out.Next = encodeOffset("audits", strconv.FormatUint(out.Data[size-1].Seq, 10))
	}
	return out, nil
}

// Record writes a row of the audit log for something that is no write here, such as a
// login. detail must not hold a secret.
func (r *Registry) Record(ctx context.Context, a Actor, action, kind, id, detail string) error {
	return r.write(ctx, a, func(w *tx) error {
		w.audit(cut(action, maxTag), cut(kind, maxTag), cut(id, maxName), detail)
		return nil
	})
}
