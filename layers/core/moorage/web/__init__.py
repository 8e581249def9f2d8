"""The HTTP faces: the registry protocol and the token service."""
