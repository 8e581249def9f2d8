"""Every port in memory, for tests: what the real adapters promise, without AWS."""

from __future__ import annotations

from moorage.adapters.memory.accounts import MemoryAccounts
from moorage.adapters.memory.blobs import MemoryBlobs
from moorage.adapters.memory.images import MemoryImages
from moorage.adapters.memory.jobs import MemoryJobs
from moorage.adapters.memory.manifests import MemoryManifests
from moorage.adapters.memory.removal import MemoryRepositoryRemoval
from moorage.adapters.memory.resources import MemoryResources
from moorage.adapters.memory.signing import MemorySigningKeySource, MemoryVerificationKeys
from moorage.adapters.memory.storage import MemoryStorage
from moorage.adapters.memory.stores import MemoryStores

__all__ = [
    "MemoryAccounts",
    "MemoryBlobs",
    "MemoryImages",
    "MemoryJobs",
    "MemoryManifests",
    "MemoryRepositoryRemoval",
    "MemoryResources",
    "MemorySigningKeySource",
    "MemoryStorage",
    "MemoryStores",
    "MemoryTable",
    "MemoryVerificationKeys",
]


class MemoryTable(MemoryRepositoryRemoval, MemoryImages, MemoryAccounts, MemoryVerificationKeys, MemoryJobs):
    """All that the table holds: organisations with their resources and keys, repositories with their content,
    verification keys, jobs.
    """
