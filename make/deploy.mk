# Building, checking and deploying the template. SAM lives in an environment of its own: beside the emulators it
# would silently fall back to an older version.

SAM_READY := .venv-sam/ready.stamp

# The parameters of the template that a build depends on: layers are built for one Python and one processor.
RUNTIME ?= python3.13
ARCHITECTURE ?= arm64

# Telemetry off; a stray endpoint must not send a deployment to an emulator.
SAM := env -u AWS_ENDPOINT_URL SAM_CLI_TELEMETRY=0 UV='$(CURDIR)/$(UV)' RUNTIME='$(RUNTIME)' ARCHITECTURE='$(ARCHITECTURE)' \
	.venv-sam/bin/sam
SAM_PARAMETERS = --parameter-overrides Runtime='$(RUNTIME)' Architecture='$(ARCHITECTURE)'

CHECKS += validate deploy-local

.PHONY: validate build deploy deploy-local

$(SAM_READY): environments/sam/pyproject.toml environments/sam/uv.lock $(UV_READY)
	@UV_PROJECT_ENVIRONMENT='$(CURDIR)/.venv-sam' $(UV) sync --quiet --frozen --project environments/sam
	@touch $@

validate: $(SAM_READY) ## the template, by SAM's and CloudFormation's own rules
	@AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint
	@.venv-sam/bin/cfn-lint template.yaml
	@.venv-sam/bin/cfn-lint template.yaml --parameters SecondStore=second Ingest=on IngestCodeBucket=bucket IngestCodeKey=key IngestCodeVersion=version

build: $(SAM_READY) ## what would be deployed, into .aws-sam (RUNTIME=python3.13, ARCHITECTURE=arm64)
	@'$(RUNTIME)' -c '' 2>/dev/null || { echo 'building needs $(RUNTIME) on the PATH; RUNTIME= names another one' >&2; exit 1; }
	@$(SAM) build $(SAM_PARAMETERS)
	@du -sh .aws-sam/build/*Layer/python .aws-sam/build/*Function

deploy: build $(LOCAL_READY) ## the stack, to the AWS account of the environment (PARAMETERS='Pulls=edge ...')
	@$(SAM) deploy $(SAM_PARAMETERS) $(PARAMETERS)

# LOCAL_RUNTIME=python3.13 builds for, and runs the functions with, another Python than the project's own.
deploy-local: $(SAM_READY) $(DEV_READY) $(EMULATORS_READY) $(ORAS) ## sam build and deploy to an emulator, then a push, a copy and a pull
	@command -v skopeo >/dev/null || make/packages.sh skopeo
	@UV='$(CURDIR)/$(UV)' ORAS='$(CURDIR)/$(ORAS)' LOCAL_RUNTIME='$(LOCAL_RUNTIME)' .venv/bin/pytest --capture=no --durations=5 --timeout=900 tests/deploy
