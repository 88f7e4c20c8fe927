# tenantsync. `make` lists the targets.
SHELL := /bin/bash
GO    ?= go
BIN   := bin/tenantsync
# The Microsoft Graph SDK takes minutes to compile. Every target uses the same flags, so that it happens once.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Packages that link the Graph SDK, and all others. The race detector compiles everything a second time and staticcheck
# analyses it: minutes each for the SDK, so that the first leaves those packages to CI and the second leaves them out.
SDK    = github.com/microsoftgraph/msgraph-sdk-go
NO_SDK = $(shell $(GO) list -test -f '{{if not .ForTest}}{{.ImportPath}} {{join .Deps " "}}{{else}}{{.ForTest}} {{join .Deps " "}}{{end}}' ./... \
	| awk '{ p=$$1; sub(/\.test$$/, "", p); seen[p]; for (i=2; i<=NF; i++) if ($$i=="$(SDK)") sdk[p] } END { for (p in seen) if (!(p in sdk)) print p }')

# A module of its own, so that what the SDK's tests need stays out of ours.
CONFORMANCE := shared/broker/conformance

.DEFAULT_GOAL := help
.PHONY: help build demo test race conformance bench lint package clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/tenantsync
	@test -x $(BIN) || echo "the first build compiles the Microsoft Graph SDK: two to five minutes, once"
	$(GO) build -ldflags '-s -w' -o $(BIN) .

demo: build ## Watch two simulated tenants feed a third, and check the result
	@$(BIN) demo

test: ## Run all tests
	$(GO) test -shuffle=on ./...
	$(GO) -C $(CONFORMANCE) test ./...

race: ## Run the tests under the race detector; what links the Graph SDK only with CI=true
	@command -v gcc >/dev/null || { echo "the race detector needs gcc; it is not here"; exit 1; }
	CGO_ENABLED=1 $(GO) test -race -shuffle=on $(if $(CI),./...,$(NO_SDK))

conformance: ## Run the live tests of Microsoft's Service Bus SDK against the broker, in memory and on a disk
	$(GO) -C $(CONFORMANCE) run .
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) -C $(CONFORMANCE) run . -data "$$dir"

bench: ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

lint: ## Check format, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-clean:"; gofmt -l .; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) -C $(CONFORMANCE) mod tidy -diff
	$(GO) -C $(CONFORMANCE) vet ./...
	$(GO) run $(STATICCHECK) $(NO_SDK)

package: ## Stage and zip the function app in dist/azure (CONFIG=file: its tenantsync.yaml)
	GOOS=linux GOARCH=amd64 $(GO) build -ldflags '-s -w' -o bin/linux-amd64/tenantsync .
	$(GO) run ./infra/package -binary bin/linux-amd64/tenantsync -out dist/azure $(if $(CONFIG),-config "$(CONFIG)")

clean: ## Remove what was built
	rm -rf bin dist
