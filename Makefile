# Everything runs in .venv, made from requirements.lock by `make setup`.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin

.PHONY: help setup rehearsal test test-all lint chaos truth bench-contain bench-scope format lock clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Build .venv with the command leak-response in it

# --no-compile: Python compiles what a run really imports, once, on first use.
.venv/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make setup PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up .venv with $(PYTHON) (first time: about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

rehearsal: setup  ## Rehearse a real leak in the embedded lab, end to end
	@$(BIN)/leak-response rehearse --scenario stolen-connected-app $(ARGS)

test: setup  ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-all: setup  ## Run the tests that take minutes, too
	@$(BIN)/python -m pytest -m "" $(ARGS)

chaos: setup  ## Kill containment at every point, fail every call in every way
	@$(BIN)/python -m tests.chaos.crash $(ARGS)
	@$(BIN)/python -m tests.chaos.faults $(ARGS)

truth: setup  ## Hold scoping against what was really served, over 300 generated attacks
	@$(BIN)/python -m tests.truth --attacks 300 $(ARGS)

bench-contain: setup  ## Seconds until the attacker is out, beside a bare script
	@$(BIN)/python -m tests.bench.contain $(ARGS)

bench-scope: setup  ## The lake, CSV, plain pandas, DuckDB and Polars by hand, answers compared
	@$(BIN)/python -m tests.bench $(ARGS)

lint: setup  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup  ## Rewrite the code in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup  ## Resolve the dependencies again into requirements.lock (needs uv)
	@{ echo "# Every dependency with its hashes, for Python 3.11 to 3.13. Made by \`make lock\`; do not edit."; \
	  uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --python-version 3.11 --extra lab --extra dev --quiet pyproject.toml; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## Remove .venv and everything the product wrote in this folder
	@rm -rf .venv .leak-response .mypy_cache .pytest_cache .ruff_cache
