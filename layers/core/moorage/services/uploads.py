"""Uploads whose bytes come through the API: in one request, in chunks, or streamed.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence

from moorage.domain.blobs import BlobLink, StoredObject, Way, object_key, reaches
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BeingVerified,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestMismatch,
    Unavailable,
)
from moorage.domain.names import Repository
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import SESSION_LIFETIME, Chunk, SessionState, UploadSession, require_body_size
from moorage.ports import Blobs, Clock, ObjectHead, ObjectPlace, Sessions, Stores
from moorage.services.hashing import contents
from moorage.services.linking import Linking
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import HASHED_IN_A_REQUEST, Settling

CHUNK_PREFIX = "chunks/"

_log = logging.getLogger("moorage.uploads")


class Uploads:
    """Opens, continues, finishes and cancels upload sessions."""

    def __init__(
        self,
        sessions: Sessions,
        blobs: Blobs,
        stores: Stores,
        linking: Linking,
        settling: Settling,
        opening: RepositoryOpening,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._blobs = blobs
        self._stores = stores
        self._linking = linking
        self._settling = settling
        self._opening = opening
        self._clock = clock

    def start(
        self,
        repository: Repository,
        principal: str,
        algorithm: Algorithm = Algorithm.SHA256,
        ways: Sequence[Way] = (Way.API,),
    ) -> UploadSession:
        """A new session, bound to ``repository`` and ``principal``, for ``SESSION_LIFETIME``: for the first
        of ``ways`` that leads into the repository's store. ``Way.API`` leads into any.
        """
        record, now = self._opening.open(repository), self._clock()
        session = UploadSession(
            id=secrets.token_hex(16),
            repository=repository,
            repository_id=record.id,
            principal=principal,
            created=now,
            expires=now + SESSION_LIFETIME,
            algorithm=algorithm,
            way=next(way for way in ways if reaches(way, record.store)),
            store=record.store,
        )
        self._sessions.create_session(session)
        return session

    def find(self, repository: Repository, principal: str, session_id: str) -> UploadSession:
        """The caller's own open session.

        Raises:
            BlobUploadUnknown: it does not exist, has ended, or is another principal's: all alike.
        """
        session = self._find(repository, principal, session_id)
        if session.state is not SessionState.OPEN:
            raise _unknown()
        return session

    def append(self, session: UploadSession, body: bytes, content_range: ChunkRange | None) -> UploadSession:
        """Store the next bytes; the session as it then stands.

        Raises:
            ChunkOutOfOrder, SizeInvalid, BodyTooLarge, BlobTooLarge, BlobUploadInvalid: see
                ``UploadSession.accepts``; nothing was stored.
            BlobUploadInvalid: also when the session was opened for another way.
        """
        _require_own_way(session)
        session.accepts(len(body), content_range)
        if not body:
            return session
        # A random name: of two clients that send the same chunk only one is recorded, and the loser's
        # bytes must not replace the winner's.
        key = f"{chunk_prefix(session)}{session.offset:012d}-{secrets.token_hex(8)}"
        self._stores[session.store].put(key, body)
        return self._sessions.append_chunk(session, Chunk(key, len(body)))

    def finish(
        self,
        repository: Repository,
        principal: str,
        session_id: str,
        digest: Digest,
        body: bytes,
        content_range: ChunkRange | None,
    ) -> BlobLink:
        """Take the last bytes, verify the whole against ``digest`` and link it. Repeating a finished one
        gives the same answer.

        Raises:
            BlobUploadUnknown: see ``find``.
            DigestMismatch: the content is another; the session stays as it was.
            ChunkOutOfOrder, SizeInvalid, BodyTooLarge, BlobTooLarge, BlobUploadInvalid: see ``append``.
        """
        session = self._find(repository, principal, session_id)
        if session.state is SessionState.CLOSED:
            return self._finished(session, digest)
        _require_own_way(session)
        session.accepts(len(body), content_range)
        link = self._commit(session, digest, body)
        self._discard(session)
        return link

    def put_whole(self, repository: Repository, principal: str, digest: Digest, body: bytes) -> BlobLink:
        """Store a blob that came with the first request.

        Raises:
            DigestMismatch, BodyTooLarge: nothing was stored, and no session is left.
        """
        require_body_size(len(body))
        if not digest.matches(body):
            raise _mismatch()
        session = self.start(repository, principal, digest.algorithm)
        return self._commit(session, digest, body)

    def cancel(self, repository: Repository, principal: str, session_id: str) -> None:
        """End an open session and drop what it has received.

        Raises:
            BlobUploadUnknown: see ``find``.
        """
        session = self.find(repository, principal, session_id)
        # Where the objects of a streamed upload lie is known by its row alone: the sweeper needs it.
        end = self._sessions.delete_session
        if session.way is Way.STREAM:
            end = self._sessions.expire_session
        if not end(session):
            raise _unknown()
        self._discard(session)

    def _find(self, repository: Repository, principal: str, session_id: str) -> UploadSession:
        session = self._sessions.find_session(repository, session_id)
        if (
            session is None
            # Presigned uploads have an address of their own.
            or session.announced is not None
            or session.principal != principal
            or session.expires <= self._clock()
        ):
            raise _unknown()
        return session

    def _finished(self, session: UploadSession, digest: Digest) -> BlobLink:
        """The answer to a commit that was made before: its first answer may have been lost."""
        link = self._blobs.find_link(session.repository, digest) if session.digest == digest else None
        if link is None:
            raise _unknown()
        return link

    def _commit(self, session: UploadSession, digest: Digest, body: bytes) -> BlobLink:
        try:
            return self._store(session, digest, body)
        except BlobUploadUnknown:
            # Another request may have finished this very upload in the meantime, or settled what it stored.
            return self._finished(self._find(session.repository, session.principal, session.id), digest)

    def _store(self, session: UploadSession, digest: Digest, body: bytes) -> BlobLink:
        if self._blobs.find_organisation_blob(session.repository.org, digest) is not None:
            self._hash(session, digest, body)
            if known := self._linking.link_known(session, digest):
                return known
        size = session.offset + len(body)
        if digest.algorithm is Algorithm.SHA256 and session.chunks:
            # The store computes the same hash while it receives: one pass over the chunks is enough.
            sha256 = digest.encoded
        else:
            sha256 = self._hash(session, digest, body)
        storage = self._stores[session.store]
        key = object_key(Way.API, session.repository_id, digest, session.id)
        if not storage.put_once(key, self._content(session, body), size, sha256):
            # An attempt that died has stored it: under the same digest, but perhaps not of the same bytes.
            self._hash(session, digest, body)
            head = storage.head(key)
            place = ObjectPlace(session.store, key)
            if head is None or (head.sha256 or self._proved(place, head, digest)) != sha256:
                raise Unavailable("the blob could not be stored; try again")
        stored = StoredObject(key, size, sha256, self._clock(), session.store)
        return self._linking.link_stored(session, digest, stored)

    def _proved(self, place: ObjectPlace, head: ObjectHead, digest: Digest) -> str | None:
        try:
            return self._settling.prove(place, head, digest, up_to=HASHED_IN_A_REQUEST)
        except (BeingVerified, DigestMismatch):
            return None

    def _hash(self, session: UploadSession, digest: Digest, body: bytes) -> str:
        """SHA-256 of all that the session has received and ``body``, if that content has ``digest``."""
        sha256 = digest.prove(self._content(session, body))
        if sha256 is None:
            raise _mismatch()
        return sha256

    def _content(self, session: UploadSession, body: bytes) -> Iterator[bytes]:
        storage = self._stores[session.store]
        for content in contents(storage, [chunk.key for chunk in session.chunks]):
            if content is None:
                # Only the request that closed or cancelled the session removes its chunks.
                raise _unknown()
            yield content
        if body:
            yield body

    def _discard(self, session: UploadSession) -> None:
        """Remove chunks that nobody needs any more. What is left, the bucket's own rule removes later, or the
        sweeper what was streamed: the request has done what it was asked for.
        """
        keys = [chunk.key for chunk in session.chunks if chunk.key.startswith(CHUNK_PREFIX)]
        try:
            if keys:
                self._stores[session.store].delete(keys)
        except Unavailable as failure:
            _log.warning("chunks were left behind", extra={"chunks": len(keys)}, exc_info=failure)


def chunk_prefix(session: UploadSession) -> str:
    """Below which the chunks of a session lie."""
    return f"{CHUNK_PREFIX}{session.repository_id}/{session.id}/"


def _require_own_way(session: UploadSession) -> None:
    # What is streamed may go on in chunks, here.
    if session.way not in (Way.API, Way.STREAM):
        raise BlobUploadInvalid("this upload goes to the address that was given when it was begun")


def _unknown() -> BlobUploadUnknown:
    return BlobUploadUnknown("the upload does not exist or has ended; begin it again")


def _mismatch() -> DigestMismatch:
    return DigestMismatch("the content does not have that digest")
