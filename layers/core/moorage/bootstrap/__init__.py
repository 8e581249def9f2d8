"""Composition roots: the only places that read settings and choose adapters, one for each function."""
