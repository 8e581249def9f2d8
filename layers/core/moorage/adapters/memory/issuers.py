"""Issuers in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moorage.domain.errors import InvalidInput, Unavailable
from moorage.domain.jwks import parse_jwks
from moorage.ports.issuers import IssuerKeys


class MemoryIssuers:
    """The port ``Issuers``, and how a test publishes a key set, or takes an issuer away."""

    def __init__(self) -> None:
        self._published: dict[str, tuple[Any, timedelta | None]] = {}

    def publish(self, issuer: str, jwks: Mapping[str, Any], max_age: timedelta | None = None) -> None:
        """Let an issuer have these keys from now on."""
        self._published[issuer] = jwks, max_age

    def withdraw(self, issuer: str) -> None:
        """Let an issuer not be reached any more."""
        self._published.pop(issuer, None)

    def fetch_keys(self, issuer: str) -> IssuerKeys:
        """Its keys as they are now."""
        if issuer not in self._published:
            raise Unavailable(f"the keys of {issuer} cannot be fetched: it cannot be reached")
        jwks, max_age = self._published[issuer]
        try:
            return IssuerKeys(parse_jwks(jwks), max_age)
        except InvalidInput as error:
            raise Unavailable(f"the keys of {issuer} cannot be fetched: {error.message}") from error
