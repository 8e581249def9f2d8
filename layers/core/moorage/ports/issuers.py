"""The issuers of workloads' tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from moorage.domain.jwks import PublicJwk


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """The keys that an issuer publishes, and for how long it says they may be kept, if it does."""

    keys: tuple[PublicJwk, ...]
    max_age: timedelta | None = None


class Issuers(Protocol):
    """Where the keys of issuers come from."""

    def fetch_keys(self, issuer: str) -> IssuerKeys:
        """The keys of ``issuer``, fresh from it.

        Raises:
            Unavailable: it cannot be reached, or what it answers is not what an issuer answers. The message
                says which, for whoever has set it up, and nothing about the network.
        """
