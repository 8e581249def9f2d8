"""Stored objects, and the links that make an object a blob of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moorage.domain.digests import Digest
from moorage.domain.names import Repository

DEFAULT_STORE = "default"


class Way(StrEnum):
    """How the bytes of an object came in: the first part of its key."""

    API = "api"


class ObjectState(StrEnum):
    """Whether an object may be linked; only the collector takes it out of ``live``."""

    LIVE = "live"
    CONDEMNED = "condemned"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes in a store, written once and never moved."""

    key: str
    size: int
    sha256: str
    """Of the whole content, in hexadecimal."""
    created: datetime
    store: str = DEFAULT_STORE
    state: ObjectState = ObjectState.LIVE


@dataclass(frozen=True, slots=True)
class BlobLink:
    """That a repository holds a blob, and where its bytes are."""

    repository: Repository
    digest: Digest
    key: str
    size: int
    created: datetime
    store: str = DEFAULT_STORE


def object_prefix(way: Way, repository_id: str, digest: Digest) -> str:
    """Below which a repository's objects for a digest lie: one LIST finds them all.

    The digest's first byte comes early so that load spreads over the store's partitions.
    """
    return f"{way}/{digest.encoded[:2]}/{repository_id}/{digest.encoded}/"


def object_key(way: Way, repository_id: str, digest: Digest, session_id: str) -> str:
    """The key of the object that an upload session stores."""
    return object_prefix(way, repository_id, digest) + session_id


def session_of(key: str) -> str:
    """The upload session that an object's key names."""
    return key.rpartition("/")[2]
