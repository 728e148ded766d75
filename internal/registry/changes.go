package registry

import (
	"context"
	"fmt"
)

// ChangeKind is what a change is about. The zero ChangeKind is nothing.
type ChangeKind uint8

// The kinds.
const (
	// ConsumerChange: Key is the id, user name or custom id of a consumer that was added,
	// changed or removed, or whose groups or contracts were.
	ConsumerChange ChangeKind = iota + 1
	// CredentialChange: a credential, or its consumer. Key is a jwt credential's key,
	// key-auth: or basic-auth: and an id for the others.
	CredentialChange
	// ConfigChange: Key is the kind of an entity, a colon and its id.
	ConfigChange
)

var changeKinds = [...]string{ConsumerChange: "consumer", CredentialChange: "credential", ConfigChange: "config"}

// String returns the kind in a word.
func (k ChangeKind) String() string {
	if int(k) < len(changeKinds) {
		return changeKinds[k]
	}
	return ""
}

// Change is something that followers have to forget.
type Change struct {
	Seq  uint64
	Kind ChangeKind
	Key  string
}

// Bounds on changes: how many are kept, and how many are told at once.
const (
	maxChanges  = 50000
	maxFollowed = 10000
)

// Changes returns what has changed after the change with number since, at most limit of
// it (0: as much as there may be), in order. last is where to go on. With gap there are
// changes that are no longer kept, or since is of another database: the list is empty,
// and everything that was remembered has to go. A change is never seen before the write
// it tells of, and never later than one with a greater number.
func (r *Registry) Changes(ctx context.Context, since uint64, limit int) (list []Change, last uint64, gap bool, err error) {
	if limit <= 0 || limit > maxFollowed {
		limit = maxFollowed
	}
	h, err := r.head(ctx)
	if err != nil {
		return nil, since, false, err
	}
	if h.seq == since { // nearly always
		return nil, since, false, nil
	}
	if since > h.seq {
		return nil, h.seq, true, nil
	}
	last = since
	err = r.read().rows(ctx, func(s scanner) error {
		var c Change
		var kind string
		if err := s.Scan(&c.Seq, &kind, &c.Key); err != nil {
			return err
		}
		for k, name := range changeKinds {
			if name == kind {
				c.Kind = ChangeKind(k)
			}
		}
		if c.Kind == 0 {
			return fmt.Errorf("registry: a change of unknown kind %q", kind)
		}
		list, last = append(list, c), c.Seq
		return nil
	}, `SELECT seq, kind, name FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`, since, limit)
	if err != nil {
		return nil, since, false, err
	}
	// Only after the list: what is pruned in between is missing from it.
	if h, err = r.head(ctx); err != nil {
		return nil, since, false, err
	}
	if since < h.pruned {
		return nil, h.seq, true, nil
	}
	return list, last, false, nil
}

func (r *Registry) head(ctx context.Context) (h head, err error) {
	err = r.read().row(ctx, `SELECT seq, pruned, audit FROM head`).Scan(&h.seq, &h.pruned, &h.audit)
	return h, err
}
