package inquiry

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// TestNamesOfMany: a logout of somebody ends what is remembered of them, however many
// clients we are.
func TestNamesOfMany(t *testing.T) {
	w := newWorld(t, "")
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprint("client", i))
	}
	w.in.Config.Inquiry.ClientIDs = ids
	q := &question{in: w.in, p: w.provider, set: w.provider.Current(), method: bundle.Introspection}
	doc, _ := jsonx.Parse(`{"sub":"alice","sid":"1"}`, jsonx.Limits{Bytes: 1000, Depth: 4, Nodes: 100})
	if !slices.Contains(q.names(doc.Root()), endpoint.SubjectKey(w.idp.Issuer(), "alice")) {
		t.Error("a logout of alice does not end it")
	}
}
