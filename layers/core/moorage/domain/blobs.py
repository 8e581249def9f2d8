"""Stored objects, and the links that make an object a blob of a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moorage.domain.digests import Algorithm, Digest
from moorage.domain.names import Repository

DEFAULT_STORE = "default"
"""The store whose bucket is the stack's own; rows that name no store mean this one."""


class Way(StrEnum):
    """How the bytes of an object came in: the first part of its key."""

    API = "api"
    DIRECT = "direct"
    """One PUT of the whole blob to the front door, which lets it through to the store."""
    PRESIGNED = "presigned"
    """One presigned PUT, or presigned parts."""
    STREAM = "stream"
    """One PATCH of the whole blob to ``ingest``, which hashes it while it stores it."""


COPIES = "copy"
"""The first part of the keys of objects that were copied from another store: no upload brings them."""

NAMED_BY_DIGEST = (Way.API, Way.DIRECT, Way.PRESIGNED)
"""The ways whose objects have the digest in their keys: of a streamed one it is known only at its end."""


def reaches(way: Way, store: str) -> bool:
    """Whether uploads come by that way into that store: the front door leads to the stack's own bucket."""
    return way is not Way.DIRECT or store == DEFAULT_STORE


def copy_key(repository_id: str, digest: Digest, job_id: str) -> str:
    """The key of the object that a job stores for a repository that had no such blob in its store."""
    return f"{COPIES}/{digest.encoded[:2]}/{repository_id}/{digest.encoded}/{job_id}"


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


@dataclass(frozen=True, slots=True)
class Origin:
    """What an object's key says: how its bytes came in, as what, into which repository, by which session."""

    way: Way
    repository_id: str
    digest: Digest
    session_id: str

    @classmethod
    def parse(cls, key: str) -> Origin | None:
        """The origin of the object under ``key``; None when no upload session stores objects under such
        keys.
        """
        found = _KEY.fullmatch(key)
        if found is None or not found["encoded"].startswith(found["shard"]):
            return None
        # The key holds no algorithm; their hashes differ in length.
        algorithm = next(a for a in Algorithm if a.encoded_length == len(found["encoded"]))
        return cls(
            Way(found["way"]), found["repository"], Digest(algorithm, found["encoded"]), found["session"]
        )


_KEY = re.compile(
    rf"(?P<way>{'|'.join(NAMED_BY_DIGEST)})/(?P<shard>[0-9a-f]{{2}})/(?P<repository>[0-9a-f]{{32}})"
    r"/(?P<encoded>[0-9a-f]{64}|[0-9a-f]{128})/(?P<session>[0-9a-f]{32})",
    re.ASCII,
)
