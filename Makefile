# Distillery's commands. `make quickstart` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
QUICKSTART := results/quickstart

# A study is some hundred short processes. Where the environment tells Python to keep no bytecode,
# each compiles all that it imports once more: a dry run of the quickstart then takes 6.2 s, not
# 2.8 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup quickstart test test-quick test-long test-kills test-fuzz test-slurm
.PHONY: test-gpu bench lint lint-style lint-types format docs reference readme-assets lock clean

help: ## Show these commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

# The command `distillery` of this checkout, from wherever it is called.
define COMMAND
'#!/bin/sh' \
'here=$$(cd "$$(dirname "$$0")" && pwd)' \
'PYTHONPATH="$${here%/.venv/bin}$${PYTHONPATH:+:$$PYTHONPATH}"' \
'export PYTHONPATH' \
'exec "$$here/python" -P -m distillery "$$@"'
endef

# The environment is updated when the lock changes. `python -m uv` and `python -m snakemake`
# rather than their scripts: a script's first line holds the path of its interpreter and breaks in a
# folder with a space in its name.
.venv/.done: requirements.lock
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "error: Python 3.11 or newer is needed, not " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python \
	    --require-hashes -r requirements.lock
	printf '%s\n' $(COMMAND) > $(BIN)/distillery
	chmod +x $(BIN)/distillery
	touch .venv/.done

setup: .venv/.done ## Make .venv with the locked packages and the command `distillery`

# Two small jobs side by side rather than one after the other: without a GPU `gpu` only counts
# computing jobs.
quickstart: .venv/.done ## Run the whole pipeline on the embedded digits, in minutes
	$(BIN)/python -m snakemake --cores $(CORES) --resources gpu=2 --configfile config/quickstart.yaml
	@echo "The report is at $(QUICKSTART)/report.html"

# Two processes; each takes a file of tests at a time, whose fixtures it then makes once, in the
# order of tests/conftest.py.
SPREAD := --dist loadfile --no-loadscope-reorder

test: .venv/.done ## Run the test suite, but for what takes minutes more
	$(BIN)/python -m pytest -n $(CORES) $(SPREAD) -m "not long"

test-long: .venv/.done ## Run the tests that `make test` leaves out
	$(BIN)/python -m pytest -n $(CORES) $(SPREAD) -m long

test-quick: .venv/.done ## Run the tests that take a second or less, for use while you work
	$(BIN)/python -m pytest -n $(CORES) $(SPREAD) -m "not slow and not workflow and not long"

test-kills: .venv/.done ## Kill jobs at 20 random moments and compare the bytes (10 minutes or more)
	$(BIN)/python tests/faults/kills.py

test-fuzz: .venv/.done ## Feed damaged files to every reader, 10 minutes each (MINUTES=1: less)
	$(BIN)/python tests/faults/fuzz.py $(or $(MINUTES),10)

test-slurm: .venv/.done ## Run a study on a real Slurm (root, Debian; minutes; SLURM=quickstart)
	bash tests/slurm/run.sh $(SLURM)

test-gpu: .venv/.done ## Run what only a GPU shows (a CUDA device; under three minutes)
	$(BIN)/python -m pytest -m gpu tests/gpu tests/unit/run/test_meter.py

bench: .venv/.done ## Compare speed and memory with the textbook's (BENCH=--quick: 2 minutes)
	$(BIN)/python -m benchmarks $(BENCH)

# Side by side: the types take as long as all else.
lint: .venv/.done ## Check style and types: ruff, snakefmt, Snakemake's own linter, basedpyright
	@$(MAKE) --no-print-directory --keep-going --jobs 2 lint-style lint-types

lint-style: .venv/.done
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m snakefmt --check Snakefile workflow
	$(BIN)/python -m snakemake --lint

lint-types: .venv/.done
	$(BIN)/python -m basedpyright

format: .venv/.done ## Format the code
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
	$(BIN)/python -m snakefmt Snakefile workflow

docs: .venv/.done ## Build the documentation with the API reference, in site/
	$(BIN)/python -m mkdocs build --strict

reference: .venv/.done ## Write the config's schema and table of keys from its models
	$(BIN)/python -m distillery schema --write

# The pictures are of a real run, the table is of the records.
README := results/readme/figures
readme-assets: .venv/.done ## Run the study that README shows, draw it, write README's table
	$(BIN)/python -m snakemake figures --cores $(CORES) --configfile studies/readme.yaml
	mkdir -p docs/assets
	cp $(README)/evolution_MNIST_dc_noise_ipc1.gif docs/assets/evolution.gif
	cp $(README)/sets_MNIST_ipc1.png docs/assets/sets.png
	$(BIN)/python -m distillery reproduction render

lock: .venv/.done ## Resolve the newest versions and write requirements.lock
	$(BIN)/python -m uv lock --upgrade
	$(BIN)/python -m uv export --quiet --frozen --format requirements-txt --no-emit-project \
	    --extra workflow --extra test --extra docs -o requirements.lock

clean: ## Remove the quickstart's results
	rm -rf $(QUICKSTART)
