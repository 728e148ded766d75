package depcheck

import "slices"

// rule says what the packages of a folder may import. Of several that fit, the
// one with the longest path holds.
type rule struct {
	// path is a package of this module, or a folder with /... at the end.
	path string
	// own are the packages of this module that may be imported directly, in the
	// same notation.
	own []string
	// modules are the other modules that may come along, directly or not.
	modules []string
	// never are packages of the standard library that may not come along,
	// directly or not.
	never []string
	why   string
}

// Groups of the standard library.
var (
	// linked is out of bounds for whatever the filter links.
	linked = []string{"fmt", "encoding/json", "encoding/hex", "net/...", "net", "os/...", "os", "time", "log/...", "log",
		"crypto/...", "math/big", "regexp", "regexp/...", "text/...", "html/...", "context", "syscall", "runtime/debug"}
	// noIO is out of bounds for whatever only computes.
	noIO = []string{"net/http", "os/exec", "os/signal", "plugin", "database/..."}
)

// Other modules by what needs them.
var (
	wazero     = []string{"github.com/tetratelabs/wazero", "golang.org/x/sys"}
	joseLibs   = []string{"github.com/go-jose/go-jose/v4", "github.com/golang-jwt/jwt/v5"}
	yaml       = []string{"go.yaml.in/yaml/v4"}
	prometheus = []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model",
		"github.com/prometheus/common", "github.com/prometheus/procfs", "github.com/beorn7/perks",
		"github.com/cespare/xxhash/v2", "github.com/munnerz/goautoneg", "google.golang.org/protobuf",
		"golang.org/x/sys", "go.yaml.in/yaml/v2", "github.com/kylelemons/godebug"}
	// aead is XChaCha20-Poly1305; x/sys tells it what the processor can do.
	aead = []string{"golang.org/x/crypto", "golang.org/x/sys"}
	// databases are SQLite's and Postgres's drivers, and what migrates.
	databases = []string{"modernc.org/sqlite", "modernc.org/libc", "modernc.org/mathutil", "modernc.org/memory",
		"github.com/dustin/go-humanize", "github.com/google/uuid", "github.com/mattn/go-isatty", "github.com/ncruces/go-strftime",
		"github.com/remyoudompheng/bigfft", "github.com/jackc/pgx/v5", "github.com/jackc/pgpassfile", "github.com/jackc/pgservicefile",
		"github.com/jackc/puddle/v2", "github.com/pressly/goose/v3", "github.com/mfridman/interpolate", "github.com/sethvargo/go-retry",
		"go.uber.org/multierr", "golang.org/x/sync", "golang.org/x/text"}
	// openIDProvider comes along with zitadel/oidc's package op.
	openIDProvider = []string{"github.com/zitadel/oidc/v3", "github.com/zitadel/logging", "github.com/zitadel/schema",
		"github.com/bmatcuk/doublestar/v4", "github.com/go-chi/chi/v5", "github.com/go-jose/go-jose/v4", "github.com/go-logr/logr",
		"github.com/go-logr/stdr", "github.com/gorilla/securecookie", "github.com/muhlemmer/gu",
		"github.com/muhlemmer/httpforwarded", "github.com/rs/cors", "github.com/sirupsen/logrus", "go.opentelemetry.io/auto/sdk",
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/log", "github.com/cespare/xxhash/v2", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace",
		"golang.org/x/oauth2", "golang.org/x/sys", "golang.org/x/text"}
	// login is what the relying party brings along.
	login  = []string{"golang.org/x/oauth2", "golang.org/x/crypto", "golang.org/x/sys"}
	anyOwn = []string{"..."}
)

// authentication is what a host for any proxy-wasm filter must know nothing of.
var authentication = []string{"internal/reason", "internal/jose", "internal/claims", "internal/bundle", "internal/wire",
	"internal/keys", "internal/identity", "internal/declarative", "filter/...", "oidc-sidecar/..."}

