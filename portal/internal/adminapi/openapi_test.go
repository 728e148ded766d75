package adminapi

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/sallyport-auth/sallyport/testenv"
)

// TestTheDescription: the document that is served is one of OpenAPI 3.0, and has every
// endpoint with who may.
func TestTheDescription(t *testing.T) {
	w := without(t, base())
	res := w.send("GET", "/openapi.json", "")
	res.want(200)
	doc, err := openapi3.NewLoader().LoadFromData(res.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			n++
			i := slices.IndexFunc(endpoints(), func(e endpoint) bool { return e.method == method && e.path == path })
			if i < 0 {
				t.Errorf("%s %s is described, and is none", method, path)
				continue
			}
			roles, _ := op.Extensions["x-roles"].([]any)
			if len(roles) != len(endpoints()[i].roles.names()) {
				t.Errorf("%s %s: x-roles %v", method, path, roles)
			}
		}
	}
	if n != len(endpoints()) {
		t.Errorf("%d operations are described, %d are there", n, len(endpoints()))
	}
}

// conforming checks answers against the description; it is asked by send for every one.
type conforming struct {
	check func(r response, method, target string)
}

func newConforming(t testing.TB, description []byte) *conforming {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &conforming{func(res response, method, target string) {
		t := res.t
		t.Helper()
		if method == "HEAD" || strings.Contains(target, "%2F") { // the library parts decoded paths
			return
		}
		r := httptest.NewRequest(method, target, nil)
		route, params, err := router.FindRoute(r)
		if err != nil {
			if res.Code < 400 {
				t.Errorf("%s %s is answered, and not described: %v", method, target, err)
			}
			return
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
			Status:                 res.Code, Header: res.Header(), Body: io.NopCloser(bytes.NewReader(res.Body.Bytes())),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
			t.Errorf("%s %s: %d is not as it is described: %v", method, target, res.Code, err)
		}
	}}
}

// schemathesis is the version that the Makefile installs.
const schemathesis = "schemathesis-4.32.5"

// TestSchemathesis has every endpoint tried with what the description allows, and with
// what it does not, from a fixed seed.
func TestSchemathesis(t *testing.T) {
	st := filepath.Join(testenv.Root(), ".tools", schemathesis, "bin", "st")
	if _, err := os.Stat(st); err != nil {
		testenv.Missing(t, "schemathesis is not there: make tools installs it")
	}
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	w := newWorld(t)
	// Something of each, for the ids that are tried.
	w.send("POST", "/services", `{"name":"users","host":"users.internal"}`).want(201)
	w.send("POST", "/services/users/routes", `{"name":"users","paths":["/users"]}`).want(201)
	w.send("POST", "/consumers", `{"username":"bob"}`).want(201)
	w.send("POST", "/developers", `{"email":"dora@example.com","status":0}`).want(201)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := testenv.TempDir(t)
	cmd := exec.CommandContext(ctx, st, "run", server.URL+"/openapi.json", "--url", server.URL, "-H", "Authorization: Bearer "+bootstrap,
		"--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--seed", "4711", "--no-shrink", "--workers", "1", "--generation-database", "none",
		"--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off",
		// What is allowed by its form may still be refused for what it says: a route needs a
		// service that is there, a plugin the fields of its kind.
		"--exclude-checks", "positive_data_acceptance,missing_required_header")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "COLUMNS=160", "PYTHONHASHSEED=0")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, text[max(0, len(text)-12000):])
	}
	t.Log(text[max(0, len(text)-1500):])
	// A run that has tried nothing proves nothing.
	if m := regexp.MustCompile(`(\d+) generated`).FindStringSubmatch(text); m == nil || len(m[1]) < 4 {
		t.Errorf("how many requests were there? %s", text[max(0, len(text)-3000):])
	}
	if strings.Contains(w.log.String(), "cannot answer") {
		t.Errorf("the log: %s", cut(w.log.String()))
	}
}
