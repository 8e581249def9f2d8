# Copies whose workers are killed, until the queue alone brings the next one: that takes two minutes for each.

.PHONY: copies-nightly

copies-nightly: $(DEV_READY) $(EMULATORS_READY) ## copies whose worker is killed at five points, and the queue's own time (four minutes)
	@.venv/bin/pytest --capture=no --durations=5 -m nightly tests/local
