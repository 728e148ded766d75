//go:build real

package registry

import (
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/postgres"
)

func TestPostgres(t *testing.T) {
	server := postgres.Start(t)
	runSuite(t, func(t testing.TB) database { return database{dsn: server.Database(t), pg: true} })
}
