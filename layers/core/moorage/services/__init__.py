"""The registry's use cases, over ports: they know no AWS and no HTTP."""
