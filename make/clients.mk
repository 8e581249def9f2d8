# The suites that run foreign programs against a local cloud: the OCI conformance tool and real clients.

GO_TOOLS := .local/go-tools

# The commit is part of the pseudo-version; later ones change the cases, so a new pin comes with a new baseline.
CONFORMANCE_VERSION := v0.0.0-20260831232431-97274622c111
CONFORMANCE_TOOL := $(GO_TOOLS)/$(CONFORMANCE_VERSION)/conformance

CRANE_VERSION := v0.20.7
CRANE := $(GO_TOOLS)/$(CRANE_VERSION)/crane

$(CONFORMANCE_TOOL):
	tests/clients/install/go-tool.sh github.com/opencontainers/distribution-spec/conformance@$(CONFORMANCE_VERSION) $@

# Their go.mod replaces nothing: `go install` would ignore it.
ORAS_VERSION := v1.3.6
ORAS := $(GO_TOOLS)/$(ORAS_VERSION)/oras

REGCTL_VERSION := v0.11.7
REGCTL := $(GO_TOOLS)/$(REGCTL_VERSION)/regctl

HELM_VERSION := v4.3.1
HELM := $(GO_TOOLS)/$(HELM_VERSION)/helm

$(CRANE):
	tests/clients/install/go-tool.sh github.com/google/go-containerregistry/cmd/crane@$(CRANE_VERSION) $@

$(ORAS):
	tests/clients/install/go-tool.sh oras.land/oras/cmd/oras@$(ORAS_VERSION) $@

$(REGCTL):
	tests/clients/install/go-tool.sh github.com/regclient/regclient/cmd/regctl@$(REGCTL_VERSION) $@

# Six minutes of one core, most of it Kubernetes.
$(HELM):
	tests/clients/install/go-tool.sh helm.sh/helm/v4/cmd/helm@$(HELM_VERSION) $@

# Programs of a newer Debian than most servers have, unpacked and not installed: an engine with containerd's image
# store. Ten seconds, and 300 MB below .local.
NEWER_DEBIAN := .local/debian/trixie
NEWER_READY := $(NEWER_DEBIAN)/usr/sbin/dockerd

$(NEWER_READY):
	tests/clients/install/debian-suite.sh $(notdir $(NEWER_DEBIAN)) $(NEWER_DEBIAN) docker.io docker-cli containerd

golden: $(NEWER_READY)

# What ingest needs to run. It is INGEST_RUNS, which is not defined yet where this is read.
INGEST_PACKAGES := functions/ingest/node_modules/run.stamp

CHECKS += conformance clients

.PHONY: conformance clients clients-nightly

conformance: $(DEV_READY) $(EMULATORS_READY) $(INGEST_PACKAGES) $(CONFORMANCE_TOOL) ## the OCI conformance tool against the local cloud
	@CONFORMANCE_TOOL='$(CURDIR)/$(CONFORMANCE_TOOL)' .venv/bin/pytest tests/conformance; \
		status=$$?; cat results/conformance/summary.md; exit $$status

# The daemons need root; everything runs as it, so that the results have one owner.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

GO_CLIENTS := $(CRANE) $(ORAS) $(REGCTL) $(HELM)
WITH_CLIENTS = $(AS_ROOT) env PYTHONDONTWRITEBYTECODE=1 CRANE='$(CURDIR)/$(CRANE)' ORAS='$(CURDIR)/$(ORAS)' \
	REGCTL='$(CURDIR)/$(REGCTL)' HELM='$(CURDIR)/$(HELM)' NEWER_DEBIAN='$(CURDIR)/$(NEWER_DEBIAN)' \
	.venv/bin/python -m

clients: $(DEV_READY) $(EMULATORS_READY) $(INGEST_PACKAGES) $(GO_CLIENTS) $(NEWER_READY) ## real clients against the local cloud (as root; installs them)
	@make/packages.sh docker.io containerd podman buildah skopeo curl jq
	@start=$$(date +%s); $(WITH_CLIENTS) pytest -p no:cacheprovider -m 'not nightly' tests/clients; status=$$?; \
		$(WITH_CLIENTS) tests.clients.matrix && test $$status = 0; status=$$?; \
		echo "clients: the cases took $$(( $$(date +%s) - start )) s"; exit $$status

clients-nightly: $(DEV_READY) $(EMULATORS_READY) $(INGEST_PACKAGES) $(GO_CLIENTS) $(NEWER_READY) ## layers of 700 MB and 3 GB, with times and memory (as root; 20 GB of disk)
	@make/packages.sh docker.io containerd podman buildah skopeo
	@$(WITH_CLIENTS) pytest -p no:cacheprovider -m nightly tests/clients; status=$$?; \
		cat results/clients-nightly/summary.md; exit $$status
