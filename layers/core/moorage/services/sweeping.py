"""Sweeping: uploads that nobody came back to end, and what they have stored goes.

A session ends first, on the condition that it is still open, so that nothing it has stored can be linked any
more; then its objects go, then its row. Whoever dies in between leaves a session that is found again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from moorage.domain.blobs import Origin, Way, object_key
from moorage.domain.errors import Unavailable
from moorage.domain.names import Repository
from moorage.domain.receipts import stream_prefix
from moorage.domain.sessions import SessionState, UploadSession
from moorage.ports import Clock, Sessions, Stores
from moorage.services.unlinked import UnlinkedObjects
from moorage.services.uploads import chunk_prefix

# A request that began before the session's end may still be at it.
_GRACE = timedelta(minutes=15)
_AT_ONCE = 200
_SHARDS = [f"{number:02x}" for number in range(256)]
_SIDE_BY_SIDE = 16
_MAX_KEYS = 10_000

_log = logging.getLogger("moorage.sweeping")


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has done, or in a dry run would have done."""

    sessions: int = 0
    objects: int = 0
    failed: int = 0
    """Sessions that are left to the next sweep."""

    def __add__(self, other: Swept) -> Swept:
        return Swept(self.sessions + other.sessions, self.objects + other.objects, self.failed + other.failed)


