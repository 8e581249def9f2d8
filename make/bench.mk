# Figures: what a request, a start, a pull and a push cost, and beside what. Nothing here fails for being slow.

# Parts: warm, start, cloud, push; all when empty. push needs root, 8 GB of disk and some ten minutes.
PART ?=

.PHONY: bench

bench: $(DEV_READY) $(EMULATORS_READY) ## figures into results/bench.json and docs/performance.md (PART=warm)
	@make/packages.sh containerd curl docker-registry skopeo
	@.venv/bin/python -m bench $(PART)
