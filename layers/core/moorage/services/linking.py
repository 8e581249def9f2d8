"""How a stored object becomes a blob of a repository, by one rule.

An object is linked only when the store's own SHA-256 of it equals the digest, or every byte of it was hashed
here; and only for the open upload session that stored it, in the repository of that session.

The order of the writes is what makes a crash harmless and a race visible: object row, REF row, strong read
of the object row (it must be live), then link and session in one transaction that checks the REF again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from moorage.domain.blobs import BlobLink, ObjectState, StoredObject, Way, object_prefix, session_of
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUploadUnknown, ReferenceGone, WriteConflict
from moorage.domain.names import Repository
from moorage.domain.sessions import SessionState, UploadSession
from moorage.ports import Blobs, Clock, ObjectHead, Repositories, RepositoryRecord, Sessions, Storage

# The ways whose objects can be stored while their session is still open.
SETTLED_WAYS = (Way.API,)
# A repository stores one object for a digest unless uploads of it raced.
_CANDIDATES = 20
_HASHED_IN_A_REQUEST = 64 * 1024 * 1024
_ATTEMPTS = 3
# Each costs a LIST, and they share the time of one request. An honest client has uploaded what it names.
_SETTLED_AT_ONCE = 50

_log = logging.getLogger("moorage.linking")


class Linking:
    """Finds the blobs of repositories and adds to them."""

    def __init__(
        self,
        blobs: Blobs,
        sessions: Sessions,
        repositories: Repositories,
        storage: Storage,
        clock: Clock,
    ) -> None:
        self._blobs = blobs
        self._sessions = sessions
        self._repositories = repositories
        self._storage = storage
        self._clock = clock

    def find(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """The link of a blob: one read on a hit; on a miss, what an open session has stored is settled."""
        return self._blobs.find_link(repository, digest) or self.settle(repository, digest)

    def find_all(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """The links of those of ``digests`` that the repository holds; misses are settled."""
        links = dict(self._blobs.find_links(repository, digests)) if digests else {}
        missing = [digest for digest in digests if digest not in links]
        record = self._repositories.find_repository(repository) if missing else None
        if record is not None:
            for digest in missing[:_SETTLED_AT_ONCE]:
                if link := self._settle(record, digest):
                    links[digest] = link
        return links

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

    def settle(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Link an object that an open session of this repository has stored for ``digest``, if there is one.

        A session that was closed is never settled: a blob that was deleted stays deleted, although its
        object lies there until the collector comes.
        """
        record = self._repositories.find_repository(repository)
        return None if record is None else self._settle(record, digest)

    def _settle(self, record: RepositoryRecord, digest: Digest) -> BlobLink | None:
        for way in SETTLED_WAYS:
            prefix = object_prefix(way, record.id, digest)
            for key in self._storage.list_keys(prefix, _CANDIDATES):
                session = self._sessions.find_session(record.repository, session_of(key))
                if session is None or session.state is not SessionState.OPEN:
                    continue
                if link := self._settle_object(session, digest, key):
                    return link
        return None

    def _live(self, key: str) -> StoredObject | None:
        stored = self._blobs.find_object(key)
        return stored if stored is not None and stored.state is ObjectState.LIVE else None

    def _settle_object(self, session: UploadSession, digest: Digest, key: str) -> BlobLink | None:
        head = self._storage.head(key)
        if head is None:
            return None
        sha256 = self.prove(key, head, digest)
        if sha256 is None:
            return None
        stored = StoredObject(key, head.size, sha256, self._clock())
        try:
            return self.link_stored(session, digest, stored)
        except BlobUploadUnknown:
            # Whoever closed the session in between has either linked the blob or given it up.
            return self._blobs.find_link(session.repository, digest)

    def prove(self, key: str, head: ObjectHead, digest: Digest) -> str | None:
        """SHA-256 of the object if its content has ``digest``; None if not, or if that cannot be shown here.

        What has no checksum and is too long to be hashed in a request counts as absent: the client sends it
        again, where waiting would be for nobody.
        """
        if digest.algorithm is Algorithm.SHA256 and head.sha256 is not None:
            return head.sha256 if head.sha256 == digest.encoded else None
        if head.size > _HASHED_IN_A_REQUEST:
            _log.warning("stored object cannot be verified in a request", extra={"size": head.size})
            return None
        return digest.prove(self._storage.read(key) or ())
