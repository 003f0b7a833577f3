# Needs Python 3.11 or newer, and nothing else: every target builds the part of .venv that it uses.

# The first interpreter that runs and is new enough; `make PYTHON=/path/to/python ...` overrides it.
NEW_ENOUGH := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$python && break; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# A warning fails, at the end.
SITE := $(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky -d docs/_build/doctrees docs docs/_build/html
# More arguments for the program that a target runs: `make test ARGS="-k conv -x"`.
ARGS ?=

# The hint about newer releases asks the network at every run.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One environment, so one installation at a time.
.NOTPARALLEL:
.PHONY: help demo parallel parallel-processes test test-all fuzz docs docs-full docs-test lint format bench bench-large \
	wheel-test release-check matrix hooks clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.demo  ## Train a digit classifier on JAX and on NumPy, and compare
	$(BIN)/python examples/demo.py $(ARGS)

parallel: .venv/.demo  ## Train on four virtual devices, data and tensor parallel
	XLA_FLAGS=--xla_force_host_platform_device_count=4 $(BIN)/python examples/data_parallel.py $(ARGS)
	XLA_FLAGS=--xla_force_host_platform_device_count=4 $(BIN)/python examples/tensor_parallel_transformer.py $(ARGS)

parallel-processes: .venv/.demo  ## Train in two processes on this machine
	export KERAS_DISTRIBUTION_JOB_ADDRESSES=127.0.0.1:8476 KERAS_DISTRIBUTION_NUM_PROCESSES=2; \
	KERAS_DISTRIBUTION_PROCESS_ID=1 $(BIN)/python examples/data_parallel.py $(ARGS) & \
	KERAS_DISTRIBUTION_PROCESS_ID=0 $(BIN)/python examples/data_parallel.py $(ARGS); status=$$?; wait $$!; exit $$status

test: .venv/.test  ## Run the tests (all but the slow sweeps), as CI does
	$(PYTEST) -n 2 $(ARGS)

test-all: .venv/.test .venv/.oracle  ## Run every test, the slow sweeps and the questions to Keras too
	$(PYTEST) -n 2 -m "" $(ARGS)

fuzz: .venv/.test  ## Read 100,000 mutated files and configurations, of every kind: each loads or is refused
	$(BIN)/python tests/fuzz_files.py $(ARGS)

docs: .venv/.docs  ## Build the site in docs/_build/html, with the short form of the examples
	LAMELLA_QUICK=1 $(SITE) $(ARGS)
	$(BIN)/python docs/check_links.py docs/_build/html

docs-full: .venv/.docs  ## Build the site with every example in full
	$(SITE) --fresh-env --define sphinx_gallery_conf.run_stale_examples=1 $(ARGS)
	$(BIN)/python docs/check_links.py docs/_build/html

docs-test: .venv/.docs  ## Look at the built site in Chromium
	$(PYTEST) docs/browser_test.py $(ARGS)

lint: .venv/.dev  ## Check style, formatting and types, as CI does
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python docs/check_prose.py
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

format: .venv/.dev  ## Repair style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.bench  ## Measure the speed of both backends next to Keras, PyTorch and code by hand
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-large: .venv/.bench  ## Measure memory, first step and step of large models next to Keras and PyTorch
	$(BIN)/python benchmarks/large.py $(ARGS)

wheel-test: .venv/.test  ## Build the wheel and train from it where only NumPy is installed
	$(PYTEST) tests/test_wheel.py -v $(ARGS)

release-check: .venv/.release  ## Build a release, check its metadata, and train from it with NumPy alone
	$(BIN)/python tests/release_check.py $(ARGS)

matrix: .venv/.matrix  ## Run the tests with other Pythons and with the oldest and newest NumPy and JAX
	$(BIN)/nox $(if $(ARGS),-- $(ARGS))

hooks: .venv/.dev  ## Install the git hooks that run what `make lint` runs
	$(BIN)/pre-commit install

clean:  ## Remove the environment, the caches and everything built
	rm -rf .venv build dist .hypothesis .pytest_cache .ruff_cache docs/_build docs/gallery docs/learn docs/reference
	find frontend backends tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	@test -n "$(PYTHON)" || { echo "lamella needs Python 3.11 or newer with venv; try: make PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@touch $@

.venv/.demo: pyproject.toml | .venv/.created
	$(PIP) --editable '.[demo]'
	@touch $@

# Each extra holds the ones before it, so a larger installation stands for the smaller ones.
.venv/.test: pyproject.toml | .venv/.created
	$(PIP) --editable '.[test]'
	@touch .venv/.demo $@

.venv/.docs: pyproject.toml | .venv/.created
	$(PIP) --editable '.[docs]'
	@touch .venv/.demo $@

.venv/.oracle: pyproject.toml | .venv/.created
	$(PIP) --editable '.[oracle]'
	@touch $@

# PyTorch without CUDA where its own index can be reached.
.venv/.bench: pyproject.toml | .venv/.created
	$(PIP) --extra-index-url https://download.pytorch.org/whl/cpu --editable '.[bench]'
	@touch $@

.venv/.release: pyproject.toml | .venv/.created
	$(PIP) --editable '.[release]'
	@touch $@

.venv/.matrix: pyproject.toml | .venv/.created
	$(PIP) --editable '.[matrix]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/.created
	$(PIP) --editable '.[dev]'
	@touch .venv/.demo .venv/.test $@
