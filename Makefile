# Every command of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
BUF_AGAINST ?= $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD)

.PHONY: help setup gen lint test test-all test-chaos servers-begin ci run demo bench lock clean

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

setup: ## make .venv with everything (system libraries by apt when missing and allowed; DEMO_PDF=0 goes on without PDFs)
	@scripts/setup.sh

$(STAMP): requirements/dev.txt scripts/setup.sh
	@scripts/setup.sh

gen: $(STAMP) ## generate the stubs in gen/ from protos/, and docs/configuration.md from each config.py
	$(BIN)/python scripts/gen.py
	$(BIN)/python scripts/config_docs.py

lint: $(STAMP) ## style, types, directions between packages, protos, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(wildcard morpheus_kit services gateway local fakes tests benchmarks scripts)
	$(BIN)/lint-imports
	$(BIN)/buf lint
	@if [ -n "$(BUF_AGAINST)" ] && git cat-file -e "$(BUF_AGAINST):protos" 2>/dev/null; then \
		set -x; $(BIN)/buf breaking --against ".git#ref=$(BUF_AGAINST)"; \
	fi
	$(BIN)/python scripts/gen.py --check
	$(BIN)/python scripts/config_docs.py --check

test: $(STAMP) ## all tests that need only pip and WeasyPrint's system libraries
	@scripts/setup.sh
	@scripts/lanes.sh test

test-all: $(STAMP) ## the same, short chaos, and what needs real servers: S3 and SMTP (built with Go), Elasticsearch (a JDK); a missing one fails where CI=true
	@scripts/setup.sh
	@scripts/lanes.sh test-all

test-chaos: $(STAMP) ## the long kill test: 50 kills, 10,000 messages (some three minutes; on demand)
	@$(BIN)/python -m pytest tests/chaos -m long -s

# Building and fetching the servers takes minutes the first time: it begins at once and is waited for by their lanes.
servers-begin:
	@TOOLS_APT=0 nice -n 10 scripts/tools.sh versitygw mailpit </dev/null >/dev/null 2>&1 &
	@FETCH_APT=0 nice -n 10 scripts/elasticsearch/fetch.sh </dev/null >/dev/null 2>&1 &

ci: servers-begin lint test-all ## what every change is checked by: lint and test-all

run: $(STAMP) ## the stack on this machine (MORPHEUS_HOME, MORPHEUS_PORT)
	@scripts/setup.sh
	@$(BIN)/python -m local

demo: ## the stack with a sample group of 200 mails (DEMO_EXIT=1 stops after it, DEMO_PDF=0 leaves PDFs out)
	@scripts/setup.sh
	@$(BIN)/python -m local --demo

bench: $(STAMP) ## measure throughput, CPU per message and latency; JSON on the standard output
	@$(BIN)/python -m benchmarks.run

lock: $(STAMP) ## pin requirements/*.txt again, with hashes (LOCK_FLAGS=--upgrade for newer versions)
	scripts/lock.sh $(LOCK_FLAGS)

clean: ## remove .venv, caches and demo homes (never .morpheus: that is data)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .morpheus-demo* build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
