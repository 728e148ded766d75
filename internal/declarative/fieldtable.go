package declarative

import "strings"

// State says how a field of Kong's stands here.
type State int

// The states. Refused is the zero state: a row that says nothing refuses.
const (
	Refused    State = iota // an error, with what to do instead
	Same                    // does what it does in Kong
	Equivalent              // does the same by other means
	Differs                 // is read, and does something else, or less
	Ours                    // is a field that Kong does not have
)

func (s State) String() string {
	return [...]string{"refused", "same", "equivalent", "differs", "ours"}[s]
}

// row is one of the table of fields: there is one for each field of a plugin's schema in
// Kong, so that none is silently ignored. The parser knows no others, and
// docs/kong-fields.md is made of it.
//
// To support a refused field: change its state, name the tests that show its effect,
// clear only, and give it a reader where the plugin is read.
type row struct {
	name  string
	state State
	// only are the values that may be written all the same, by spaces; the table is
	// the reader then. Of a refused field it is the value that turns it off, which
	// decK writes unasked. name=value is that of a member, at any depth. Null, and lists
	// and mappings without anything, need not be said.
	only string
	// why says what differs, what stands in, or what to do instead.
	why string
	// tests show the effect: names of test functions, with the package where others
	// have one of that name, and "vector" with the name of a vector; by semicolons.
	tests string
}

// schemas are the fields by plugin. Kong's names are those of 3.15, and of other
// versions where files have them.
var schemas = map[string][]row{
	"acl":                      aclFields,
	"application-registration": registrationFields,
	"basic-auth":               basicAuthFields,
	"jwt":                      jwtFields,
	"key-auth":                 keyAuthFields,
	"openid-connect":           oidcFields,
}

// known returns what a plugin's configuration is read with. A field without a row is
// unknown, whoever could read it, and a row without a reader refuses; both are mistakes
// of ours, which p.odd keeps for a test.
func (p *parser) known(plugin string, readers fields) fields {
	out := fields{}
	for _, f := range schemas[plugin] {
		read := readers[f.name]
		switch {
		case f.only != "":
			out[f.name] = p.refuseUnless(f.why, strings.Fields(f.only)...)
		case f.state == Refused || read == nil:
			out[f.name] = p.refuseUnless(f.why)
		default:
			out[f.name] = read
		}
		if taken := f.only == "" && f.state != Refused; taken != (read != nil) {
			p.odd = append(p.odd, plugin+": "+f.name)
		}
	}
	for name := range readers {
		if out[name] == nil {
			p.odd = append(p.odd, plugin+": "+name)
		}
	}
	return out
}