var rules = []rule{
	{"filter", []string{"filter/internal/plugin"}, nil, linked,
		"main only brings the exports into the module"},
	{"filter/internal/plugin", []string{"filter/internal/policy", "internal/abi", "internal/bundle", "internal/jose",
		"internal/jsonx", "internal/reason", "internal/wire"}, nil, linked,
		"thin glue between the ABI and the machine"},
	{"filter/internal/policy", []string{"internal/abi", "internal/bundle", "internal/claims", "internal/identity",
		"internal/jose", "internal/jsonx", "internal/page", "internal/reason", "internal/wire"}, nil, linked,
		"the machine does no I/O and reads no clock; of abi it has the names of foreign functions only"},
	{"filter/explain", []string{"filter/internal/policy", "internal/abi", "internal/bundle", "internal/claims",
		"internal/declarative", "internal/jose", "internal/keys", "internal/reason", "internal/routing", "internal/wire"},
		append(yaml, joseLibs...), nil, "runs the machine natively, for people; the module never links it"},

	{"internal/reason", nil, nil, linked, "a leaf"},
	{"internal/jsonx", nil, nil, linked, "a leaf"},
	{"internal/abi", nil, nil, linked, "numbers and a codec, for filter and host"},
	{"internal/identity", nil, nil, linked, "a list of header names"},
	{"internal/jose", []string{"internal/jsonx", "internal/reason"}, nil, linked,
		"reads tokens; cryptography is the proxy's or the sidecar's"},
	{"internal/claims", []string{"internal/jsonx", "internal/reason"}, nil, linked,
		"judges at a time that is an argument"},
	{"internal/match", []string{"internal/jsonx"}, nil, linked, "runs what match/compile has compiled"},
	{"internal/match/compile", []string{"internal/match"}, nil, noIO, "parses regular expressions, which the filter does not"},
	{"internal/page", nil, nil, linked, "a leaf: pages for people"},
	{"internal/bundle", []string{"internal/claims", "internal/jose", "internal/jsonx", "internal/match"}, nil, linked,
		"the filter reads it"},
	{"internal/wire", []string{"internal/bundle", "internal/jose", "internal/jsonx", "internal/reason"}, nil, linked,
		"both sides of the contract link it"},

	{"internal/redact", nil, nil, noIO, "a leaf; slog and encoding are what it hides secrets from"},
	{"internal/version", nil, nil, noIO, "a leaf"},
	{"internal/depcheck", nil, nil, nil, "a test"},
	{"internal/passhash", nil, nil, noIO, "a leaf: reads hashes of passwords, and computes none"},
	{"internal/routing", nil, nil, append([]string{"net", "os"}, noIO...), "the gateway's router knows no authentication and does no I/O"},
	{"internal/keys", []string{"internal/bundle", "internal/jose", "internal/jsonx"}, joseLibs, noIO,
		"the one place with cryptography for tokens"},
	{"internal/declarative", []string{"internal/identity", "internal/jose", "internal/jsonx", "internal/keys",
		"internal/match", "internal/match/compile", "internal/passhash", "internal/redact", "internal/routing"}, append(yaml, joseLibs...), noIO,
		"reads a file; net is there for addresses, os for {vault://…}"},
	{"internal/envoyconf", []string{"internal/declarative", "internal/routing", "internal/version", "internal/wire"},
		append(yaml, joseLibs...), noIO, "writes a file"},

	{"internal/adminform", nil, yaml, noIO, "reads forms; what is in them is judged elsewhere"},
	{"internal/registry", []string{"internal/bundle", "internal/jose", "internal/keys", "internal/passhash", "internal/redact"},
		slices.Concat(databases, joseLibs, aead), []string{"net/http", "plugin"},
		"a store: who may do what in it is known elsewhere"},

	{"host", []string{"host/internal/...", "internal/abi"}, wazero, nil,
		"a public API for any filter: nothing heavy may come along"},
	{"host/gateway", []string{"host", "host/internal/...", "internal/routing"}, wazero, nil,
		"listeners, routes and clusters around it"},
	{"host/internal/...", []string{"host/internal/...", "internal/abi"}, wazero, nil, "parts of the host"},

	{"oidc-sidecar", []string{"oidc-sidecar/internal/...", "internal/bundle", "internal/declarative", "internal/redact", "internal/registry"},
		slices.Concat(yaml, joseLibs, prometheus, login, databases), nil, "a process of its own, without host and filter"},
	{"oidc-sidecar/internal/...", []string{"oidc-sidecar/internal/...", "internal/bundle", "internal/claims",
		"internal/declarative", "internal/jose", "internal/jsonx", "internal/keys", "internal/page", "internal/passhash", "internal/reason", "internal/redact",
		"internal/version", "internal/wire"}, slices.Concat(yaml, joseLibs, prometheus, login), nil, "parts of the sidecar"},
	{"oidc-sidecar/internal/consumers", []string{"oidc-sidecar/internal/snapshot", "internal/bundle", "internal/declarative", "internal/jose",
		"internal/keys", "internal/reason", "internal/redact", "internal/registry"}, slices.Concat(yaml, joseLibs, prometheus, login, databases),
		nil, "the one part of the sidecar that knows the registry"},
	{"oidc-sidecar/internal/server", []string{"oidc-sidecar/internal/...", "internal/bundle", "internal/declarative", "internal/jose", "internal/keys", "internal/reason",
		"internal/wire"}, slices.Concat(yaml, joseLibs, prometheus, login, databases), nil, "answers filters"},
	{"oidc-sidecar/internal/seal", []string{"internal/redact"}, aead, append([]string{"net"}, noIO...),
		"seals and opens; what, and when, is known elsewhere"},
	{"oidc-sidecar/internal/password", []string{"internal/passhash"}, aead, append([]string{"net"}, noIO...),
		"hashes and tries passwords; whose they are is known elsewhere"},
	{"oidc-sidecar/internal/revoke", nil, nil, append([]string{"net"}, noIO...),
		"keys and times in a file; whose they are is known elsewhere"},

	{"portal", []string{"portal/internal/...", "host", "host/gateway", "internal/declarative", "internal/redact", "internal/registry",
		"internal/version", "oidc-sidecar"}, slices.Concat(wazero, yaml, joseLibs, prometheus, login, databases, []string{"golang.org/x/time"}), nil,
		"pages behind filter and sidecar; the data plane never needs it"},
	{"portal/internal/pages", []string{"internal/claims", "internal/jose", "internal/jsonx", "internal/reason", "internal/redact", "internal/registry"},
		slices.Concat(databases, joseLibs, aead), nil, "pages over the registry; who is there, the filter has said"},

	{"portal/internal/adminapi", []string{"internal/adminform", "internal/declarative", "internal/jsonx", "internal/redact", "internal/registry",
		"internal/version"}, slices.Concat(yaml, joseLibs, databases, aead, []string{"golang.org/x/time"}), nil,
		"answers requests; what the file says is judged by declarative, what is stored by registry"},

	{"cmd/sallyport", []string{"filter/explain", "host", "host/gateway", "internal/declarative", "internal/envoyconf", "internal/redact",
		"internal/registry", "internal/version", "oidc-sidecar", "portal", "cmd/sallyport/internal/convert", "cmd/sallyport/internal/demo", "cmd/sallyport/internal/image"}, nil, nil, "puts the parts together; the demo brings its surroundings"},
	{"cmd/sallyport/internal/convert", []string{"internal/adminform", "internal/declarative"}, append(yaml, joseLibs...), noIO,
		"reads what others write; the parser judges it"},
	{"cmd/sallyport/internal/demo", nil, openIDProvider, nil, "what a user would have around a gateway, and none of our own parts"},

	{"cmd/sallyport/internal/image", nil, nil, []string{"net"}, "packs bytes"},

	{"testenv/...", anyOwn, nil, nil, "tests"},
	{"examples/...", []string{"examples/...", "host", "host/gateway"}, nil, nil, "a user of the public API has no more"},
}

// homes are packages that do not stand in the lowest folder with all their
// importers, with the reason.
var homes = map[string]string{
	"internal/envoyconf": "the command has no logic, and what writes routes stands beside what orders them",
	"internal/depcheck":  "looks at every folder",
	"internal/registry":  "the sidecar reads what the portal writes",
}
