# Figures: what a request, a start, a pull, a push, a copy, a decision and a list cost, and beside what. Nothing here fails for being slow.

# Parts: warm, start, cloud, edge, push, stream, cli, copies, decisions, images; all when empty. push, stream, cli and
# copies need root, 8 GB of disk and some ten minutes each.
PART ?=

.PHONY: bench

# The last is INGEST_RUNS, which is not defined yet where this is read.
bench: $(DEV_READY) $(EMULATORS_READY) functions/ingest/node_modules/run.stamp ## figures into results/bench.json and docs/performance.md (PART=warm)
	@make/packages.sh containerd curl docker-registry docker.io skopeo
	@.venv/bin/python -m bench $(PART)
