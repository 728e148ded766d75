package registry

import (
	"context"
	"slices"
)

// sorted returns tags in order, each once; nil for none.
func sorted(tags []string) []string {
	if len(tags) == 0 {
		return nil
	}
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.Compact(out)
}

// list returns texts as they are stored.
func list(texts []string) string {
	if len(texts) == 0 {
		return "[]"
	}
	return encode(texts)
}

// unlist reads what list has written; nil for none.
func unlist(stored string) (texts []string, err error) {
	if stored == "[]" {
		return nil, nil
	}
	return texts, decode(stored, &texts)
}

// tag makes the tags of a row those that it is found by.
func (w *tx) tag(ctx context.Context, kind, id string, tags []string) error {
	if _, err := w.exec(ctx, `DELETE FROM tags WHERE kind = ? AND id = ?`, kind, id); err != nil {
		return err
	}
	return w.newTags(ctx, kind, id, tags)
}

// newTags is tag for a row that had none.
func (w *tx) newTags(ctx context.Context, kind, id string, tags []string) error {
	for _, t := range tags {
		if _, err := w.exec(ctx, `INSERT INTO tags (kind, tag, id) VALUES (?, ?, ?)`, kind, t, id); err != nil {
			return err
		}
	}
	return nil
}

// untagAll takes the tags of all credentials of a consumer away, which go with it.
func (w *tx) untagAll(ctx context.Context, consumer string) error {
	for _, kind := range []string{"keyauths", "basicauths", "jwts", "acls"} {
		if _, err := w.exec(ctx, `DELETE FROM tags WHERE kind = ? AND id IN (SELECT id FROM `+kind+` WHERE consumer_id = ?)`, kind, consumer); err != nil {
			return err
		}
	}
	return nil
}
