# Everything a person types. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# A server is five processes, and the tests start thirty of them: what is compiled is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run test check bench clean debian-packages
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# GPL-licensed engines (eSpeak NG, Piper) come with the extra `gpl`; they run in processes of their own.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "voicebot needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing voicebot into .venv (once, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpl]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpl,dev]'
	@touch $@

demo: .venv/installed  ## set-up, then one real call from end to end; leaves everything in recordings/demo/
	@$(BIN)/python scripts/demo.py

run: .venv/installed  ## the server, for this machine only; says what to open
	@$(BIN)/voicebot serve --insecure-local --desk-port 8090

check: .venv/installed-dev  ## lint, types, room borders
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

# The live transcript is tested against a real NATS server, the pages in a real Chromium: Debian's packages, which
# `make test` installs where it may (root); elsewhere install them once by hand.
debian-packages:
	@missing=""; \
	  { command -v nats-server || test -x /usr/sbin/nats-server; } >/dev/null || missing="nats-server"; \
	  command -v chromium >/dev/null || missing="$$missing chromium"; \
	  test -z "$$missing" || { \
	    echo "installing $$missing, which the tests need ..."; \
	    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null; } \
	    || { echo "the tests need $$missing: sudo apt-get install $$missing"; exit 1; }

# The checks compute while the tests wait; they are told of when they found something.
test: .venv/installed-dev debian-packages  ## set-up, checks, all tests
	@mkdir -p .pytest_cache; nice -n 10 $(MAKE) --no-print-directory check >.pytest_cache/checks 2>&1 & checks=$$!; \
	  $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	  wait $$checks || { cat .pytest_cache/checks; echo "make check failed: see above"; exit 1; }; \
	  exit $$tests

bench: .venv/installed-dev  ## the figures of docs/benchmarks.md (some minutes)
	@$(BIN)/python -m scripts.bench.all

clean:  ## throws away the environment and build products, keeps data
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
