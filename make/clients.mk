# The suites that run foreign programs against a local cloud: the OCI conformance tool and real clients.

GO_TOOLS := .local/go-tools

# The commit is part of the pseudo-version; later ones change the cases, so a new pin comes with a new baseline.
CONFORMANCE_VERSION := v0.0.0-20260831232431-97274622c111
CONFORMANCE_TOOL := $(GO_TOOLS)/$(CONFORMANCE_VERSION)/conformance

CRANE_VERSION := v0.20.7
CRANE := $(GO_TOOLS)/$(CRANE_VERSION)/crane

$(CONFORMANCE_TOOL):
	tests/clients/install/go-tool.sh github.com/opencontainers/distribution-spec/conformance@$(CONFORMANCE_VERSION) $@

$(CRANE):
	tests/clients/install/go-tool.sh github.com/google/go-containerregistry/cmd/crane@$(CRANE_VERSION) $@

CHECKS += conformance clients

.PHONY: conformance clients

conformance: $(DEV_READY) $(EMULATORS_READY) $(CONFORMANCE_TOOL) ## the OCI conformance tool against the local cloud
	@CONFORMANCE_TOOL='$(CURDIR)/$(CONFORMANCE_TOOL)' .venv/bin/pytest tests/conformance; \
		status=$$?; cat results/conformance/summary.md; exit $$status

# The daemons need root; everything runs as it, so that the results have one owner.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

clients: $(DEV_READY) $(EMULATORS_READY) $(CRANE) ## real clients against the local cloud (as root; installs them)
	@tests/clients/install/packages.sh
	@run() { $(AS_ROOT) env PYTHONDONTWRITEBYTECODE=1 CRANE='$(CURDIR)/$(CRANE)' .venv/bin/python -m "$$@"; }; \
		run pytest -p no:cacheprovider tests/clients; status=$$?; \
		run tests.clients.matrix && exit $$status
