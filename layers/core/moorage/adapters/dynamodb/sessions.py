"""Upload sessions in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, Write, delete, put, update
from moorage.domain.blobs import DEFAULT_STORE, BlobLink, Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUploadUnknown, ChunkOutOfOrder, WriteConflict
from moorage.domain.names import Repository
from moorage.domain.sessions import Announcement, Chunk, SessionState, UploadSession

OPEN = "#state = :open"
EXPIRED = "#state = :expired"
OPEN_OR_EXPIRED = f"{OPEN} OR {EXPIRED}"
EXPIRED_OR_CLOSED = f"{EXPIRED} OR #state = :closed"
OPEN_AT = "#state = :open AND #received = :received AND size(#chunks) = :count"

# Expired sessions are removed by the sweeper, with what they stored; DynamoDB removes what is left.
_KEPT = timedelta(days=7)
_ID_MAX = 128


class DynamoSessions:
    """The port ``Sessions``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create_session(self, session: UploadSession) -> None:
        """Store a session; this very one may be there."""
        made = _row(session)
        try:
            self._table.write(put(made, ABSENT))
        except ConditionFailed as failed:
            # The answer to this very write may have been lost, and the write repeated on the way.
            if failed.rows[0] != made:
                raise WriteConflict("an upload of that id exists") from None

    def find_session(self, repository: Repository, session_id: str) -> UploadSession | None:
        """The session, whatever its state."""
        if len(session_id) > _ID_MAX or not session_id.isascii():
            return None  # None of ours, and perhaps no key that DynamoDB takes.
        found = self._table.get(keys.session(repository, session_id))
        return _session(found) if found else None

    def append_chunk(self, session: UploadSession, chunk: Chunk) -> UploadSession:
        """Add a chunk to the state that the caller saw."""
        appending = update(
            keys.session(session.repository, session.id),
            "SET #chunks = list_append(#chunks, :chunk) ADD #received :size",
            OPEN_AT,
            chunk=_chunks([chunk]),
            size=chunk.size,
            open=str(SessionState.OPEN),
            received=session.offset,
            count=len(session.chunks),
        )
        try:
            self._table.write(appending)
        except ConditionFailed as failed:
            standing = failed.rows[0]
            now = _session(standing) if standing else None
            if now is None or now.state is not SessionState.OPEN:
                raise BlobUploadUnknown("the upload has ended") from None
            # The answer to this very write may have been lost, and the write repeated on the way.
            if now.chunks != (*session.chunks, chunk):
                raise ChunkOutOfOrder(
                    f"the next byte of this upload is {now.offset}", offset=now.offset
                ) from None
            return now
        return replace(session, chunks=(*session.chunks, chunk))

    def delete_session(self, session: UploadSession) -> bool:
        """Remove an open session."""
        key = keys.session(session.repository, session.id)
        return self._holds(delete(key, OPEN, open=str(SessionState.OPEN)))

    def fail_session(self, session: UploadSession, reason: str) -> bool:
        """Let an open session end as failed; it leaves the index, for nothing of it is left."""
        failing = update(
            keys.session(session.repository, session.id),
            "SET #state = :failed, #failure = :reason REMOVE #gsi1pk, #gsi1sk",
            OPEN,
            failed=str(SessionState.FAILED),
            open=str(SessionState.OPEN),
            reason=reason,
        )
        return self._holds(failing)

    def expired_sessions(self, now: datetime, limit: int) -> Sequence[tuple[Repository, str]]:
        """Sessions whose time is over: one query for each shard of the index."""
        places = [
            place
            for shard in keys.SESSION_SHARDS
            for place in self._table.query_index(keys.sessions_until(shard, now), limit)
        ]
        return [keys.indexed_session(place) for place in sorted(places)[:limit]]

    def expire_session(self, session: UploadSession) -> bool:
        """Let an open session end as expired; one that is expired already stays so."""
        expiring = update(
            keys.session(session.repository, session.id),
            "SET #state = :expired",
            OPEN_OR_EXPIRED,
            expired=str(SessionState.EXPIRED),
            open=str(SessionState.OPEN),
        )
        return self._holds(expiring)

    def remove_ended_session(self, session: UploadSession) -> None:
        """Remove an expired or closed session."""
        key = keys.session(session.repository, session.id)
        expired, closed = str(SessionState.EXPIRED), str(SessionState.CLOSED)
        self._holds(delete(key, EXPIRED_OR_CLOSED, expired=expired, closed=closed))

    def _holds(self, write: Write) -> bool:
        """Write; whether the condition held."""
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def _announced(found: Row) -> Announcement:
    return Announcement(
        digest=Digest.parse(found["digest"]),
        size=found["size"],
        part_size=found.get("part_size"),
        upload_id=found.get("upload_id"),
    )


def _announcement(announced: Announcement) -> dict[str, Any]:
    attributes = {
        "digest": str(announced.digest),
        "size": announced.size,
        "part_size": announced.part_size,
        "upload_id": announced.upload_id,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def closing_write(session: UploadSession, link: BlobLink) -> Write:
    """Close an open session, as part of a transaction; it leaves the index, unless there is something of it
    to be swept.
    """
    leaving = "" if session.leaves_behind(link.key) else " REMOVE #gsi1pk, #gsi1sk"
    return update(
        keys.session(session.repository, session.id),
        f"SET #state = :closed, #digest = :digest{leaving}",
        OPEN,
        closed=str(SessionState.CLOSED),
        open=str(SessionState.OPEN),
        digest=str(link.digest),
    )


def _chunks(chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
    return [{"key": chunk.key, "size": chunk.size} for chunk in chunks]


def _row(session: UploadSession) -> Row:
    name = session.repository
    attributes = {
        "id": session.id,
        "org": name.org,
        "image": name.image,
        "repository_id": session.repository_id,
        "principal": session.principal,
        "created": session.created.isoformat(),
        "expires": session.expires.isoformat(),
        "algorithm": str(session.algorithm),
        "way": str(session.way),
        "store": session.store,
        "state": str(session.state),
        "chunks": _chunks(session.chunks),
        "received": session.offset,
        "digest": str(session.digest) if session.digest else None,
        "announced": _announcement(session.announced) if session.announced else None,
        "failure": session.failure,
        "ttl": int((session.expires + _KEPT).timestamp()),
    }
    expiry = keys.session_expiry(name, session.id, session.expires)
    return row(keys.session(name, session.id), "session", attributes, expiry)


def _session(found: Row) -> UploadSession:
    return UploadSession(
        id=found["id"],
        repository=Repository(found["org"], found["image"]),
        repository_id=found["repository_id"],
        principal=found["principal"],
        created=datetime.fromisoformat(found["created"]),
        expires=datetime.fromisoformat(found["expires"]),
        algorithm=Algorithm(found["algorithm"]),
        way=Way(found["way"]),
        store=found.get("store", DEFAULT_STORE),
        state=SessionState(found["state"]),
        chunks=tuple(Chunk(chunk["key"], chunk["size"]) for chunk in found["chunks"]),
        digest=Digest.parse(found["digest"]) if "digest" in found else None,
        announced=_announced(found["announced"]) if "announced" in found else None,
        failure=found.get("failure"),
    )
