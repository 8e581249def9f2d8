"""Presigned uploads: a client that knows digest and size beforehand stores a blob itself, in one PUT or in
parts, by URLs that are handed to it.

One PUT carries the SHA-256 as a signed header, so that the store takes no other content. Of an object that
came in parts the store has no checksum that proves it, so it is hashed: here if it is small, else by the
finalizer, whom the store's event calls.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from moorage.domain.blobs import BlobLink, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BeingVerified,
    BlobTooLarge,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestMismatch,
    SizeInvalid,
)
from moorage.domain.names import Repository
from moorage.domain.sessions import SESSION_LIFETIME, Announcement, SessionState, UploadSession
from moorage.ports import Blobs, Clock, ObjectStore, PresignedRequest, Sessions, Stores
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import Settling

MAX_SIZE = 20 * 1024**3
"""More cannot be hashed in one invocation with a margin."""
MAX_SINGLE_PUT = 5 * 1024**3
MIN_PART_SIZE, MAX_PART_SIZE = 5 * 1024**2, 5 * 1024**3
DEFAULT_PART_SIZE = 128 * 1024**2
# Their URLs have to fit into one answer.
MAX_PARTS = 1000


class State(StrEnum):
    """Where an upload stands: ``open`` until all is stored, then ``verifying`` until it is proved."""

    OPEN = "open"
    VERIFYING = "verifying"
    LINKED = "linked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PartRequest:
    """A part: how long it is, and where it goes; None when it is stored already."""

    number: int
    size: int
    url: str | None


@dataclass(frozen=True, slots=True)
class PresignedUpload:
    """An upload as its client gets to see it. Only an open one has ``put`` or ``parts``."""

    session: UploadSession
    announced: Announcement
    state: State
    put: PresignedRequest | None = None
    parts: Sequence[PartRequest] = ()
    failure: str | None = None


class PresignedUploads:
    """Begins, resumes, completes and aborts presigned uploads."""

    def __init__(
        self,
        sessions: Sessions,
        blobs: Blobs,
        stores: Stores,
        settling: Settling,
        opening: RepositoryOpening,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._blobs = blobs
        self._stores = stores
        self._settling = settling
        self._opening = opening
        self._clock = clock

    def find_blob(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """The blob, if the repository holds it and nothing has to be uploaded."""
        return self._blobs.find_link(repository, digest)

    def begin(
        self, repository: Repository, principal: str, digest: Digest, size: int, part_size: int | None
    ) -> PresignedUpload:
        """A new upload of ``size`` bytes: in one PUT, or with a ``part_size`` in parts of so many bytes. What
        cannot come in one PUT comes in parts in any case.

        Raises:
            SizeInvalid: a size or part size that no upload can have.
            BlobTooLarge: over 20 GB.
        """
        part_size = _part_size(digest, size, part_size)
        now = self._clock()
        session_id = secrets.token_hex(16)
        record = self._opening.open(repository)
        key = object_key(Way.PRESIGNED, record.id, digest, session_id)
        # Before the session, which names it: should this request die in between, the bucket's own rule ends
        # it.
        upload_id = self._stores[record.store].begin_multipart(key) if part_size else None
        session = UploadSession(
            id=session_id,
            repository=repository,
            repository_id=record.id,
            principal=principal,
            created=now,
            expires=now + SESSION_LIFETIME,
            algorithm=digest.algorithm,
            way=Way.PRESIGNED,
            store=record.store,
            announced=Announcement(digest, size, part_size, upload_id),
        )
        self._sessions.create_session(session)
        return self._shown(session)

    def find(self, repository: Repository, principal: str, session_id: str) -> PresignedUpload:
        """The caller's own upload: its state, and while it is open the URLs of what is missing, made anew.

        Raises:
            BlobUploadUnknown: it does not exist, has expired, or is another principal's: all alike.
        """
        return self._shown(self._find(repository, principal, session_id))

    def complete(self, repository: Repository, principal: str, session_id: str) -> PresignedUpload:
        """Take what was stored for the whole; the upload is then linked, or being verified. Repeating it
        gives the same answer, or a later one.

        Raises:
            BlobUploadUnknown: see ``find``.
            BlobUploadInvalid: something is missing; the message says what.
            SizeInvalid: what was stored is not as long as announced.
            DigestMismatch: it is other content; the upload has failed.
        """
        session = self._find(repository, principal, session_id)
        announced = _announced(session)
        if session.state is SessionState.FAILED:
            raise DigestMismatch(session.failure or "the stored content does not have that digest")
        if session.state is not SessionState.OPEN:
            return self._shown(session)
        key = _key(session)
        if announced.upload_id:
            _join(self._stores[session.store], key, announced)
        return PresignedUpload(session, announced, self._settle(session, announced, key))

    def abort(self, repository: Repository, principal: str, session_id: str) -> None:
        """End an upload; what it has stored goes, at the latest with the store's event about it.

        Raises:
            BlobUploadUnknown: see ``find``; also when it is linked, or has failed.
        """
        session = self._find(repository, principal, session_id)
        announced = _announced(session)
        if not self._sessions.delete_session(session):
            raise _unknown()
        if announced.upload_id:
            self._stores[session.store].abort_multipart(_key(session), announced.upload_id)

    def _find(self, repository: Repository, principal: str, session_id: str) -> UploadSession:
        session = self._sessions.find_session(repository, session_id)
        if (
            session is None
            or session.announced is None
            or session.principal != principal
            or session.state is SessionState.EXPIRED
            or session.expires <= self._clock()
        ):
            raise _unknown()
        return session

    def _shown(self, session: UploadSession) -> PresignedUpload:
        announced = _announced(session)
        if session.state is SessionState.FAILED:
            return PresignedUpload(session, announced, State.FAILED, failure=session.failure)
        if session.state is not SessionState.OPEN:
            return PresignedUpload(session, announced, State.LINKED)
        storage, key = self._stores[session.store], _key(session)
        if announced.upload_id is None or announced.part_size is None:
            put = storage.presign_put(key, announced.size, announced.digest.encoded)
            return PresignedUpload(session, announced, State.OPEN, put=put)
        stored = storage.list_parts(key, announced.upload_id)
        if stored is None:
            # Put together already: by a completion whose answer was lost, or that still hashes.
            return PresignedUpload(session, announced, State.VERIFYING)
        held = {part.number: part.size for part in stored}
        parts = [
            PartRequest(
                number,
                length,
                None
                if held.get(number) == length
                else storage.presign_part(key, announced.upload_id, number, length),
            )
            for number, length in _lengths(announced.size, announced.part_size).items()
        ]
        return PresignedUpload(session, announced, State.OPEN, parts=parts)

    def _settle(self, session: UploadSession, announced: Announcement, key: str) -> State:
        head = self._stores[session.store].head(key)
        if head is None:
            raise BlobUploadInvalid("nothing is stored yet; PUT the content to the URL of this upload first")
        if head.size != announced.size:
            raise SizeInvalid(f"{announced.size} bytes were announced and {head.size} are stored")
        try:
            link = self._settling.settle_object(session, announced.digest, key, head=head)
        except BeingVerified:
            return State.VERIFYING
        except DigestMismatch as mismatch:
            self._sessions.fail_session(session, mismatch.message)
            raise
        if link is None:
            raise _unknown()
        return State.LINKED


def _part_size(digest: Digest, size: int, asked: int | None) -> int | None:
    """The size of parts, or None for one PUT.

    Only of a SHA-256 does the store make sure while it receives; other content has to come in parts, which
    nobody can replace once they are joined.
    """
    if size > MAX_SIZE:
        raise BlobTooLarge(
            f"a presigned upload has at most {MAX_SIZE} bytes; split the layer into smaller ones"
        )
    if size < 0:
        raise SizeInvalid("a blob has no negative size")
    if asked is None:
        if size <= MAX_SINGLE_PUT and digest.algorithm is Algorithm.SHA256:
            return None
        return DEFAULT_PART_SIZE
    if not MIN_PART_SIZE <= asked <= MAX_PART_SIZE:
        raise SizeInvalid(f"parts have between {MIN_PART_SIZE} and {MAX_PART_SIZE} bytes")
    if size > asked * MAX_PARTS:
        raise SizeInvalid(f"an upload has at most {MAX_PARTS} parts; ask for larger ones")
    return asked


def _join(storage: ObjectStore, key: str, announced: Announcement) -> None:
    """Make one object of the parts, unless that has been done."""
    upload_id, part_size = announced.upload_id or "", announced.part_size or announced.size
    stored = storage.list_parts(key, upload_id)
    if stored is None:
        return
    wanted = _lengths(announced.size, part_size)
    held = {part.number: part.size for part in stored}
    missing = [number for number, length in wanted.items() if held.get(number) != length]
    if missing:
        shown = ", ".join(map(str, missing[:10]))
        raise BlobUploadInvalid(
            f"{len(missing)} parts are not stored, or are not as long as they have to be: {shown}",
            detail={"parts": missing},
        )
    if surplus := held.keys() - wanted.keys():
        raise BlobUploadInvalid(f"part {min(surplus)} is none of this upload; abort it and begin again")
    if not storage.complete_multipart(key, upload_id, stored) and storage.head(key) is None:
        raise BlobUploadInvalid("the parts have changed meanwhile; complete the upload again")


def _lengths(size: int, part_size: int) -> dict[int, int]:
    """How long each part is, by its number; empty content is one empty part."""
    starts = range(0, size, part_size) or [0]
    return {number: min(part_size, size - start) for number, start in enumerate(starts, start=1)}


def _announced(session: UploadSession) -> Announcement:
    if session.announced is None:
        raise _unknown()
    return session.announced


def _key(session: UploadSession) -> str:
    return object_key(Way.PRESIGNED, session.repository_id, _announced(session).digest, session.id)


def _unknown() -> BlobUploadUnknown:
    return BlobUploadUnknown("the upload does not exist or has ended; begin it again")
