# Two commands need nothing but Python 3.11+, make and the network: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))

# The first of these that can make an environment; `make PYTHON=... setup` overrules.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  if $$p -c '$(ABLE)' 2>/dev/null; then echo $$p; break; fi; done)

FAST := not slow and not bench and not ops and not stream and not edge
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
BENCHES := $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_*.py))
CORE_BENCHES := $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_core_*.py))
STREAM_BENCHES := $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_stream_*.py))
EDGE_BENCHES := $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_edge_*.py))
OPS_BENCHES := $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/ops_*.py))

.PHONY: test-decoding rivals-decoding bench-decoding rivals-stream bench-stream test-edge bench-edge
.PHONY: help setup demo test check format-check format lint types layers fast-tests test-kernels test-lowest \
  test-ops test-stream chaos kafka-up kafka-down rivals bench bench-core bench-ops docs mlflow-picture wheel wheel-smoke lock clean $(BENCHES) $(OPS_BENCHES)

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(or $(PYTHON),false) -c '$(ABLE)' 2>/dev/null || { \
	  echo "make: needs Python 3.11 to 3.14 with venv and pip (tried $(or $(PYTHON),python3, python3.14 ... python3.11)); name one: make PYTHON=/path/to/python setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What the demo needs; the tools for tests come on top, in the same versions.
$(VENV)/base.stamp: requirements/base.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/base.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/base.stamp
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/dev.stamp ## Make or refresh .venv from the locked set

demo: $(VENV)/base.stamp ## The whole loop on real data
	$(BIN)/forecast demo

test: setup ## Every test, but for those of test-ops, test-stream and test-edge
	$(PYTEST) -m "not bench and not ops and not stream and not edge"

# Two at a time: every worker may have a server of its own running.
test-ops: setup ## The store on PostgreSQL, MLflow on a server; both are started and stopped here
	$(BIN)/python -m pytest -n 2 --dist loadfile -m ops

# One at a time: they share a broker, and watch how long its answers take.
test-stream: setup ## The stream on a real Kafka, which is started and stopped here
	$(BIN)/python -m pytest -n 1 -m stream

# One at a time: they share the environments, which the first run fetches (300 MB), and an emulator is slow.
test-edge: setup ## Bundles on a bare device, on older ONNX Runtimes, on an emulated aarch64
	$(BIN)/python -m pytest -n 1 -m edge

# On a broker of its own. CHAOS="--rounds 20 --minutes 10 --seed 2" for less, or for other chaos.
chaos: setup ## 100 rounds of kill -9, every forecast checked (40 minutes)
	$(BIN)/python -m tests.chaos $(CHAOS)

kafka-up: setup ## Start a Kafka of one broker, print its address (Java 17, Maven)
	@$(BIN)/python -m tests.services.kafka up

kafka-down: setup ## Stop it, and throw its data away
	@$(BIN)/python -m tests.services.kafka down

check: format-check lint types layers fast-tests ## What must be green before a commit

format-check: setup
	$(BIN)/ruff format --check .

format: setup ## Lay the code out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

lint: setup ## ruff
	$(BIN)/ruff check .

types: setup ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright

layers: setup ## Who may import whom
	$(BIN)/lint-imports

fast-tests: setup ## The tests that take less than a second each
	$(PYTEST) -m "$(FAST)"

# Compiled code makes inf of 1/0 in silence, as asked; NumPy in plain Python warns of it.
test-kernels: setup ## Kernels as plain Python, then compiled with bounds checks
	NUMBA_DISABLE_JIT=1 $(PYTEST) -m "$(FAST)" --hypothesis-profile few -W ignore::RuntimeWarning tests/forecast/kernels
	NUMBA_BOUNDSCHECK=1 $(PYTEST) -m "$(FAST)" --hypothesis-profile few tests/forecast/kernels

test-lowest: setup ## The fast tests on the oldest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-lowest
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --extra dev --python $(VENV)-lowest/bin/python \
	  --output-file $(VENV)-lowest/requirements.txt pyproject.toml
	$(BIN)/uv pip sync --quiet --python $(VENV)-lowest/bin/python $(VENV)-lowest/requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(VENV)-lowest/bin/python -e .
	$(VENV)-lowest/bin/python -m pytest -n $(WORKERS) -m "$(FAST)"

test-decoding: setup ## The language models, every test
	$(PYTEST) tests/decoding

RIVALS_DECODING := .venv-rivals-decoding

$(RIVALS_DECODING)/rivals.stamp: requirements/rivals-decoding.txt | $(VENV)/dev.stamp
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(RIVALS_DECODING)
	$(BIN)/uv pip install --quiet --python $(RIVALS_DECODING)/bin/python -r requirements/rivals-decoding.txt
	@touch $@

rivals-decoding: $(RIVALS_DECODING)/rivals.stamp ## What decoding is measured against; builds llama.cpp

bench-decoding: rivals-decoding bench_decoding ## Decoding against its rivals and its floors

RIVALS_STREAM := .venv-rivals-stream

$(RIVALS_STREAM)/rivals.stamp: requirements/rivals-stream.txt | $(VENV)/dev.stamp
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(RIVALS_STREAM)
	$(BIN)/uv pip install --quiet --python $(RIVALS_STREAM)/bin/python -r requirements/rivals-stream.txt
	@touch $@

rivals-stream: $(RIVALS_STREAM)/rivals.stamp ## What the streaming service is measured against

# One after another, also under `make -j`: each has both cores. Ten million ticks write gigabytes.
bench-stream: setup rivals-stream ## The streaming service against its rivals and its floors (STEADY=1: memory too)
	@failed=0; for each in $(if $(STEADY),$(STREAM_BENCHES),$(filter-out bench_stream_memory,$(STREAM_BENCHES))); do \
	  $(MAKE) --no-print-directory $$each || failed=1; done; exit $$failed

# One after another, also under `make -j`: they time one core.
bench-edge: setup ## Size, memory, speed, stability of exported models against their floors
	@failed=0; for each in $(EDGE_BENCHES); do $(MAKE) --no-print-directory $$each || failed=1; done; exit $$failed

RIVALS := .venv-rivals

$(RIVALS)/rivals.stamp: requirements/rivals.txt | $(VENV)/dev.stamp
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(RIVALS)
	$(BIN)/uv pip install --quiet --python $(RIVALS)/bin/python -r requirements/rivals.txt
	@touch $@

rivals: $(RIVALS)/rivals.stamp ## The libraries that the benchmarks are measured against

bench-core: setup rivals ## The numeric core against the rivals, one JSON each in bench-results/
	@failed=0; for each in $(CORE_BENCHES); do $(MAKE) --no-print-directory $$each || failed=1; done; exit $$failed

bench: $(filter-out $(CORE_BENCHES) $(STREAM_BENCHES) $(EDGE_BENCHES) bench_decoding,$(BENCHES)) ## Every benchmark without rivals of its own, one JSON each in bench-results/

$(BENCHES): setup
	@mkdir -p bench-results
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
	  $(BIN)/python -m tests.bench.$@ --json bench-results/$@.json

# One after another, also under `make -j`: they time what the others would slow down.
bench-ops: setup ## Trainer, store and MLflow against their limits
	@for each in $(OPS_BENCHES) bench_cold_start; do $(MAKE) --no-print-directory $$each || exit 1; done

$(OPS_BENCHES): setup
	@mkdir -p bench-results
	$(BIN)/python -m tests.bench.$@ --json bench-results/$@.json

docs: setup ## Links and examples of the written pages
	$(BIN)/python -m pytest tests/test_documents.py $(wildcard tests/test_readme.py)

mlflow-picture: setup ## MLflow's compare page for the docs, from a real server and Chromium
	$(BIN)/python -m tests.services.mlflow_pages docs/images/mlflow-compare.png

wheel: setup ## Build dist/*.whl, offline
	rm -rf dist
	$(BIN)/python -m hatchling build -t wheel -d dist

wheel-smoke: wheel ## Install the wheel into an empty environment and use it there
	.ci/wheel-smoke dist/*.whl

lock: setup ## Write requirements/*.txt again (UPGRADE=1: newer versions)
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock.sh

clean: ## Remove what the other targets made, but for .venv
	rm -rf dist build bench-results demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
