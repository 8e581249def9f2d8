"""Content that leaves the registry and comes back, which nobody else can read or make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Seal(Protocol):
    """Authenticated encryption. The same content sealed twice may look the same."""

    def close(self, key: bytes, content: bytes, about: Sequence[bytes]) -> bytes:
        """``content`` sealed under a key of 64 bytes, to be opened with the same ``about``."""

    def open(self, key: bytes, sealed: bytes, about: Sequence[bytes]) -> bytes | None:
        """What was sealed; None if it was not, under this key and with this ``about``."""
