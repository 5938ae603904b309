# `make run` runs the main job, `make test` runs every check. Both make what they need; Python 3.11 or newer is enough.

# Interpreters that pyenv has installed are found even where its shims do not lead to them.
SEARCH := $(subst $(eval ) ,:,$(wildcard $(HOME)/.pyenv/versions/3.1[1-9].*/bin)):$(PATH)
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell PATH="$(SEARCH)"; for p in python3.12 python3.13 python3.11 python3; do \
	$$p $(NEW_ENOUGH) 2>/dev/null && command -v $$p && break; done)
BIN := .venv/bin
CONFIG ?= configs/backtest.yaml
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help

.PHONY: help run check test quick bench bench-peers clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/installed ## Run the main job: a backtest on real data (CONFIG=... for another topology)
	@$(BIN)/admf launch $(CONFIG)

check: .venv/installed ## Show the plan of a topology without running it
	@$(BIN)/admf check $(CONFIG)

test: .venv/tox ## Lint, types, layers, and the whole test suite on every supported Python that is here
	PATH="$(SEARCH)" $(BIN)/tox

quick: .venv/tox ## The test suite on one Python only
	PATH="$(SEARCH)" $(BIN)/tox -e py,processes

bench: .venv/bench ## Benchmarks with their aims, one JSON object a line (BENCH="--full" for the whole sizes)
	@$(BIN)/python -m tests.benchmarks.run $(BENCH)

bench-peers: .venv/bench ## The same workloads in other engines, each installed into an environment of its own
	@$(BIN)/python -m tests.benchmarks.peers.run $(BENCH)

clean: ## Remove what make has made; runs/ stays
	rm -rf .venv .tox build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml
	@echo "Installing into .venv (once) ..."
	@$(PIP) install -e '.[parquet]'
	@touch $@

.venv/bench: .venv/installed
	@$(PIP) install -e '.[fast,optimize]'
	@touch $@

.venv/tox: .venv/python
	@$(PIP) install 'tox>=4.15'
	@touch $@
