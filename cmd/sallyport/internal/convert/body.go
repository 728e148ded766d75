package convert

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/adminform"
)

// call is one call of the admin API.
type call struct {
	at     place
	method string
	path   []string
	fields []adminform.Field
}

// jsonFields returns the members of a JSON object.
func jsonFields(src string) ([]adminform.Field, error) {
	n, err := jsonValue(src)
	if err != nil || n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("has a body that is no JSON object")
	}
	var out []adminform.Field
	members(n, func(key string, value *yaml.Node) { out = append(out, adminform.Field{Name: key, JSON: value}) })
	return out, nil
}

func jsonValue(src string) (*yaml.Node, error) {
	docs, err := decode([]byte(src))
	if err != nil || len(docs) != 1 {
		return nil, fmt.Errorf("has a value that is no JSON")
	}
	nodes := 0
	return (&copier{d: newDraft(Options{}), nodes: &nodes}).copy(docs[0], 0)
}
