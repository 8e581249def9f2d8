"""Finalizing: what the store's event about a new object leads to."""

from __future__ import annotations

import logging
from enum import StrEnum

from moorage.domain.blobs import Origin
from moorage.domain.errors import DigestMismatch
from moorage.domain.sessions import SessionState, UploadSession
from moorage.ports import ObjectPlace, Repositories, Sessions
from moorage.services.settling import Settling
from moorage.services.unlinked import UnlinkedObjects

_log = logging.getLogger("moorage.finalizing")


class Outcome(StrEnum):
    """What became of an object."""

    LINKED = "linked"
    REMOVED = "removed"
    """Nobody vouches for it any more, or the organisation has its content already."""
    MISMATCHED = "mismatched"
    """Its content was another than announced; it was removed, and its session has failed."""
    KEPT = "kept"
    """It is recorded, so that the collector alone may remove it."""
    ABSENT = "absent"
    FOREIGN = "foreign"
    """No upload session stores objects under such a key."""


class Finalizing:
    """Links what was stored, after hashing what the store has no proof of; and removes what nobody can
    link.
    """

    def __init__(
        self, sessions: Sessions, repositories: Repositories, settling: Settling, unlinked: UnlinkedObjects
    ) -> None:
        self._sessions = sessions
        self._repositories = repositories
        self._settling = settling
        self._unlinked = unlinked

    def finalize(self, place: ObjectPlace) -> Outcome:
        """Settle the object at ``place``. May be repeated, and run beside requests that settle the same one.

        Raises:
            Unavailable: a dependency failed; a repetition goes on.
        """
        origin = Origin.parse(place.key)
        if origin is None:
            return Outcome.FOREIGN
        session = self._session(place.store, origin)
        if session is None or session.state is not SessionState.OPEN:
            return self._remove(place)
        try:
            link = self._settling.settle_object(session, origin.digest, place.key, up_to=None)
        except DigestMismatch as mismatch:
            # First the session: from then on nothing that it stores can be linked.
            self._sessions.fail_session(session, mismatch.message)
            _log.warning("uploaded content has another digest", extra={"way": origin.way})
            self._remove(place)
            return Outcome.MISMATCHED
        if link is None or link.key != place.key:
            return self._remove(place) if link else Outcome.ABSENT
        return Outcome.LINKED

    def _session(self, store: str, origin: Origin) -> UploadSession | None:
        """The session that has stored the object there, if it and its repository are still there."""
        record = self._repositories.find_repository_by_id(origin.repository_id)
        session = self._sessions.find_session(record.repository, origin.session_id) if record else None
        if session is None or session.store != store or not session.vouches_for(origin):
            return None
        return session

    def _remove(self, place: ObjectPlace) -> Outcome:
        return Outcome.REMOVED if self._unlinked.remove(place.store, [place.key]) else Outcome.KEPT
