# The edge functions in Debian's njs, which is nearer to CloudFront's engine than the one of the local cloud: what it
# does not take, CloudFront may not take either.

CHECKS += edge

.PHONY: edge

edge: $(DEV_READY) ## the edge functions in another JavaScript engine (installs njs)
	@make/packages.sh njs
	@.venv/bin/pytest tests/edge_njs
