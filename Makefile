# Every CI job is one target here; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.cache/uv/bin:$(HOME)/.local/bin:$(PATH)
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON_PREFERENCE := only-system
# Where it is set, every process compiles all that it imports anew: half of the time in which tests are collected.
unexport PYTHONDONTWRITEBYTECODE
UV := uv
TAG ?= dev

##@ Use
.PHONY: help
help: ## Show the targets
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what is missing: uv and the locked environments; tell what else is
	@./setup.sh

.PHONY: setup-vllm
setup-vllm: ## Install vLLM behind Triton too (8 GB): daybreak serve --runtime TritonVLLM, and its tests
	@./setup.sh --vllm

.PHONY: run
run: setup ## Raw code in, a served completion model out (manifests/examples/first-light.yaml)
	$(UV) run --frozen daybreak run manifests/examples/first-light.yaml

##@ Develop
# A file's tests share a process, groups that take long begin first; three, for what waits leaves a core to what computes.
PYTEST = $(UV) run --frozen pytest --numprocesses=3 --dist=loadgroup --no-loadscope-reorder --durations=10

.PHONY: test-fast
test-fast: setup ## Tests that need no Java, no cluster, no torchrun, no Triton and little time
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-quick} $(PYTEST) --numprocesses=2 --failed-again=8 -m fast

CHOSEN ?=
.PHONY: test
test: setup ## All tests, or CHOSEN="-m 'not fast'"; what fails is run once more, alone; DAYBREAK_PROFILE=ci plays the random orders in full
	$(PYTEST) --failed-again=8 $(CHOSEN)

.PHONY: coverage
coverage: setup ## All tests, with the coverage of every room
	$(PYTEST) --cov --cov-report=term

.PHONY: e2e
e2e: setup ## Tests on a real node: root, containerd, runc, CNI plugins, nftables (tests/cluster/README.md)
	$(UV) run --frozen python -m tests.e2e

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

.PHONY: corpus-check
corpus-check: setup ## The documents step over any folder of repositories (CORPUS=DIR), and 400 of its verdicts to read
	@test -n "$(CORPUS)" || { echo "make corpus-check: say CORPUS=DIR, a folder of repositories" >&2; exit 2; }
	$(UV) run --frozen python -m tests.corpus $(CORPUS)

.PHONY: argocd
argocd: setup ## Build Argo CD's command line, once: the tests then ask it what it makes of our objects' health
	$(UV) run --frozen python -m tests.cluster --program argocd

.PHONY: launchers
launchers: setup ## Build JobSet, Kubeflow Trainer and Kueue, once: the tests then play training jobs on the real ones
	$(UV) run --frozen python -m tests.cluster --program jobset trainer kueue

.PHONY: generate
generate: setup ## Write the CRDs, the schema, the reference page, the compiled pipelines and manifests/base
	$(UV) run --frozen python -m daybreak_pipelines.generate
	$(UV) run --frozen python -m tests.packaging.render

ROOMS := operator data train evaluate serve pipelines
IMAGE_ARGS ?=
# Not among them: vllm, for deployments of the runtime TritonVLLM (make images ROOMS=vllm).
.PHONY: images
images: ## Build all container images with docker or buildah, as daybreak/ROOM:TAG (ROOMS="operator serve" TAG=dev IMAGE_ARGS="--build-arg ...")
	@if docker info > /dev/null 2>&1; then build="docker build"; \
	elif command -v buildah > /dev/null; then build="buildah build"; \
	else echo "make images needs a running docker, or buildah (apt-get install buildah)" >&2; exit 2; fi; \
	for room in $(ROOMS); do \
	  echo "images: daybreak/$$room:$(TAG)" >&2; \
	  $$build $(IMAGE_ARGS) --build-arg ROOM=$$room --tag daybreak/$$room:$(TAG) . || exit 1; \
	done

.PHONY: bench
bench: setup ## Measure ours beside the peers, into docs/benchmarks.md
	$(UV) run --frozen python -m tests.bench