class Sweeping:
    """Ends the sessions whose time is over."""

    def __init__(self, sessions: Sessions, stores: Stores, unlinked: UnlinkedObjects, clock: Clock) -> None:
        self._sessions = sessions
        self._stores = stores
        self._unlinked = unlinked
        self._clock = clock

    def sweep(self, *, dry_run: bool = False, has_time: Callable[[], bool] = lambda: True) -> Swept:
        """End all sessions that have expired, as long as there is time; the oldest first.

        Raises:
            Unavailable: the expired sessions cannot be listed.
        """
        swept, done = Swept(), set[str]()
        while has_time():
            # What has failed, and in a dry run everything, is found again: there must be others behind it.
            found = self._sessions.expired_sessions(self._clock() - _GRACE, _AT_ONCE + len(done))
            fresh = [each for each in found if each[1] not in done]
            if not fresh:
                break
            done |= {session_id for _, session_id in fresh}
            swept += self._sweep(self._still_expired(fresh), dry_run=dry_run, has_time=has_time)
        return swept

    def _still_expired(self, found: Sequence[tuple[Repository, str]]) -> list[UploadSession]:
        """Those that a strong read shows to be there, and of which something may be left: the list may be
        behind.
        """
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            read = list(pool.map(lambda each: self._sessions.find_session(*each), found))
        ending = (SessionState.OPEN, SessionState.EXPIRED, SessionState.CLOSED)
        return [session for session in read if session and session.state in ending]

    def _sweep(
        self, sessions: Sequence[UploadSession], *, dry_run: bool, has_time: Callable[[], bool]
    ) -> Swept:
        swept = Swept()
        by_repository: dict[tuple[str, str], list[UploadSession]] = {}
        for session in sessions:
            by_repository.setdefault((session.store, session.repository_id), []).append(session)
        for (store, repository_id), together in by_repository.items():
            if not has_time():
                break
            try:
                swept += self._sweep_repository(store, repository_id, together, dry_run=dry_run)
            except Unavailable as failure:
                _log.warning("sessions are left to the next sweep", exc_info=failure)
                swept += Swept(failed=len(together))
        return swept

    def _sweep_repository(
        self, store: str, repository_id: str, sessions: Sequence[UploadSession], *, dry_run: bool
    ) -> Swept:
        closed = [session for session in sessions if session.state is SessionState.CLOSED]
        expired = [session for session in sessions if session.state is not SessionState.CLOSED]
        if not dry_run:
            expired = [session for session in expired if self._sessions.expire_session(session)]
        objects = self._stored(store, repository_id, expired)
        # Linked with something else than it had stored: what lies there without a row is nobody's.
        left = self._all_of(closed, self._left_by)
        streamed = [session for session in closed if session.way is Way.STREAM]
        chunks = self._all_of([*expired, *streamed], self._chunks_of)
        ended = [*expired, *closed]
        if dry_run:
            going = [*self._unlinked.never_linked(objects), *self._unlinked.without_row(left), *chunks]
            return Swept(len(ended), len(going))
        self._all_of([*expired, *streamed], self._abort)
        removed = self._unlinked.remove_never_linked(store, objects) + self._unlinked.remove(store, left)
        if chunks:
            self._stores[store].delete(chunks)
        for session in ended:
            self._sessions.remove_ended_session(session)
        return Swept(len(ended), removed + len(chunks))

    def _left_by(self, session: UploadSession) -> Sequence[str]:
        """The keys of what a closed session has stored, the blob that it was closed with among them."""
        found = self._streamed_by(session)
        if session.digest is None:
            return found
        # A streamed upload that went on in chunks ends as one that came through the API.
        way = Way.API if session.way is Way.STREAM else session.way
        key = object_key(way, session.repository_id, session.digest, session.id)
        return [*found, *self._there(session.store, key)]

    def _chunks_of(self, session: UploadSession) -> Sequence[str]:
        return self._stores[session.store].list_keys(chunk_prefix(session), _MAX_KEYS)

    def _streamed_by(self, session: UploadSession) -> Sequence[str]:
        if session.way is not Way.STREAM:
            return ()
        prefix = stream_prefix(session.repository_id, session.id)
        return self._stores[session.store].list_keys(prefix, _MAX_KEYS)

    def _there(self, store: str, key: str) -> Sequence[str]:
        """The key, if an object lies there. By a LIST: who removes objects need not be able to read them."""
        return self._stores[store].list_keys(key, 1)

    def _all_of(
        self, sessions: Sequence[UploadSession], keys_of: Callable[[UploadSession], Sequence[str]]
    ) -> list[str]:
        """What ``keys_of`` finds of each session, several at a time."""
        if not sessions:
            return []
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return [key for keys in pool.map(keys_of, sessions) for key in keys]

    def _stored(self, store: str, repository_id: str, sessions: Sequence[UploadSession]) -> list[str]:
        """The objects that the sessions have stored.

        The key of an object begins with its digest, which is known beforehand only where it was announced: so
        for the others the store is asked for all that the repository has, one digest byte after the other.
        Only streamed objects lie below their session.
        """
        found = [
            key
            for session in sessions
            if session.announced
            for key in self._there(
                store, object_key(session.way, repository_id, session.announced.digest, session.id)
            )
        ]
        found += self._all_of(sessions, self._streamed_by)
        others = {session.id for session in sessions if session.announced is None}
        ways = {
            Way.API if session.way is Way.STREAM else session.way
            for session in sessions
            if session.announced is None
        }
        prefixes = [f"{way}/{shard}/{repository_id}/" for way in sorted(ways) for shard in _SHARDS]
        if prefixes:
            storage = self._stores[store]
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
                listed = pool.map(lambda prefix: storage.list_keys(prefix, _MAX_KEYS), prefixes)
                keys = [key for keys in listed for key in keys]
            found += [key for key in keys if (origin := Origin.parse(key)) and origin.session_id in others]
        return found

    def _abort(self, session: UploadSession) -> Sequence[str]:
        """Give up what the session has left unfinished; its keys."""
        storage, announced = self._stores[session.store], session.announced
        uploads: Sequence[tuple[str, str]] = ()
        if session.way is Way.STREAM:
            prefix = stream_prefix(session.repository_id, session.id)
            uploads = storage.unfinished_uploads(prefix)
        elif announced and announced.upload_id:
            key = object_key(Way.PRESIGNED, session.repository_id, announced.digest, session.id)
            uploads = [(key, announced.upload_id)]
        for key, upload_id in uploads:
            storage.abort_multipart(key, upload_id)
        return [key for key, _ in uploads]
