"""Streamed uploads: what ``ingest`` has stored becomes part of an upload by the receipt that it signed."""

from __future__ import annotations

from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUploadUnknown, ChunkOutOfOrder, DigestMismatch
from moorage.domain.names import Repository
from moorage.domain.ranges import ChunkRange
from moorage.domain.receipts import Receipt
from moorage.domain.sessions import Chunk, SessionState, UploadSession
from moorage.ports import Clock, Sessions
from moorage.services.linking import Linking
from moorage.services.upload_keys import HeldUploadKeys
from moorage.services.uploads import Uploads


class StreamedUploads:
    """Continues and finishes uploads whose beginning ``ingest`` has received."""

    def __init__(
        self, uploads: Uploads, sessions: Sessions, linking: Linking, keys: HeldUploadKeys, clock: Clock
    ) -> None:
        self._uploads = uploads
        self._sessions = sessions
        self._linking = linking
        self._keys = keys
        self._clock = clock

    def find(self, repository: Repository, principal: str, receipt: Receipt) -> UploadSession:
        """The open session of a receipt, with what the receipt is of as its first chunk.

        Raises:
            BlobUploadUnknown: the receipt is not ours, of another session, repository or principal, or its
                session has ended: all alike.
            ChunkOutOfOrder: the session has begun with something else.
        """
        session = self._session(repository, principal, receipt)
        if session.state is not SessionState.OPEN:
            raise _unknown()
        return self._adopt(session, receipt)

    def finish(
        self,
        repository: Repository,
        principal: str,
        receipt: Receipt,
        digest: Digest,
        body: bytes,
        content_range: ChunkRange | None,
    ) -> BlobLink:
        """Link what the receipt is of, with ``body`` behind it. Repeating a finished one gives the same
        answer.

        Raises:
            BlobUploadUnknown: see ``find``.
            DigestMismatch: the content is another; the session stays open.
            ChunkOutOfOrder, SizeInvalid, BodyTooLarge, BlobTooLarge: see ``Uploads.finish``.
        """
        session = self._session(repository, principal, receipt)
        if session.state is SessionState.OPEN:
            if receipt.is_whole and digest.algorithm is Algorithm.SHA256 and not (body or session.chunks):
                return self._link(session, receipt, digest)
            self._adopt(session, receipt)
        return self._uploads.finish(repository, principal, session.id, digest, body, content_range)

    def _link(self, session: UploadSession, receipt: Receipt, digest: Digest) -> BlobLink:
        """Link the object as it is: every byte of it was hashed while it was stored."""
        if receipt.sha256 != digest.encoded:
            raise DigestMismatch("the content does not have that digest")
        stored = StoredObject(receipt.key, receipt.size, receipt.sha256, self._clock(), session.store)
        try:
            # An organisation stores a digest once; what was stored just now is left to the sweeper.
            return self._linking.link_known(session, digest) or self._linking.link_stored(
                session, digest, stored
            )
        except BlobUploadUnknown:
            # Another request has finished this very upload in the meantime, or it was cancelled.
            return self._uploads.finish(session.repository, session.principal, session.id, digest, b"", None)

    def _session(self, repository: Repository, principal: str, receipt: Receipt) -> UploadSession:
        session = self._sessions.find_session(repository, receipt.session_id)
        now = self._clock()
        if (
            session is None
            or session.principal != principal
            or session.repository_id != receipt.repository_id
            or session.state not in (SessionState.OPEN, SessionState.CLOSED)
            or min(session.expires, receipt.expires) <= now
        ):
            raise _unknown()
        # Asked last: a key that is not held costs a read, and anybody can invent ids of keys.
        key = self._keys.find(receipt.kid, now)
        if key is None or not receipt.is_signed(key):
            raise _unknown()
        return session

    def _adopt(self, session: UploadSession, receipt: Receipt) -> UploadSession:
        """Make what was received the first chunk of the session, unless it is that already."""
        first = Chunk(receipt.key, receipt.size)
        if session.chunks[:1] == (first,) or not receipt.size:
            return session
        if session.chunks:
            raise ChunkOutOfOrder(f"the next byte of this upload is {session.offset}", offset=session.offset)
        return self._sessions.append_chunk(session, first)


def _unknown() -> BlobUploadUnknown:
    return BlobUploadUnknown("the upload does not exist or has ended; begin it again")
