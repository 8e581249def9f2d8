# Figures: what a request, a start and a pull cost, and beside what. Nothing here fails for being slow.

# Parts: warm, start, cloud; all when empty.
PART ?=

.PHONY: bench

bench: $(DEV_READY) $(EMULATORS_READY) ## figures into results/bench.json and docs/performance.md (PART=warm)
	@make/packages.sh curl docker-registry skopeo
	@.venv/bin/python -m bench $(PART)
