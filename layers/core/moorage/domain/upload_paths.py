"""Signed upload paths: permissions to store one blob, that the front door checks without asking anybody.

    /v2/<name>/blobs/uploads/_direct/<kid>/<expires>/<repository id>/<session>/<mac>
        one PUT
    /v2/<name>/blobs/uploads/_stream/[<store>/]<kid>/<expires>/<repository id>/<session>/<mac>
        one PATCH, or one PUT

A component that begins with ``_`` is no repository name, so such a path is no other endpoint; its characters
survive every client's way of adding a digest to it. The MAC covers the method and the whole path before it,
so also where the blob is stored: the default store is not named, and the front door writes to no other one.

NOTE: a wire format, which ``functions/edge/upload_request.js`` and ``functions/ingest/paths.js`` read: a
change needs a new component in place of ``_direct`` or ``_stream``, or one more, which those have to know
before the first path of it is signed; what does not know it refuses it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.blobs import DEFAULT_STORE, Way
from moorage.domain.sessions import SESSION_LIFETIME, UploadSession

# A client begins to send at once; it may have to wait for a free connection, or be told to try again.
SIGNATURE_LIFETIME = timedelta(hours=2)
# 5 GB at 1 Mbit/s.
LONGEST_UPLOAD = timedelta(hours=12)
assert SIGNATURE_LIFETIME + LONGEST_UPLOAD <= SESSION_LIFETIME  # noqa: S101 - of constants, at import

METHODS = {Way.DIRECT: "PUT", Way.STREAM: "PATCH"}
"""The ways that have signed paths, and what their MACs say of the method."""


@dataclass(frozen=True, slots=True)
class UploadKey:
    """A key that paths are signed with, and the name under which the front door knows it."""

    kid: str
    key: str

    def __repr__(self) -> str:
        return f"UploadKey(kid={self.kid!r})"


def signed_path(uploads: str, session: UploadSession, key: UploadKey, now: datetime) -> str:
    """Where the client of ``session`` may send its blob, by the way that the session was opened for;
    ``uploads`` is the path of its repository's uploads, as the client calls it, with a slash at the end.
    A direct upload is one into the default store.
    """
    expires = int((now + SIGNATURE_LIFETIME).timestamp())
    store = "" if session.store == DEFAULT_STORE else f"{session.store}/"
    path = f"{uploads}_{session.way}/{store}{key.kid}/{expires}/{session.repository_id}/{session.id}"
    return f"{path}/{mac(METHODS[session.way], path, key)}"


def mac(method: str, path: str, key: UploadKey) -> str:
    """What makes ``path`` a permission to do ``method`` with it."""
    return hmac.digest(key.key.encode(), f"{method}\n{path}".encode(), "sha256").hex()
