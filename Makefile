# `make serve` and `make test` work in a fresh clone: all they need is Python >= 3.11 with pip.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
STUBS := clients/python/src
PROTOS := $(wildcard protos/keybroker/v1/*.proto)
SERVICES = $(shell grep -l '^service ' $(PROTOS))
BASELINE := protos/baseline.binpb

# `make image BASE_IMAGE=… IMAGE=…`; DOCKER_BUILD takes further options, such as --network=host.
DOCKER ?= docker
IMAGE ?= keybroker

# Optional tools, which widen the checks and tests; Python's are pinned in requirements/.
BUF_VERSION := v1.71.0
GRPCURL_VERSION := v1.9.4
UV_VERSION := 0.13.8

export PATH := $(CURDIR)/.tools/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

protoc = $(BIN)/python -m grpc_tools.protoc --proto_path=protos \
	--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc
generate = $(protoc) --python_out=$(1) --mypy_out=quiet:$(1) $(PROTOS) && \
	$(protoc) --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(SERVICES)

# One resolution for every platform and Python that the project supports.
uv_compile = .tools/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --system-certs $(UPGRADE)
packages = pyproject.toml clients/python/pyproject.toml

.PHONY: help setup serve demo test check format lint types contract proto-check stubs locks \
	fix proto proto-baseline docs bench image tools lock clean

help: ## List these targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

setup: $(READY) ## Make .venv with the pinned requirements, the server and its client.

$(READY): requirements/dev.txt pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Keybroker needs Python >= 3.11, and '$(PYTHON)' is not:" \
			"name another one, as in 'make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12'." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments:" \
			"on Debian and Ubuntu, install the package python3-venv." >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation \
		--editable . --editable clients/python
	@touch $@

serve: setup ## Run the server.
	@$(BIN)/python -m broker serve

demo: setup ## Play an outage on this machine, and its recovery, in about a minute.
	@$(BIN)/keybroker demo

# For two cores: the first tests compute, the others mostly wait for processes and deadlines.
test: setup contract ## Run the tests; they must cover every branch of broker/core.
	$(BIN)/pytest -n 2 tests/unit tests/contract tests/client --cov
	$(BIN)/pytest -n 3 --dist loadfile tests/integration tests/e2e

check: format lint types contract proto-check stubs locks test ## Run everything that CI runs.

format: setup ## Check that the code is formatted.
	$(BIN)/ruff format --check .

lint: setup ## Lint the code.
	$(BIN)/ruff check .

types: setup ## Check the types, strictly.
	$(BIN)/mypy

contract: setup ## Check that imports follow the architecture.
	$(BIN)/lint-imports --no-logo

proto-check: ## Lint the protos and compare them with the released baseline.
	@if command -v buf >/dev/null; then \
		buf lint && buf breaking --against $(BASELINE); \
	elif [ -n "$$CI" ]; then \
		echo "proto-check: buf is missing ('make tools' installs it)" >&2; exit 1; \
	else \
		echo "proto-check: skipped, there is no buf ('make tools' installs it)"; \
	fi

stubs: setup ## Check that the committed stubs are what the protos generate.
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(call generate,"$$fresh") && \
		diff -r -x __init__.py -x __pycache__ "$$fresh/keybroker/v1" $(STUBS)/keybroker/v1 || \
		{ echo "stubs: run 'make proto' and commit what it changes" >&2; exit 1; }

locks: setup ## Check that the lock files name no host and hold what the packages require.
	@! grep -nE '://|^-| @ ' requirements/*.txt
	$(BIN)/python -m pip check

fix: setup ## Format the code and mend what the linter can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup ## Generate the Python stubs from the protos.
	rm -f $(STUBS)/keybroker/v1/*_pb2*
	$(call generate,$(STUBS))

# A baseline that could be moved past a breaking change would guard nothing: to break the API on
# purpose, delete the baseline first.
proto-baseline: ## Take the protos as released: later changes must be compatible with them.
	@test ! -e $(BASELINE) || buf breaking --against $(BASELINE)
	buf build --exclude-source-info --output $(BASELINE)

docs: setup ## Generate the tables of README and docs from the code.
	$(BIN)/python -m tests.documentation

bench: setup ## Measure the promised figures.
	$(BIN)/python -m tests.benchmarks

image: ## Build the container image; needs docker, and DOCKER=podman will do.
	$(DOCKER) build --tag $(IMAGE) --build-arg REVISION=$$(git rev-parse HEAD) \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) $(DOCKER_BUILD) .

tools: ## Install the optional tools buf and grpcurl into .tools/bin (needs Go).
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)

lock: ## Resolve the requirements again; `make lock UPGRADE=--upgrade` takes newer versions.
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	$(uv_compile) $(packages) --output-file requirements/runtime.txt
	$(uv_compile) $(packages) --extra drill --group dev --constraints requirements/runtime.txt \
		--output-file requirements/dev.txt
	$(uv_compile) --group pyproject.toml:build --constraints requirements/dev.txt \
		--output-file requirements/build.txt

clean: ## Remove what tools cached and built; .venv and .tools stay.
	rm -rf build dist htmlcov .coverage .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find broker simulator tests clients -name __pycache__ -prune -exec rm -rf {} +
