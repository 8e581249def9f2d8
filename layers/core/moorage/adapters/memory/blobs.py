"""Objects, references, links and upload sessions in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from moorage.adapters.memory.manifests import MemoryManifests
from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.errors import (
    BlobUploadUnknown,
    ChunkOutOfOrder,
    NameUnknown,
    ReferenceGone,
    WriteConflict,
)
from moorage.domain.names import Repository
from moorage.domain.sessions import Chunk, SessionState, UploadSession


class MemoryBlobs(MemoryManifests):
    """The ports ``Blobs`` and ``Sessions``: one class, for a link closes the session that brought it; and it
    is written only as long as the session's repository is there.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._blobs_lock = threading.RLock()
        self._objects: dict[str, StoredObject] = {}
        self._references: set[tuple[str, Repository, Digest]] = set()
        self._links: dict[tuple[Repository, Digest], BlobLink] = {}
        self._organisation_blobs: dict[tuple[str, Digest], str] = {}
        self._sessions: dict[tuple[Repository, str], UploadSession] = {}
        self._to_be_swept: set[tuple[Repository, str]] = set()

    def find_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """The link, or None."""
        return self._links.get((repository, digest))

    def find_links(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """Those that exist."""
        with self._blobs_lock:
            return {
                digest: self._links[repository, digest]
                for digest in digests
                if (repository, digest) in self._links
            }

    def add_object(self, stored: StoredObject) -> None:
        """Record an object once."""
        with self._blobs_lock:
            self._objects.setdefault(stored.key, stored)

    def add_copy(self, stored: StoredObject, org: str, digest: Digest, *, instead_of: str | None) -> bool:
        """Record an object as that of an organisation, unless somebody else was quicker."""
        with self._blobs_lock:
            if stored.key in self._objects:
                return True
            if self._organisation_blobs.get((org, digest)) != instead_of:
                return False
            self._objects[stored.key] = stored
            self._organisation_blobs[org, digest] = stored.key
            return True

    def find_object(self, key: str) -> StoredObject | None:
        """The object's row."""
        return self._objects.get(key)

    def replace_object(self, stored: StoredObject) -> None:
        """For tests: what only the collector does, to change an object's state."""
        with self._blobs_lock:
            self._objects[stored.key] = stored

    def remove_object(self, key: str) -> None:
        """Remove an object's row."""
        with self._blobs_lock:
            self._objects.pop(key, None)

    def add_reference(self, key: str, repository: Repository, digest: Digest) -> None:
        """Write a REF."""
        with self._blobs_lock:
            self._references.add((key, repository, digest))

    def references(self, key: str, limit: int) -> Sequence[tuple[Repository, Digest]]:
        """Who links an object."""
        with self._blobs_lock:
            found = sorted(
                (name, digest) for object_key, name, digest in self._references if object_key == key
            )
            return found[: max(limit, 0)]

    def put_link(self, link: BlobLink, *, repository_id: str, closing: UploadSession | None) -> None:
        """Write a link and close its session."""
        with self._manifests_lock, self._blobs_lock:
            if (link.key, link.repository, link.digest) not in self._references:
                raise ReferenceGone("the blob was deleted at the same time")
            stands = self._is_repository(link.repository, repository_id)
            if closing:
                where = closing.repository, closing.id
                session = self._sessions.get(where)
                if session is None or session.state is not SessionState.OPEN or not stands:
                    raise BlobUploadUnknown("the upload has ended")
                self._sessions[where] = replace(session, state=SessionState.CLOSED, digest=link.digest)
                if session.leaves_behind(link.key):
                    self._to_be_swept.add(where)
            elif not stands:
                there = self._links.get((link.repository, link.digest))
                if there is None or there.key != link.key:
                    self._references.discard((link.key, link.repository, link.digest))
                raise NameUnknown("there is no such repository")
            standing = self._links.get((link.repository, link.digest))
            if standing and standing.key != link.key:
                self._references.discard((standing.key, link.repository, link.digest))
            self._links[link.repository, link.digest] = link

    def remove_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Remove a link and its REF."""
        with self._blobs_lock:
            link = self._links.pop((repository, digest), None)
            if link:
                self._references.discard((link.key, repository, digest))
            return link

    def find_organisation_blob(self, org: str, digest: Digest) -> str | None:
        """The object's key."""
        return self._organisation_blobs.get((org, digest))

    def put_organisation_blob(self, org: str, link: BlobLink) -> None:
        """Remember the object's key."""
        with self._blobs_lock:
            self._organisation_blobs[org, link.digest] = link.key

    def create_session(self, session: UploadSession) -> None:
        """Store a session."""
        with self._blobs_lock:
            if self._sessions.setdefault((session.repository, session.id), session) != session:
                raise WriteConflict("an upload of that id exists")

    def find_session(self, repository: Repository, session_id: str) -> UploadSession | None:
        """The session, whatever its state."""
        return self._sessions.get((repository, session_id))

    def append_chunk(self, session: UploadSession, chunk: Chunk) -> UploadSession:
        """Add a chunk to the state that the caller saw."""
        where = session.repository, session.id
        with self._blobs_lock:
            standing = self._sessions.get(where)
            if standing is None or standing.state is not SessionState.OPEN:
                raise BlobUploadUnknown("the upload has ended")
            if standing.chunks != session.chunks:
                raise ChunkOutOfOrder(
                    f"the next byte of this upload is {standing.offset}", offset=standing.offset
                )
            self._sessions[where] = replace(standing, chunks=(*standing.chunks, chunk))
            return self._sessions[where]

    def delete_session(self, session: UploadSession) -> bool:
        """Remove an open session."""
        return self._end(session, None)

    def fail_session(self, session: UploadSession, reason: str) -> bool:
        """Let an open session end as failed."""
        return self._end(session, SessionState.FAILED, reason)

    def expired_sessions(self, now: datetime, limit: int) -> Sequence[tuple[Repository, str]]:
        """Sessions whose time is over."""
        with self._blobs_lock:
            unfinished = (
                session
                for session in self._sessions.values()
                if session.expires < now
                and (
                    session.state in (SessionState.OPEN, SessionState.EXPIRED)
                    or (session.repository, session.id) in self._to_be_swept
                )
            )
            oldest = sorted(unfinished, key=lambda session: (session.expires, session.repository, session.id))
            return [(session.repository, session.id) for session in oldest[:limit]]

    def expire_session(self, session: UploadSession) -> bool:
        """Let an open session end as expired."""
        with self._blobs_lock:
            standing = self._sessions.get((session.repository, session.id))
            return self._end(session, SessionState.EXPIRED) or (
                standing is not None and standing.state is SessionState.EXPIRED
            )

    def remove_ended_session(self, session: UploadSession) -> None:
        """Remove an expired or closed session."""
        where = session.repository, session.id
        with self._blobs_lock:
            standing = self._sessions.get(where)
            if standing and standing.state in (SessionState.EXPIRED, SessionState.CLOSED):
                del self._sessions[where]
                self._to_be_swept.discard(where)

    def _end(self, session: UploadSession, state: SessionState | None, failure: str | None = None) -> bool:
        """Give an open session its last state, or none; whether it was open."""
        where = session.repository, session.id
        with self._blobs_lock:
            standing = self._sessions.get(where)
            if standing is None or standing.state is not SessionState.OPEN:
                return False
            if state is None:
                del self._sessions[where]
            else:
                self._sessions[where] = replace(standing, state=state, failure=failure)
            return True
