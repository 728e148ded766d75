package admin

import (
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// entity is one of a collection, as it is shown; names are what finds it in a path.
type entity struct {
	of    *declarative.Consumer
	names []string
	view  any
}

// collections are those that are shown alike, by the end of their paths: the name below
// a consumer, and the one of all consumers' together.
var collections = []struct {
	nested, all string
	list        func(*declarative.File) []entity
}{
	{"key-auth", "key-auths", apiKeys},
	{"basic-auth", "basic-auths", passwords},
	{"acls", "acls", groups},
}

// keyJSON has the members of Kong's but for the key, which nobody knows any more.
type keyJSON struct {
	ID        string            `json:"id"`
	ExpiresAt *int64            `json:"expires_at"`
	Consumer  map[string]string `json:"consumer"`
	Tags      []string          `json:"tags"`
}

func apiKeys(f *declarative.File) (list []entity) {
	for _, k := range f.APIKeys {
		view := keyJSON{ID: k.ID, Consumer: idOf(k.Consumer), Tags: k.Tags}
		if k.Expires != 0 {
			view.ExpiresAt = &k.Expires
		}
		list = append(list, entity{k.Consumer, []string{k.ID}, view})
	}
	return list
}

// passwordJSON has the members of Kong's but for the password.
type passwordJSON struct {
	ID       string            `json:"id"`
	Username string            `json:"username"`
	Consumer map[string]string `json:"consumer"`
	Tags     []string          `json:"tags"`
}

func passwords(f *declarative.File) (list []entity) {
	for _, p := range f.Passwords {
		list = append(list, entity{p.Consumer, []string{p.ID, p.Username}, passwordJSON{p.ID, p.Username, idOf(p.Consumer), p.Tags}})
	}
	return list
}

// groupJSON has the members of Kong's but for an id: a group of a consumer's is known by
// its name.
type groupJSON struct {
	Group    string            `json:"group"`
	Consumer map[string]string `json:"consumer"`
}

func groups(f *declarative.File) (list []entity) {
	for _, c := range f.Consumers {
		for _, g := range c.Groups {
			list = append(list, entity{c, []string{g}, groupJSON{g, idOf(c)}})
		}
	}
	return list
}

func idOf(c *declarative.Consumer) map[string]string { return map[string]string{"id": c.ID} }

// credentials adds the collections to the API.
func (a *api) credentials(mux *http.ServeMux) {
	for _, c := range collections {
		mux.HandleFunc("GET /"+c.all, func(w http.ResponseWriter, r *http.Request) { show(w, r, c.list(a.file())) })
		mux.HandleFunc("GET /"+c.all+"/{name}", func(w http.ResponseWriter, r *http.Request) { showOne(w, r, c.list(a.file())) })
		mux.HandleFunc("GET /consumers/{consumer}/"+c.nested, a.nested(c.list, show))
		mux.HandleFunc("GET /consumers/{consumer}/"+c.nested+"/{name}", a.nested(c.list, showOne))
	}
}

// nested shows the entities of the consumer in the path.
func (a *api) nested(list func(*declarative.File) []entity, show func(http.ResponseWriter, *http.Request, []entity)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := a.file()
		c := f.ConsumerBy(r.PathValue("consumer"))
		if c == nil {
			notFound(w)
			return
		}
		show(w, r, slices.DeleteFunc(list(f), func(e entity) bool { return e.of != c }))
	}
}

func show(w http.ResponseWriter, r *http.Request, list []entity) {
	page(w, r, len(list), func(i int) any { return list[i].view })
}

func showOne(w http.ResponseWriter, r *http.Request, list []entity) {
	for _, e := range list {
		if slices.Contains(e.names, r.PathValue("name")) {
			reply(w, http.StatusOK, e.view)
			return
		}
	}
	notFound(w)
}
