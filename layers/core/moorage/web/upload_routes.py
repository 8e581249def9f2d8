"""Uploads: opened, continued, finished, asked about, cancelled; and mounts, which spare them.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from moorage.domain.blobs import Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import ChunkOutOfOrder, DigestInvalid, NameInvalid, SizeInvalid
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import UploadSession
from moorage.domain.user_agents import sends_whole_blobs
from moorage.services.direct_uploads import DirectUploads
from moorage.web.call import Call


def start_upload(call: Call) -> Response:
    """A mount or a whole blob (201), or else a new session (202)."""
    mount = call.query("mount")
    if mount is not None and (response := _mount(call, Digest.parse(mount))):
        return response
    digest = call.query("digest")
    if digest is not None:
        link = call.services.uploads.put_whole(
            call.repository, call.principal, Digest.parse(digest), _complete_body(call)
        )
        return _created(call, link.digest)
    algorithm = Algorithm.parse(call.query("digest-algorithm") or Algorithm.SHA256)
    direct = _direct(call, algorithm)
    way = Way.DIRECT if direct else Way.API
    session = call.services.uploads.start(call.repository, call.principal, algorithm, way)
    location = direct.location(call.path("blobs/uploads/"), session) if direct else None
    return _session_response(call, session, HTTPStatus.ACCEPTED, location)


def upload_status(call: Call) -> Response:
    """204 with how much has been received."""
    return _session_response(call, _session(call), HTTPStatus.NO_CONTENT)


def append_chunk(call: Call) -> Response:
    """202 once the bytes are stored: a chunk with ``Content-Range``, or a stream without."""
    session = _session(call)
    body = _complete_body(call)
    try:
        session = call.services.uploads.append(session, body, _content_range(call))
    except ChunkOutOfOrder:
        _tell_location(call, session.id)
        raise
    return _session_response(call, session, HTTPStatus.ACCEPTED)


def finish_upload(call: Call) -> Response:
    """201 once the whole content is verified and linked."""
    digest = call.query("digest")
    if digest is None:
        raise DigestInvalid("the parameter digest is missing")
    session_id = call.path_session()
    try:
        link = call.services.uploads.finish(
            call.repository,
            call.principal,
            session_id,
            Digest.parse(digest),
            _complete_body(call),
            _content_range(call),
        )
    except ChunkOutOfOrder:
        _tell_location(call, session_id)
        raise
    return _created(call, link.digest)


def cancel_upload(call: Call) -> Response:
    """204; the session is gone with all it has received."""
    call.services.uploads.cancel(call.repository, call.principal, call.path_session())
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _direct(call: Call, algorithm: Algorithm) -> DirectUploads | None:
    """What makes the address of a direct upload, for a client that can use one and has come where one
    leads.
    """
    services, headers = call.services, call.request.headers
    usable = (
        algorithm is Algorithm.SHA256
        and sends_whole_blobs(headers.get("user-agent", ""))
        and services.entrance.came_through_front_door(call.request)
    )
    return services.direct if usable else None


def _mount(call: Call, digest: Digest) -> Response | None:
    source = call.query("from")
    try:
        repository = None if source is None else call.address.repository(source)
    except NameInvalid:
        # A source that cannot exist is answered like one that does not.
        return None
    link = call.services.blobs.mount(call.repository, call.principal, digest, repository)
    return _created(call, digest) if link else None


def _session(call: Call) -> UploadSession:
    return call.services.uploads.find(call.repository, call.principal, call.path_session())


def _complete_body(call: Call) -> bytes:
    """The body, when it is as long as the client announced: a torn one must not become part of a blob."""
    announced = call.request.headers.get("content-length")
    if announced is not None and announced != str(len(call.body)):
        raise SizeInvalid(f"Content-Length announces {announced} bytes; the body has {len(call.body)}")
    return call.body


def _content_range(call: Call) -> ChunkRange | None:
    header = call.request.headers.get("content-range")
    # Clients that close an upload with an empty body may still send the range of nothing.
    return ChunkRange.parse(header) if header and call.body else None


def _created(call: Call, digest: Digest) -> Response:
    return Response(status_code=HTTPStatus.CREATED, headers=call.blob_headers(digest))


def _session_response(
    call: Call, session: UploadSession, status: HTTPStatus, location: str | None = None
) -> Response:
    headers = {
        "Location": location or _location(call, session.id),
        "Range": f"0-{max(session.offset - 1, 0)}",
        "Docker-Upload-UUID": session.id,
    }
    return Response(status_code=status, headers=headers)


def _tell_location(call: Call, session_id: str) -> None:
    """A client whose chunk is refused goes on from where the upload stands."""
    call.request.state.error_headers = {"Location": _location(call, session_id)}


def _location(call: Call, session_id: str) -> str:
    return call.path(f"blobs/uploads/{session_id}")
