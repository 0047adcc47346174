# `make help` says what there is. Everything is installed into .venv, from lock files, with checked hashes.

PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PLATFORM := .venv/.platform
DEVELOP := .venv/.develop
WAITING := $(addprefix tests/integration/,bus/ producer/ webhooks/ ingest/ synthesizer/)
WHOLE := tests/integration/supervisor/
BUS := $(addprefix tests/integration/,bus/ producer/)
# What differs most on a cluster; the rest of BUS is run there by test-topologies.
CLUSTERED := $(patsubst %,tests/integration/bus/test_%.py,callers line outages resuming sessions)
CONTENDERS := taskiq celery dramatiq arq
# A translator runs in the image of the transcriber.
IMAGES := ingest transcriber synthesizer responder realtime webhooks tools
# What the clients of the contract tests need but never load there.
UNUSED := $(addprefix --no-emit-package ,llvmlite numba onnxruntime)
LOCK_OPTIONS := --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo up weights test test-bus test-topologies test-parts test-platform check chaos bench load docs lock

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(PLATFORM) ## Start everything, speak, transcribe and translate, show the result, stop
	@$(BIN)/antiphon demo

up: weights ## Serve on 127.0.0.1:8000 until Ctrl-C (ANTIPHON_PORT, ANTIPHON_API_KEYS)
	@exec $(BIN)/antiphon up

weights: $(PLATFORM) ## Fetch the models into the cache (ANTIPHON_CACHE_DIR)
	@$(BIN)/antiphon models pull

test: $(DEVELOP) ## Install, check, and run all tests: the fast ones first
	@$(BIN)/antiphon models pull --all
	@$(MAKE) check
	@# The bus's tests wait for clocks and killed processes while the models' tests keep the cores busy: side by side.
	@$(MAKE) --jobs=3 --output-sync=target test-bus test-parts test-platform

test-bus: $(DEVELOP)
	$(BIN)/python -m pytest -q --durations=10 $(WAITING)
	$(BIN)/python -m pytest -q --durations=10 --topology=cluster -k valkey $(CLUSTERED)

test-topologies: $(DEVELOP) ## Run the bus's tests on sentinels and on a cluster, with each server program
	$(BIN)/python -m pytest -q --durations=10 --topology=sentinel,cluster $(BUS)

test-parts: $(DEVELOP)
	$(BIN)/python -m pytest -q --durations=10 tests/chaos $(filter-out $(WAITING) $(WHOLE),$(wildcard tests/integration/*/))

test-platform: $(DEVELOP)
	$(BIN)/python -m pytest -q --durations=10 tests/contract $(WHOLE)

check: $(DEVELOP) ## Lint, format, types, import rules, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit

chaos: $(DEVELOP) ## Kill, stop, fill and mislead processes and servers for half an hour; CHAOS_SEEDS=4-23
	CHAOS_SEEDS=$${CHAOS_SEEDS:-4-23} CHAOS_SIZE=$${CHAOS_SIZE:-2} $(BIN)/python -m pytest -q -s tests/chaos

docs: $(PLATFORM) ## Write docs/schemas and docs/asyncapi.json anew from the schemas
	@$(BIN)/python -m antiphon.documents

bench: $(DEVELOP) ## Measure the bus, the door and the models against the bare libraries
	@$(BIN)/antiphon models pull
	@$(BIN)/python -m tests.bench

load: $(DEVELOP) ## Mixed traffic and a report of it: LOAD="files=8 sessions=1", BASE_URL, API_KEY (docs/load.md)
	@$(BIN)/antiphon models pull $(if $(BASE_URL),speech-samples speech-readings,$(if $(SMALL),--all))
	@API_KEY="$(API_KEY)" $(BIN)/python -m tests.load $(if $(LOAD),--load "$(LOAD)") $(if $(RAMP),--ramp $(RAMP)) \
		$(if $(DURATION),--duration $(DURATION)) $(if $(ALONE),--alone $(ALONE)) $(if $(SMALL),--small) \
		$(if $(WORKERS),--workers $(WORKERS)) $(if $(BASE_URL),--base-url $(BASE_URL)) $(if $(OUT),--out $(OUT))

lock: ## Resolve requirements/*.in anew into the lock files (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 1; }
	uv pip compile $(LOCK_OPTIONS) --output-file requirements/platform.lock requirements/platform.in
	uv pip compile $(LOCK_OPTIONS) --output-file requirements/develop.lock requirements/develop.in
	for name in $(CONTENDERS); do \
		uv pip compile $(LOCK_OPTIONS) --output-file requirements/bench/$$name.lock requirements/bench/$$name.in || exit; done
	for name in $(IMAGES); do \
		printf 'antiphon-services[%s] @ file://$(CURDIR)\nantiphon @ file://$(CURDIR)/shared\n' $$name | \
		uv pip compile $(LOCK_OPTIONS) --constraint requirements/platform.lock \
			--no-emit-package antiphon --no-emit-package antiphon-services \
			--output-file requirements/images/$$name.lock - || exit; done
	for name in build cuda; do uv pip compile $(LOCK_OPTIONS) --constraint requirements/platform.lock \
		--output-file requirements/images/$$name.lock requirements/images/$$name.in || exit; done
	uv pip compile $(LOCK_OPTIONS) --output-file requirements/clients/beta.lock requirements/clients/beta.in
	uv pip compile $(LOCK_OPTIONS) $(UNUSED) --output-file requirements/clients/voice.lock requirements/clients/voice.in

# The stamps are newer than what they were made from: a second run installs nothing.
$(PLATFORM): requirements/platform.lock pyproject.toml shared/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
		{ echo "Python 3.11 is needed and '$(PYTHON)' is not it: install it, or name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "$(PYTHON) cannot make a virtual environment: on Debian, apt-get install python3.11-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv; the first time takes a few minutes."
	@$(PIP) install --quiet --require-hashes -r requirements/platform.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable shared --editable .
	@touch $@

$(DEVELOP): requirements/develop.lock $(PLATFORM)
	@$(PIP) install --quiet --require-hashes -r requirements/develop.lock
	@touch $@
