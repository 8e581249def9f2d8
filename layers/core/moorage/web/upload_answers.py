"""What the routes of all uploads read from a request, and how they answer it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.responses import Response

from moorage.domain.digests import Digest
from moorage.domain.errors import ChunkOutOfOrder, SizeInvalid
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import UploadSession
from moorage.web.call import Call


def complete_body(call: Call) -> bytes:
    """The body, when it is as long as the client announced: a torn one must not become part of a blob.

    Raises:
        SizeInvalid: it is not.
    """
    announced = call.request.headers.get("content-length")
    if announced is not None and announced != str(len(call.body)):
        raise SizeInvalid(f"Content-Length announces {announced} bytes; the body has {len(call.body)}")
    return call.body


def content_range(call: Call) -> ChunkRange | None:
    """Where the body belongs, if it says so."""
    header = call.request.headers.get("content-range")
    # Clients that close an upload with an empty body may still send the range of nothing.
    return ChunkRange.parse(header) if header and call.body else None


def created(call: Call, digest: Digest) -> Response:
    """201 with where the blob is."""
    return Response(status_code=HTTPStatus.CREATED, headers=call.blob_headers(digest))


def session_response(
    call: Call, session: UploadSession, status: HTTPStatus, location: str | None = None
) -> Response:
    """How far an upload is, and where it goes on: at ``location``, else at the session's own path."""
    headers = {
        "Location": location or _location(call, session.id),
        "Range": f"0-{max(session.offset - 1, 0)}",
        "Docker-Upload-UUID": session.id,
    }
    return Response(status_code=status, headers=headers)


@contextmanager
def telling_location(call: Call, session_id: str) -> Iterator[None]:
    """Lets a client whose chunk is refused go on from where the upload stands."""
    try:
        yield
    except ChunkOutOfOrder:
        call.request.state.error_headers = {"Location": _location(call, session_id)}
        raise


def _location(call: Call, session_id: str) -> str:
    return call.path(f"blobs/uploads/{session_id}")
