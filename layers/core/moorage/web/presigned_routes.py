"""Presigned uploads: an API of our own beside the protocol's, for clients that can store a blob themselves.

Bodies are JSON. An upload is a resource below ``blobs/uploads/_presigned/``; ``docs/api.md`` shows it whole.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadInvalid
from moorage.services.presigned_uploads import PresignedUpload, State
from moorage.web.call import Call

# A client that polls before would learn nothing.
_POLL_SECONDS = 2
_FIELDS = {"digest", "size", "partSize"}


def begin_upload(call: Call) -> Response:
    """201 with where to store the blob, or 200 if the repository holds it already."""
    asked = _asked(call.body)
    digest = Digest.parse(asked["digest"])
    if link := call.services.presigned.find_blob(call.repository, digest):
        held = {"state": str(State.LINKED), "digest": str(digest), "size": link.size}
        return JSONResponse(held, headers=call.blob_headers(digest))
    upload = call.services.presigned.begin(
        call.repository, call.principal, digest, asked["size"], asked.get("partSize")
    )
    headers = {"Location": _location(call, upload)}
    return JSONResponse(_shown(upload), HTTPStatus.CREATED, headers=headers | _UNCACHED)


def show_upload(call: Call) -> Response:
    """200 with the state of an upload, and the URLs of what is missing while it is open."""
    upload = call.services.presigned.find(call.repository, call.principal, call.path_session())
    return JSONResponse(_shown(upload), headers=_UNCACHED)


def complete_upload(call: Call) -> Response:
    """201 once the blob is linked; 202 while its content is being verified, and the upload tells when it
    is.
    """
    upload = call.services.presigned.complete(call.repository, call.principal, call.path_session())
    if upload.state is State.LINKED:
        return JSONResponse(
            _shown(upload), HTTPStatus.CREATED, headers=call.blob_headers(upload.announced.digest)
        )
    headers = {"Location": _location(call, upload), "Retry-After": str(_POLL_SECONDS)}
    return JSONResponse(_shown(upload), HTTPStatus.ACCEPTED, headers=headers)


def abort_upload(call: Call) -> Response:
    """204; the upload is gone with all it has stored."""
    call.services.presigned.abort(call.repository, call.principal, call.path_session())
    return Response(status_code=HTTPStatus.NO_CONTENT)


# What is shown of an open upload are permissions.
_UNCACHED = {"Cache-Control": "no-store"}


def _location(call: Call, upload: PresignedUpload) -> str:
    return call.path(f"blobs/uploads/_presigned/{upload.session.id}")


def _asked(body: bytes) -> dict[str, Any]:
    """The body of a request to begin.

    Raises:
        BlobUploadInvalid: it is not what it has to be; the message says what that is.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise BlobUploadInvalid("the body is a JSON object with digest and size") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("digest"), str):
        raise BlobUploadInvalid("the body is a JSON object with digest and size")
    if unknown := asked.keys() - _FIELDS:
        raise BlobUploadInvalid(
            f"the body has no field {min(unknown)[:50]!r}; it has {', '.join(sorted(_FIELDS))}"
        )
    if not _is_size(asked.get("size")):
        raise BlobUploadInvalid("size is the blob's length in bytes, a whole number")
    if asked.get("partSize") is None:
        asked.pop("partSize", None)
    elif not _is_size(asked["partSize"]):
        raise BlobUploadInvalid("partSize is the length of each part in bytes, a whole number")
    return asked


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(upload: PresignedUpload) -> dict[str, Any]:
    announced = upload.announced
    shown: dict[str, Any] = {
        "id": upload.session.id,
        "state": str(upload.state),
        "digest": str(announced.digest),
        "size": announced.size,
        "expires": upload.session.expires.isoformat(),
    }
    if announced.part_size is not None:
        shown["partSize"] = announced.part_size
    if upload.put is not None:
        shown["put"] = {"url": upload.put.url, "headers": dict(upload.put.headers)}
    if upload.parts:
        shown["parts"] = [
            {"number": part.number, "size": part.size, "stored": part.url is None}
            | ({"url": part.url} if part.url else {})
            for part in upload.parts
        ]
    if upload.failure is not None:
        shown["failure"] = upload.failure
    return shown
