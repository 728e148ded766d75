package adminapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// consumerJSON and what follows have the members of Kong's.
type consumerJSON struct {
	ID       string   `json:"id"`
	Username *string  `json:"username"`
	CustomID *string  `json:"custom_id"`
	Tags     []string `json:"tags"`
	times
}

// times are when an entity was made and changed, in seconds since 1970; null where the
// file has it.
type times struct {
	Created *int64 `json:"created_at"`
	Updated *int64 `json:"updated_at"`
}

// idJSON refers to another entity.
type idJSON struct {
	ID string `json:"id"`
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func showConsumer(v registry.Consumer) any {
	return consumerJSON{v.ID, orNull(v.Username), orNull(v.CustomID), v.Tags, times{seconds(v.Created), seconds(v.Updated)}}
}

func showFileConsumer(v *declarative.Consumer) any {
	return consumerJSON{ID: v.ID, Username: orNull(v.Username), CustomID: orNull(v.CustomID), Tags: v.Tags}
}

// owner is the consumer in a path: one of the file or of the registry.
type owner struct {
	file     *declarative.Consumer
	registry registry.Consumer
}

func (o owner) id() string {
	if o.file != nil {
		return o.file.ID
	}
	return o.registry.ID
}

func (o owner) show() any {
	if o.file != nil {
		return showFileConsumer(o.file)
	}
	return showConsumer(o.registry)
}

// consumer returns the consumer of the path. As in Kong a custom id does not name one.
func (c *call) consumer() (owner, error) {
	ref := c.path["consumer"]
	if f := c.File().ConsumerBy(ref); f != nil {
		return owner{file: f}, nil
	}
	if c.Registry == nil {
		return owner{}, errNotFound
	}
	found, err := c.Registry.Consumer(c.r.Context(), ref)
	return owner{registry: found}, err
}

// ownConsumer is consumer for a write: one of the file is refused.
func (c *call) ownConsumer() (registry.Consumer, error) {
	o, err := c.consumer()
	if err == nil && o.file != nil {
		err = ofFile("consumers", c.path["consumer"])
	}
	return o.registry, err
}

func listConsumers(c *call) (int, any, error) {
	tags, err := c.tags()
	if err != nil {
		return 0, nil, err
	}
	q, _ := c.query()
	username, customID := q.Get("username"), q.Get("custom_id")
	var file []any
	for _, v := range c.File().Consumers {
		if tags.fit(v.Tags) && (username == "" || username == v.Username) && (customID == "" || customID == v.CustomID) {
			file = append(file, showFileConsumer(v))
		}
	}
	return c.page(file, func(p registry.Page) ([]any, string, error) {
		want := registry.ConsumerFilter{Username: username, CustomID: customID, Tags: tags.list, AnyTag: tags.anyOf}
		list, err := c.Registry.Consumers(c.r.Context(), want, p)
		return each(list, err, showConsumer)
	})
}

func getConsumer(c *call) (int, any, error) {
	o, err := c.consumer()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, o.show(), nil
}

// read reads what a body says of a consumer.
func readConsumer(f *fields, v *registry.Consumer) {
	f.text("username", &v.Username)
	f.text("custom_id", &v.CustomID)
	f.texts("tags", &v.Tags)
}

// freeConsumer refuses names that a consumer of the file has.
func (c *call) freeConsumer(v registry.Consumer) error {
	for _, f := range c.File().Consumers {
		switch {
		case v.ID == f.ID:
			return taken("id", v.ID)
		case v.Username != "" && v.Username == f.Username:
			return taken("username", v.Username)
		case v.CustomID != "" && v.CustomID == f.CustomID:
			return taken("custom_id", v.CustomID)
		}
	}
	return nil
}

func createConsumer(c *call) (int, any, error) {
	body, err := c.body("consumer", "")
	if err != nil {
		return 0, nil, err
	}
	var v registry.Consumer
	f := newFields(body)
	f.text("id", &v.ID)
	readConsumer(f, &v)
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	if err := c.freeConsumer(v); err != nil {
		return 0, nil, err
	}
	v, err = c.Registry.CreateConsumer(c.r.Context(), c.who.actor, v)
	return http.StatusCreated, showConsumer(v), err
}

func putConsumer(c *call) (int, any, error) {
	if o, err := c.consumer(); err == nil && o.file != nil {
		return 0, nil, ofFile("consumers", c.path["consumer"])
	}
	body, err := c.body("consumer", "")
	if err != nil {
		return 0, nil, err
	}
	var v registry.Consumer
	f := newFields(body)
	ref := c.path["consumer"]
	if isUUID(ref) {
		f.same("id", ref)
	} else if f.text("id", &v.ID); body["username"] == nil {
		v.Username = ref
	}
	readPut := registry.Consumer{ID: v.ID, Username: v.Username}
	readConsumer(f, &readPut)
	if readPut.Username == "" {
		readPut.Username = v.Username
	}
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	if err := c.freeConsumer(readPut); err != nil {
		return 0, nil, err
	}
	v, _, err = c.Registry.PutConsumer(c.r.Context(), c.who.actor, ref, readPut)
	return http.StatusOK, showConsumer(v), err
}

func patchConsumer(c *call) (int, any, error) {
	old, err := c.ownConsumer()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.body("consumer", "")
	if err != nil {
		return 0, nil, err
	}
	f := newFields(body)
	f.same("id", old.ID)
	readConsumer(f, &registry.Consumer{}) // for what is wrong with it
	if err := f.err(); err != nil {
		return 0, nil, err
	}
	v, err := c.Registry.UpdateConsumer(c.r.Context(), c.who.actor, old.ID, func(v *registry.Consumer) error {
		readConsumer(newFields(body), v)
		return c.freeConsumer(*v)
	})
	return http.StatusOK, showConsumer(v), err
}

func deleteConsumer(c *call) (int, any, error) {
	old, err := c.ownConsumer()
	if errors.Is(err, errNotFound) || errors.Is(err, registry.ErrNotFound) {
		return http.StatusNoContent, nil, nil // as in Kong
	}
	if err != nil {
		return 0, nil, err
	}
	return noContent(c.Registry.DeleteConsumer(c.r.Context(), c.who.actor, old.ID))
}

// noContent answers a removal; what somebody else has removed meanwhile is removed.
func noContent(err error) (int, any, error) {
	if errors.Is(err, registry.ErrNotFound) {
		err = nil
	}
	return http.StatusNoContent, nil, err
}

// secret returns the secret of a jwt credential for a caller with the role for it; the
// registry writes that into its audit log.
func (c *call) secret(ctx context.Context, id string) (*string, error) {
	if c.who.roles&credentials == 0 {
		return nil, nil
	}
	s, err := c.Registry.JWTSecretValue(ctx, c.who.actor, id)
	if err != nil {
		return nil, err
	}
	return orNull(s.Reveal()), nil
}

// isUUID reports whether a text is a UUID, in small letters.
func isUUID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}
