# What each client says in a small push and a small pull, recorded to be replayed by `make test` without the clients.

.PHONY: golden

golden: $(DEV_READY) $(EMULATORS_READY) $(GO_CLIENTS) ## record anew what the clients say (as root; CLIENT=docker for one)
	@make/packages.sh docker.io containerd podman buildah skopeo
	@$(WITH_CLIENTS) tests.clients.golden $(CLIENT)
