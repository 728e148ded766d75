package demo

import (
	"errors"
	"slices"
)

// user is somebody who can sign in. The name is the subject.
type user struct {
	Name, Password  string
	FullName, Email string
	Orders          bool // may read them
}

var users = []user{
	{Name: "alice", Password: "alice", FullName: "Alice Archer", Email: "alice@example.com", Orders: true},
	{Name: "bob", Password: "bob", FullName: "Bob Baker", Email: "bob@example.com"},
}

var errNoUser = errors.New("demo: no such user")

func userByName(name string) (user, error) {
	i := slices.IndexFunc(users, func(u user) bool { return u.Name == name })
	if i < 0 {
		return user{}, errNoUser
	}
	return users[i], nil
}

// granted returns which of the scopes that were asked for the user gets.
func (u user) granted(asked []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return !slices.Contains(scopes, scope) || scope == ordersScope && !u.Orders
	})
}
