# Every CI job is one target here; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.cache/uv/bin:$(HOME)/.local/bin:$(PATH)
UV := uv

##@ Use
.PHONY: help
help: ## Show the targets
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what is missing: uv, the locked environment, a Java runtime
	@./setup.sh

.PHONY: run
run: setup ## Raw code in, a served completion model out (manifests/examples/first-light.yaml)
	$(UV) run --frozen daybreak run manifests/examples/first-light.yaml

##@ Develop
.PHONY: test
test: setup ## All tests, with coverage
	$(UV) run --frozen pytest --cov --cov-report=term

.PHONY: check
check: setup ## Format, lint, types, import contracts, generated files
	$(UV) run --frozen ruff format --check .
	$(UV) run --frozen ruff check .
	$(UV) run --frozen lint-imports
	$(UV) run --frozen mypy
	$(UV) run --frozen python -m daybreak_pipelines.generate --check

.PHONY: format
format: ## Format and mend what the linter can
	$(UV) run --frozen ruff format .
	$(UV) run --frozen ruff check --fix .

.PHONY: cluster
cluster: setup ## A Kubernetes to try things on: in the foreground, Ctrl-C ends it (tests/cluster/README.md)
	$(UV) run --frozen python -m tests.cluster --data .cache/cluster

.PHONY: generate
generate: setup ## Write the CRDs, the schema, the reference page and the compiled pipelines
	$(UV) run --frozen python -m daybreak_pipelines.generate

.PHONY: bench
bench: setup ## Measure ours beside the peers, into docs/benchmarks.md
	$(UV) run --frozen python -m tests.bench
