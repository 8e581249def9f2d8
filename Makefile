# Everything here works on a fresh machine with Python 3.11 or later and make: each target installs what it needs,
# once, below .local and into .venv and .venv-emulators.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PORT ?= 5000
STATE ?= .local/state
# Takes layers of any length, for which it needs Node.js; without CloudFront nothing would reach it.
INGEST ?= $(if $(filter off,$(FRONT_DOOR)),off,on)

UV_VERSION := 0.13.9
UV := .local/uv/bin/uv
# The interpreter that was given, not one that uv finds or downloads.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(CURDIR)/.local/uv/bin/python
# Whatever the shell says: the tests start hundreds of Python processes, and each would compile all it imports.
export PYTHONDONTWRITEBYTECODE :=

# Stamps stand inside what they vouch for, so that a deleted environment is made again.
UV_READY := .local/uv/$(UV_VERSION).stamp
LOCAL_READY := .venv/local.stamp
DEV_READY := .venv/dev.stamp
EMULATORS_READY := .venv-emulators/ready.stamp

# What `make check` runs, in this order; the files in make/ add theirs.
CHECKS := lint types test
# Most tests of the local cloud wait, so that more of them than there are processors run side by side; the
# tests of one file share what they have started.
SIDE_BY_SIDE ?= 3
# These need foreign programs and have targets of their own.
T ?= tests --ignore=tests/clients --ignore=tests/conformance --ignore=tests/deploy --ignore=tests/edge_njs

include $(wildcard make/*.mk)

.PHONY: help run fmt lint types test check

help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 24

run: $(LOCAL_READY) $(EMULATORS_READY) $(if $(filter on,$(INGEST)),$(INGEST_RUNS)) ## the whole registry on this machine (PORT=5000, STATE=.local/state)
	@PORT='$(PORT)' STATE='$(STATE)' DOMAIN='$(DOMAIN)' FRONT_DOOR='$(FRONT_DOOR)' PULLS='$(PULLS)' INGEST='$(INGEST)' \
		exec .venv/bin/python -m local

fmt: $(DEV_READY) ## rewrite the code in the project's format, the edge functions into the template, and the command's reference
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .
	.venv/bin/python make/edge.py
	.venv/bin/python make/cli_reference.py

lint: $(DEV_READY) ## style and known mistakes
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python make/edge.py --check
	.venv/bin/python make/cli_reference.py --check

types: $(DEV_READY) ## strict type check
	.venv/bin/mypy

test: $(DEV_READY) $(EMULATORS_READY) $(INGEST_RUNS) ## tests without foreign programs (T=tests/unit runs a part)
	.venv/bin/pytest -n $(SIDE_BY_SIDE) --dist loadfile -m 'not nightly' $(T)

check: ## all that CI does, and how long each part takes
	@set -e; for part in $(CHECKS); do \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$part; \
		echo "check: $$part took $$(( $$(date +%s) - start )) s"; \
	done

$(UV_READY):
	@make/uv.sh '$(PYTHON)' .local/uv '$(UV_VERSION)'
	@touch $@

# --inexact: what another target has installed into the same environment stays.
$(LOCAL_READY): pyproject.toml uv.lock $(UV_READY)
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --group local
	@touch $@

$(DEV_READY): pyproject.toml uv.lock $(UV_READY)
	@$(UV) sync --quiet --frozen --inexact --group local --group dev
	@touch $@

$(EMULATORS_READY): environments/emulators/pyproject.toml environments/emulators/uv.lock $(UV_READY)
	@UV_PROJECT_ENVIRONMENT='$(CURDIR)/.venv-emulators' $(UV) sync --quiet --frozen --project environments/emulators
	@touch $@
