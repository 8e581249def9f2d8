"""How a stored object becomes a blob of a repository, by one rule.

An object is linked only when the store's own SHA-256 of it equals the digest, or every byte of it was hashed
here; and only for the open upload session that stored it, in the repository of that session.

The order of the writes is what makes a crash harmless and a race visible: object row, REF row, strong read
of the object row (it must be live), then link and session in one transaction that checks the REF again.
"""

from __future__ import annotations

from moorage.domain.blobs import BlobLink, ObjectState, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadUnknown, ReferenceGone, WriteConflict
from moorage.domain.names import Repository
from moorage.domain.sessions import UploadSession
from moorage.ports import Blobs, Clock

_ATTEMPTS = 3


class Linking:
    """Adds to the blobs of repositories."""

    def __init__(self, blobs: Blobs, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    def link(
        self, repository: Repository, digest: Digest, key: str, *, closing: UploadSession | None = None
    ) -> BlobLink | None:
        """Link a recorded object into a repository and close the session; None if the object is not live.

        Raises:
            BlobUploadUnknown: the session was closed or cancelled meanwhile; nothing was linked.
            WriteConflict: the blob is being deleted again and again at the same time.
        """
        # Asked before, so that no reference is left at an object that is condemned already.
        return self._link(repository, digest, key, closing) if self._live(key) else None

    def link_shared(self, repository: Repository, digest: Digest, key: str) -> BlobLink | None:
        """Link a recorded object that the organisation is to know from now on as its own for this content;
        None if the object is not live.

        Raises:
            WriteConflict: see ``link``.
        """
        stored = self._live(key)
        if stored is None:
            return None
        # First, so that nobody finds the link without it who comes after a crash. The row alone gives nobody
        # anything: what it leads to is linked only for who may have the bytes.
        link = BlobLink(repository, digest, key, stored.size, self._clock(), stored.store)
        self._blobs.put_organisation_blob(repository.org, link)
        return self._link(repository, digest, key, None)

    def link_known(self, session: UploadSession, digest: Digest) -> BlobLink | None:
        """Link the object under which the organisation already has this content, and close the session; None
        if there is none. The caller has proved that whoever uploads it has all the bytes, too.

        Raises:
            BlobUploadUnknown, WriteConflict: see ``link``.
        """
        key = self._blobs.find_organisation_blob(session.repository.org, digest)
        return None if key is None else self.link(session.repository, digest, key, closing=session)

    def link_stored(self, session: UploadSession, digest: Digest, stored: StoredObject) -> BlobLink:
        """Link what a session has stored, whose content is known to have ``digest``, and close the session.

        Raises:
            BlobUploadUnknown: the session was closed or cancelled meanwhile, or its object is condemned.
        """
        self._blobs.add_object(stored)
        link = self._link(session.repository, digest, stored.key, session)
        if link is None:
            raise BlobUploadUnknown("the upload has expired; begin it again")
        self._blobs.put_organisation_blob(session.repository.org, link)
        return link

    def _link(
        self, repository: Repository, digest: Digest, key: str, closing: UploadSession | None
    ) -> BlobLink | None:
        for _ in range(_ATTEMPTS):
            self._blobs.add_reference(key, repository, digest)
            # Asked after, because only from now on does the reference keep it from being condemned.
            stored = self._live(key)
            if stored is None:
                return None
            link = BlobLink(repository, digest, stored.key, stored.size, self._clock(), stored.store)
            try:
                self._blobs.put_link(link, closing=closing)
            except ReferenceGone:
                continue
            return link
        raise WriteConflict("the blob is being deleted at the same time; try again")

    def _live(self, key: str) -> StoredObject | None:
        stored = self._blobs.find_object(key)
        return stored if stored is not None and stored.state is ObjectState.LIVE else None
