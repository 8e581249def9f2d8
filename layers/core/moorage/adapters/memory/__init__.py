"""Every port in memory, for tests: what the real adapters promise, without AWS."""

from __future__ import annotations

from moorage.adapters.memory.accounts import MemoryAccounts
from moorage.adapters.memory.blobs import MemoryBlobs
from moorage.adapters.memory.manifests import MemoryManifests
from moorage.adapters.memory.signing import MemorySigningKeySource, MemoryVerificationKeys
from moorage.adapters.memory.storage import MemoryStorage

__all__ = [
    "MemoryAccounts",
    "MemoryBlobs",
    "MemoryManifests",
    "MemorySigningKeySource",
    "MemoryStorage",
    "MemoryTable",
    "MemoryVerificationKeys",
]


class MemoryTable(MemoryBlobs, MemoryAccounts, MemoryVerificationKeys):
    """All that the table holds: repositories, manifests, blobs, sessions, accounts, verification keys."""
