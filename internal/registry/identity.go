package registry

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// Identity is a consumer with what it may do.
type Identity struct {
	Consumer Consumer
	Groups   []string // of the acl plugin, in order
	// Contracts are the services, by name or id, that the consumer's application may
	// call: its developer is approved, and so is the contract, which is not suspended.
	Contracts []string // in order
}

// IdentityBy returns the consumer that value is the id, username or custom_id of, the
// first way of by that finds one. username_any_case takes capital and small letters of
// ASCII for the same, and finds nobody where two fit. The error is ErrNotFound for none.
func (r *Registry) IdentityBy(ctx context.Context, by []string, value string) (who Identity, err error) {
	if value == "" || badText(value, maxName) {
		return Identity{}, ErrNotFound
	}
	err = r.view(ctx, func(c conn) error {
		id := ""
		for _, way := range by {
			if id, err = consumerID(ctx, c, way, value); err != nil || id != "" {
				break
			}
		}
		if err != nil {
			return err
		}
		if id == "" {
			return ErrNotFound
		}
		who, err = identity(ctx, c, id)
		return err
	})
	if err != nil {
		return Identity{}, err
	}
	return who, nil
}

// consumerID returns the id of the one consumer that is found in a way, "" for none.
func consumerID(ctx context.Context, c conn, way, value string) (string, error) {
	column := ""
	switch way {
	case "id", "username", "custom_id":
		column = way
	case bundle.UsernameAnyCase:
		column, value = "username_fold", lowerASCII(value)
	default:
		return "", invalid("by", "is %q: expected id, username, custom_id or %s", way, bundle.UsernameAnyCase)
	}
	ids, err := c.texts(ctx, `SELECT id FROM consumers WHERE `+column+` = ? LIMIT 2`, value)
	if err != nil || len(ids) != 1 {
		return "", err
	}
	return ids[0], nil
}

// identity returns what is known of a consumer.
func identity(ctx context.Context, c conn, id string) (who Identity, err error) {
	if who.Consumer, err = consumers.one(ctx, c, `consumers.id = ?`, id); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = errOrphan // which foreign keys rule out
		}
		return who, err
	}
	if who.Groups, err = c.texts(ctx, `SELECT grp FROM acls WHERE consumer_id = ? ORDER BY grp`, id); err != nil || !who.Consumer.Application {
		return who, err
	}
	who.Contracts, err = c.texts(ctx, `SELECT contracts.service FROM applications
		JOIN developers ON developers.id = applications.developer_id
		JOIN contracts ON contracts.application_id = applications.id
		WHERE applications.consumer_id = ? AND developers.status = 'approved' AND contracts.status = 'approved' AND contracts.suspended = 0
		ORDER BY contracts.service`, id)
	return who, err
}
