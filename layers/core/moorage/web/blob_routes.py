"""Blobs: where their bytes are, how long they are, and their removal."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from moorage.web.call import DIGEST_HEADER, Call

_OCTETS = "application/octet-stream"


def get_blob(call: Call) -> Response:
    """307 to the storage or the front door: the bytes never pass through the function."""
    digest = call.path_digest()
    came_through = call.services.entrance.came_through_front_door(call.request)
    front_door = call.path("blobs/") if came_through else None
    byte_range = call.request.headers.get("range")
    location = call.services.blobs.location(call.repository, digest, byte_range, front_door)
    headers = {"Location": location, DIGEST_HEADER: str(digest), "Cache-Control": "private, no-store"}
    return Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=headers, media_type=_OCTETS)


def head_blob(call: Call) -> Response:
    """Length and digest, from the link alone."""
    digest = call.path_digest()
    link = call.services.blobs.find(call.repository, digest)
    headers = {"Content-Length": str(link.size), DIGEST_HEADER: str(digest), "Accept-Ranges": "bytes"}
    return Response(headers=headers, media_type=_OCTETS)


def delete_blob(call: Call) -> Response:
    """202; the blob is gone for every later request."""
    call.services.deletions.blob(call.repository, call.path_digest())
    return Response(status_code=HTTPStatus.ACCEPTED)
