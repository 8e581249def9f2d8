# The ingest function, under the runtime that it is deployed on: its types, its tests against a stand-in for S3 and
# against SeaweedFS, and its package.

CHECKS += ingest

INGEST_CODE := functions/ingest
# What it needs to run, and what it needs besides to be developed.
INGEST_RUNS := $(INGEST_CODE)/node_modules/run.stamp
INGEST_READY := $(INGEST_CODE)/node_modules/ready.stamp
INGEST_STAGE := build/ingest
WITH_NODE := environments/node/with-node.sh
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
NODE_TEST := node --test --test-concurrency=1 --test-timeout=120000

.PHONY: ingest ingest-measure

ingest: $(INGEST_READY) $(EMULATORS_READY) ## the streaming upload function: types and tests (gets Node.js)
	@$(WITH_NODE) node $(INGEST_CODE)/node_modules/typescript/bin/tsc -p $(INGEST_CODE)
	@$(WITH_NODE) $(NODE_TEST) '$(INGEST_CODE)/test/*.test.js'
	@$(WITH_NODE) node $(INGEST_CODE)/test/support/with-seaweedfs.js .venv-emulators/bin/weed \
		$(NODE_TEST) $(addprefix $(INGEST_CODE)/test/,permissions.test.js patch.test.js put.test.js stores.test.js clients.test.js server.test.js)
	@$(WITH_NODE) node $(INGEST_CODE)/test/support/with-seaweedfs.js .venv-emulators/bin/weed \
		$(NODE_TEST) $(INGEST_CODE)/test/killed-store.test.js

ingest-measure: $(INGEST_READY) $(EMULATORS_READY) ## what a streamed upload of 700 MB takes, in time and memory
	@$(WITH_NODE) node $(INGEST_CODE)/test/support/with-seaweedfs.js .venv-emulators/bin/weed node $(INGEST_CODE)/test/measure.js 700
	@$(WITH_NODE) node $(INGEST_CODE)/test/measure.js 700 8

$(INGEST_READY): $(INGEST_CODE)/package.json $(INGEST_CODE)/package-lock.json $(UV_READY)
	@cd $(INGEST_CODE) && ../../$(WITH_NODE) $(NPM_CI)
	@touch $(INGEST_RUNS) $@

$(INGEST_RUNS): $(INGEST_CODE)/package.json $(INGEST_CODE)/package-lock.json $(UV_READY)
	@cd $(INGEST_CODE) && ../../$(WITH_NODE) $(NPM_CI) --omit=dev || { \
		echo 'Node.js or the packages of $(INGEST_CODE) cannot be had; INGEST=off does without them' >&2; exit 1; }
	@touch $@

# Tried before it counts as made: what the package lacks, the function would lack.
build/ingest.zip: $(wildcard $(INGEST_CODE)/*.js) $(INGEST_CODE)/build.py $(INGEST_CODE)/package.json $(INGEST_CODE)/package-lock.json $(INGEST_READY)
	@rm -rf $(INGEST_STAGE) && mkdir -p $(INGEST_STAGE)
	@cp $(INGEST_CODE)/*.js $(INGEST_CODE)/package.json $(INGEST_CODE)/package-lock.json $(INGEST_STAGE)
	@cd $(INGEST_STAGE) && ../../$(WITH_NODE) $(NPM_CI) --omit=dev
	@'$(PYTHON)' $(INGEST_CODE)/build.py $(INGEST_STAGE) $@
	@rm -rf $(INGEST_STAGE) && '$(PYTHON)' -m zipfile -e $@ $(INGEST_STAGE)
	@INGEST_ENTRY='$(CURDIR)/$(INGEST_STAGE)/index.js' $(WITH_NODE) $(NODE_TEST) $(INGEST_CODE)/test/put.test.js >/dev/null
	@rm -rf $(INGEST_STAGE) && du -h $@
