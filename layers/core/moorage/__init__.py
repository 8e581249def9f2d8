"""A private image registry for every organisation, with no server behind it."""

__version__ = "0.1.0"
