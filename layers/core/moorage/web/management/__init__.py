"""The management API: organisations, principals, policies and images over HTTP."""
