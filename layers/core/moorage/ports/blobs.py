"""Blobs of repositories, and the uploads that bring them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.sessions import Chunk, UploadSession


class Blobs(Protocol):
    """Object rows, references (REF rows) and the links of repositories."""

    def find_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """One strong read."""

    def find_links(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """Those of ``digests`` that the repository holds."""

    def add_object(self, stored: StoredObject) -> None:
        """Record a stored object, unless its row is there already (which stays as it is)."""

    def add_copy(self, stored: StoredObject, org: str, digest: Digest, *, instead_of: str | None) -> bool:
        """Record a stored object and remember that the organisation stores a digest under it, if that is
        still stored under the key ``instead_of``, or nowhere for None; whether it was. Both is written or
        nothing. An object whose row is there already stays as it is, and counts as recorded.
        """

    def find_object(self, key: str) -> StoredObject | None:
        """The row of an object, whatever its state; strongly consistent."""

    def remove_object(self, key: str) -> None:
        """Remove the row of an object that was never linked; its references stay."""

    def add_reference(self, key: str, repository: Repository, digest: Digest) -> None:
        """Write the REF row: this repository links that object. Comes before the link; it goes with it."""

    def references(self, key: str, limit: int) -> Sequence[tuple[Repository, Digest]]:
        """Up to ``limit`` of the repositories that link an object."""

    def put_link(self, link: BlobLink, *, repository_id: str, closing: UploadSession | None) -> None:
        """Write the link and, in the same transaction, check that its REF row stands and that the repository
        is still the one with that id, and close the upload session that brought it (recording the link's
        digest there).

        Raises:
            ReferenceGone: the REF row is gone, because the link was removed at the same time.
            WriteConflict: too many others are changing the same rows.
            NameUnknown: the repository is gone; one of the same name that was made anew shares nothing with
                it. The REF row goes if no link has it. With a session it is that which is unknown:
            BlobUploadUnknown: the session is not open any more, or its repository is gone. Nothing was
                written in any case.
        """

    def remove_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Remove the link and its REF row in one transaction; what it was, or None if it was not there."""

    def find_organisation_blob(self, org: str, digest: Digest) -> str | None:
        """The key of the object under which an organisation stores a digest."""

    def put_organisation_blob(self, org: str, link: BlobLink) -> None:
        """Remember the object under which an organisation stores a digest."""


class Sessions(Protocol):
    """Upload sessions."""

    def create_session(self, session: UploadSession) -> None:
        """Store a new, open session.

        Raises:
            WriteConflict: another one of its id is there. This very one may be: storing it again is harmless.
        """

    def find_session(self, repository: Repository, session_id: str) -> UploadSession | None:
        """The session of this repository, open or closed."""

    def append_chunk(self, session: UploadSession, chunk: Chunk) -> UploadSession:
        """Add a chunk to exactly the state that ``session`` shows; the new state.

        Raises:
            ChunkOutOfOrder: somebody else appended first; ``offset`` is where the upload stands now.
            BlobUploadUnknown: the session is closed or gone.

        """

    def delete_session(self, session: UploadSession) -> bool:
        """Remove an open session; whether it was there."""

    def fail_session(self, session: UploadSession, reason: str) -> bool:
        """Let an open session end as failed; whether it was open."""

    def expired_sessions(self, now: datetime, limit: int) -> Sequence[tuple[Repository, str]]:
        """Up to ``limit`` sessions whose time was over before ``now`` and that may have left something
        behind, the oldest first, by repository and id. Eventually consistent: one that has just ended may
        still be named.
        """

    def expire_session(self, session: UploadSession) -> bool:
        """Let an open session end as expired, so that nothing can be linked by it any more; whether it is
        expired now. It stays among ``expired_sessions`` until it is removed.
        """

    def remove_ended_session(self, session: UploadSession) -> None:
        """Remove a session that is expired or closed; another one stays."""
