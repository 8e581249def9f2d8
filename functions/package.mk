# Packages a function with third-party packages of its own, called by `sam build` through the function's Makefile, which
# says which group of pyproject.toml it needs (GROUP), what of that the dependency layer holds (IN_LAYER), and where it is
# (FOLDER). ARTIFACTS_DIR becomes the function's package.

# The same values as the template's parameters: `make build` passes both on.
RUNTIME ?= python3.13
ARCHITECTURE ?= arm64

ROOT := $(abspath $(FOLDER)../..)
UV ?= $(or $(wildcard $(ROOT)/.local/uv/bin/uv),uv)
REQUIREMENTS = $(ARTIFACTS_DIR)/requirements.txt
# Wheels that run on every Amazon Linux that Lambda has: the oldest C library counts.
PLATFORM = $(patsubst arm64,aarch64,$(ARCHITECTURE))-manylinux2014

.PHONY: package
package:
	@cp '$(FOLDER)handler.py' '$(ARTIFACTS_DIR)'
	@'$(UV)' export --project '$(ROOT)' --quiet --frozen --only-group $(GROUP) $(IN_LAYER:%=--no-emit-package %) \
		--format requirements-txt --output-file '$(REQUIREMENTS)' >/dev/null
	@'$(UV)' pip install --quiet --no-deps --only-binary :all: --require-hashes --link-mode copy \
		--python '$(RUNTIME)' --python-version '$(RUNTIME:python%=%)' --python-platform '$(PLATFORM)' \
		--target '$(ARTIFACTS_DIR)' --requirements '$(REQUIREMENTS)'
	@rm -rf '$(REQUIREMENTS)' '$(ARTIFACTS_DIR)/bin' '$(ARTIFACTS_DIR)/.lock'
	@'$(RUNTIME)' -m compileall -q -s '$(ARTIFACTS_DIR)' -p /var/task --invalidation-mode unchecked-hash '$(ARTIFACTS_DIR)'
	@du -sh '$(ARTIFACTS_DIR)'
