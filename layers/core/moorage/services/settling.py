"""Settling: what an upload has stored, and nobody has linked yet, becomes a blob when somebody asks for it.

A function may have died between storing and linking, and a blob that went straight to the store has passed no
function at all. Whoever comes first settles it: a request that misses the link, or the finalizer with the
store's event. All of them run this code; any order and any number of times leads to the same end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from moorage.domain.blobs import (
    NAMED_BY_DIGEST,
    BlobLink,
    Origin,
    StoredObject,
    Way,
    object_prefix,
    reaches,
)
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BeingVerified, BlobUploadUnknown, DigestMismatch
from moorage.domain.names import Repository
from moorage.domain.sessions import SessionState, UploadSession
from moorage.ports import (
    Blobs,
    Clock,
    ObjectHead,
    ObjectPlace,
    Repositories,
    RepositoryRecord,
    Sessions,
    Stores,
)
from moorage.services.hashing import content_of
from moorage.services.linking import Linking

HASHED_IN_A_REQUEST = 64 * 1024 * 1024
"""Objects up to this size are hashed by the request that needs them; larger ones are the finalizer's."""

# A repository stores one object for a digest unless uploads of it raced.
_CANDIDATES = 20
# Each costs a LIST for each way, and they share the time of one request. More layers than any image has; an
# honest client has uploaded what it names.
_SETTLED_AT_ONCE = 128
_SIDE_BY_SIDE = 8


class Settling:
    """Finds the blobs of repositories, settling those that are stored and not linked.

    ``ways`` are those by which an object can be stored while its session is still open.
    """

    def __init__(
        self,
        blobs: Blobs,
        sessions: Sessions,
        repositories: Repositories,
        stores: Stores,
        linking: Linking,
        clock: Clock,
        ways: Sequence[Way] = NAMED_BY_DIGEST,
    ) -> None:
        self._blobs = blobs
        self._sessions = sessions
        self._repositories = repositories
        self._stores = stores
        self._linking = linking
        self._clock = clock
        self._ways = ways

    def find(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """The link of a blob: one read on a hit; on a miss, what an open session has stored is settled.

        Raises:
            BeingVerified: something is stored that only the finalizer can prove.
        """
        return self._blobs.find_link(repository, digest) or self.settle(repository, digest)

    def find_all(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """The links of those of ``digests`` that the repository holds; misses are settled, several at a time.

        Raises:
            BeingVerified: see ``find``.
        """
        links = dict(self._blobs.find_links(repository, digests)) if digests else {}
        missing = [digest for digest in digests if digest not in links][:_SETTLED_AT_ONCE]
        record = self._repositories.find_repository(repository) if missing else None
        if record is None:
            return links
        if len(missing) == 1:
            settled = [self._settle(record, missing[0])]
        else:
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
                settled = list(pool.map(lambda digest: self._settle(record, digest), missing))
        return links | {link.digest: link for link in settled if link}

    def settle(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Link an object that an open session of this repository has stored for ``digest``, if there is one.

        A session that was closed is never settled: a blob that was deleted stays deleted, although its
        object lies there until the collector comes.

        Raises:
            BeingVerified: see ``find``.
        """
        record = self._repositories.find_repository(repository)
        return None if record is None else self._settle(record, digest)

    def settle_object(
        self,
        session: UploadSession,
        digest: Digest,
        key: str,
        *,
        head: ObjectHead | None = None,
        up_to: int | None = HASHED_IN_A_REQUEST,
    ) -> BlobLink | None:
        """Link what ``session`` has stored under ``key``; None if nothing is there. What the store has no
        proof of is hashed if it has at most ``up_to`` bytes, or whatever its size if that is None. ``head``
        is what the store says of it, where that is known.

        Raises:
            DigestMismatch: the content is another, or not as long as announced, or stored as encoded.
            BeingVerified: it is longer than that.
        """
        head = head or self._stores[session.store].head(key)
        if head is None:
            return None
        _require_as_announced(session, head)
        sha256 = self.prove(ObjectPlace(session.store, key), head, digest, up_to=up_to)
        try:
            # An organisation stores a digest once. What was stored just now is then nobody's, and is removed
            # when the store's event about it comes.
            return self._linking.link_known(session, digest) or self._linking.link_stored(
                session, digest, StoredObject(key, head.size, sha256, self._clock(), session.store)
            )
        except BlobUploadUnknown:
            # Whoever closed the session in between has either linked the blob or given it up.
            return self._blobs.find_link(session.repository, digest)

    def prove(self, place: ObjectPlace, head: ObjectHead, digest: Digest, *, up_to: int | None) -> str:
        """SHA-256 of an object whose content has ``digest``.

        Raises:
            DigestMismatch: it has not.
            BeingVerified: neither the store's checksum nor a hash of at most ``up_to`` bytes can tell.
        """
        if digest.algorithm is Algorithm.SHA256 and head.sha256 is not None:
            sha256 = head.sha256 if head.sha256 == digest.encoded else None
        elif up_to is not None and head.size > up_to:
            raise BeingVerified("the blob was uploaded and is being verified; try again in a moment")
        else:
            sha256 = digest.prove(content_of(self._stores[place.store], place.key, head.size))
        if sha256 is None:
            raise DigestMismatch("the stored content does not have that digest")
        return sha256

    def _settle(self, record: RepositoryRecord, digest: Digest) -> BlobLink | None:
        unproved: BeingVerified | None = None
        stored = self._stored(record, digest)
        for key in stored:
            session = self._open_session(record.repository, key)
            if session is None:
                continue
            try:
                if link := self.settle_object(session, digest, key):
                    return link
            except DigestMismatch:
                # Not what it is called; the finalizer, or the sweeper, removes it.
                continue
            except BeingVerified as pending:
                unproved = pending
        # Somebody else may have linked it since the link was looked for, and what was stored may be gone with
        # that, where the organisation had the content already.
        if link := self._blobs.find_link(record.repository, digest):
            return link
        if unproved is not None:
            raise unproved
        return None

    def _stored(self, record: RepositoryRecord, digest: Digest) -> list[str]:
        """Keys of the objects that the repository's uploads have stored as ``digest``."""
        storage = self._stores[record.store]
        return [
            key
            for way in self._ways
            if reaches(way, record.store)
            for key in storage.list_keys(object_prefix(way, record.id, digest), _CANDIDATES)
        ]

    def _open_session(self, repository: Repository, key: str) -> UploadSession | None:
        """The session that has stored an object, if it is one of the repository's, of that way, and open."""
        origin = Origin.parse(key)
        session = self._sessions.find_session(repository, origin.session_id) if origin else None
        if session is None or origin is None or not session.vouches_for(origin):
            return None
        return session if session.state is SessionState.OPEN else None


def _require_as_announced(session: UploadSession, head: ObjectHead) -> None:
    """Refuse what needs no hash to be wrong."""
    if session.announced is not None and session.announced.size != head.size:
        raise DigestMismatch("the stored content is not as long as announced")
    if head.encoding is not None:
        # The store would say so with each pull, and clients would unpack what they have to verify.
        raise DigestMismatch("the content was stored with a Content-Encoding, which no blob has")
