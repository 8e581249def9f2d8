"""Uploads: opened, continued, finished, asked about, cancelled; and mounts, which spare them.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from moorage.domain.blobs import Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import DigestInvalid, NameInvalid
from moorage.domain.sessions import UploadSession
from moorage.domain.upload_paths import METHODS
from moorage.domain.user_agents import sends_whole_blobs
from moorage.web.call import Call
from moorage.web.upload_answers import (
    complete_body,
    content_range,
    created,
    session_response,
    telling_location,
)


def start_upload(call: Call) -> Response:
    """A mount or a whole blob (201), or else a new session (202)."""
    mount = call.query("mount")
    if mount is not None and (response := _mount(call, Digest.parse(mount))):
        return response
    digest = call.query("digest")
    if digest is not None:
        link = call.services.uploads.put_whole(
            call.repository, call.principal, Digest.parse(digest), complete_body(call)
        )
        return created(call, link.digest)
    algorithm = Algorithm.parse(call.query("digest-algorithm") or Algorithm.SHA256)
    signing = call.services.signing
    ways = _ways(call, algorithm) if signing else (Way.API,)
    session = call.services.uploads.start(call.repository, call.principal, algorithm, ways)
    signed = None
    if signing and session.way in METHODS:
        signed = signing.location(call.path("blobs/uploads/"), session)
    return session_response(call, session, HTTPStatus.ACCEPTED, signed)


def upload_status(call: Call) -> Response:
    """204 with how much has been received."""
    return session_response(call, _session(call), HTTPStatus.NO_CONTENT)


def append_chunk(call: Call) -> Response:
    """202 once the bytes are stored: a chunk with ``Content-Range``, or a stream without."""
    session = _session(call)
    with telling_location(call, session.id):
        session = call.services.uploads.append(session, complete_body(call), content_range(call))
    return session_response(call, session, HTTPStatus.ACCEPTED)


def finish_upload(call: Call) -> Response:
    """201 once the whole content is verified and linked."""
    digest = call.query("digest")
    if digest is None:
        raise DigestInvalid("the parameter digest is missing")
    session_id = call.path_session()
    with telling_location(call, session_id):
        link = call.services.uploads.finish(
            call.repository,
            call.principal,
            session_id,
            Digest.parse(digest),
            complete_body(call),
            content_range(call),
        )
    return created(call, link.digest)


def cancel_upload(call: Call) -> Response:
    """204; the session is gone with all it has received."""
    call.services.uploads.cancel(call.repository, call.principal, call.path_session())
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _ways(call: Call, algorithm: Algorithm) -> tuple[Way, ...]:
    """How a client sends its blob, the best way first, if it has come by the front door, where the other ways
    than through the API begin.
    """
    if not call.services.entrance.came_through_front_door(call.request):
        return (Way.API,)
    others = (Way.STREAM, Way.API) if call.services.streamed else (Way.API,)
    whole = sends_whole_blobs(call.request.headers.get("user-agent", ""))
    # The store makes sure of a SHA-256 while it receives, and of no other digest.
    return (Way.DIRECT, *others) if whole and algorithm is Algorithm.SHA256 else others


def _mount(call: Call, digest: Digest) -> Response | None:
    source = call.query("from")
    try:
        repository = None if source is None else call.address.repository(source)
    except NameInvalid:
        # A source that cannot exist is answered like one that does not.
        return None
    link = call.services.blobs.mount(call.repository, call.principal, digest, repository)
    return created(call, digest) if link else None


def _session(call: Call) -> UploadSession:
    return call.services.uploads.find(call.repository, call.principal, call.path_session())
