"""How a stored object becomes a blob of a repository, by one rule.

An object is linked only when the store's own SHA-256 of it equals the digest, or every byte of it was hashed
here; and only for the open upload session that stored it, in the repository of that session.

The order of the writes is what makes a crash harmless and a race visible: object row, REF row, strong read
of the object row (it must be live), then link and session in one transaction that checks the REF again.
"""

from __future__ import annotations

from typing import NamedTuple

from moorage.domain.blobs import BlobLink, ObjectState, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadUnknown, ReferenceGone, WriteConflict
from moorage.domain.names import Repository
from moorage.domain.sessions import UploadSession
from moorage.ports import Blobs, Clock, RepositoryRecord

_ATTEMPTS = 3


class Linking:
    """Adds to the blobs of repositories."""

    def __init__(self, blobs: Blobs, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    def link(self, into: RepositoryRecord, digest: Digest, key: str) -> BlobLink | None:
        """Link a recorded object into a repository; None if the object is not live, or in another store.

        Raises:
            NameUnknown: the repository is gone; nothing was linked.
            WriteConflict: the blob is being deleted again and again at the same time.
        """
        return self._link_live(_Place.of(into), digest, key)

    def link_shared(self, into: RepositoryRecord, digest: Digest, key: str) -> BlobLink | None:
        """Link a recorded object that the organisation is to know from now on as its own for this content;
        None if the object is not live, or in another store.

        Raises:
            NameUnknown, WriteConflict: see ``link``.
        """
        place = _Place.of(into)
        stored = self._live(place, key)
        if stored is None:
            return None
        # First, so that nobody finds the link without it who comes after a crash. The row alone gives nobody
        # anything: what it leads to is linked only for who may have the bytes.
        link = BlobLink(place.repository, digest, key, stored.size, self._clock(), stored.store)
        self._blobs.put_organisation_blob(place.repository.org, link)
        return self._link(place, digest, key)

    def link_known(self, session: UploadSession, digest: Digest) -> BlobLink | None:
        """Link the object under which the organisation already has this content, and close the session; None
        if there is none. The caller has proved that whoever uploads it has all the bytes, too.

        Raises:
            BlobUploadUnknown: the session was closed or cancelled meanwhile; nothing was linked.
            WriteConflict: see ``link``.
        """
        key = self._blobs.find_organisation_blob(session.repository.org, digest)
        return None if key is None else self._link_live(_Place.of_upload(session), digest, key)

    def link_stored(self, session: UploadSession, digest: Digest, stored: StoredObject) -> BlobLink:
        """Link what a session has stored, whose content is known to have ``digest``, and close the session.

        Raises:
            BlobUploadUnknown: the session was closed or cancelled meanwhile, or its object is condemned.
        """
        self._blobs.add_object(stored)
        link = self._link(_Place.of_upload(session), digest, stored.key)
        if link is None:
            raise BlobUploadUnknown("the upload has expired; begin it again")
        self._blobs.put_organisation_blob(session.repository.org, link)
        return link

    def _link_live(self, place: _Place, digest: Digest, key: str) -> BlobLink | None:
        # Asked before, so that no reference is left at an object that is condemned already.
        return self._link(place, digest, key) if self._live(place, key) else None

    def _link(self, place: _Place, digest: Digest, key: str) -> BlobLink | None:
        for _ in range(_ATTEMPTS):
            self._blobs.add_reference(key, place.repository, digest)
            # Asked after, because only from now on does the reference keep it from being condemned.
            stored = self._live(place, key)
            if stored is None:
                return None
            link = BlobLink(place.repository, digest, stored.key, stored.size, self._clock(), stored.store)
            try:
                self._blobs.put_link(link, repository_id=place.repository_id, closing=place.closing)
            except ReferenceGone:
                continue
            return link
        raise WriteConflict("the blob is being deleted at the same time; try again")

    def _live(self, place: _Place, key: str) -> StoredObject | None:
        """The object, if it may be linked. What the organisation of another time has stored elsewhere, under
        the same name, may not.
        """
        stored = self._blobs.find_object(key)
        if stored is None or stored.state is not ObjectState.LIVE or stored.store != place.store:
            return None
        return stored


class _Place(NamedTuple):
    """The repository in which an object is linked, the store that it lives in, and the session to close."""

    repository: Repository
    repository_id: str
    store: str
    closing: UploadSession | None = None

    @classmethod
    def of(cls, into: RepositoryRecord) -> _Place:
        return cls(into.repository, into.id, into.store)

    @classmethod
    def of_upload(cls, session: UploadSession) -> _Place:
        return cls(session.repository, session.repository_id, session.store, session)
