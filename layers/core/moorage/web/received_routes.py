"""Uploads whose beginning ``ingest`` has received: they go on at the path of its receipt."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadUnknown, DigestInvalid
from moorage.domain.receipts import Receipt
from moorage.services.streamed_uploads import StreamedUploads
from moorage.web.call import Call
from moorage.web.upload_answers import (
    complete_body,
    content_range,
    created,
    session_response,
    telling_location,
)


def received_status(call: Call) -> Response:
    """204 with how much has been received."""
    streamed, receipt = _received(call)
    return session_response(
        call, streamed.find(call.repository, call.principal, receipt), HTTPStatus.NO_CONTENT
    )


def append_received(call: Call) -> Response:
    """202 once the next chunk is stored; what follows goes to the session itself."""
    streamed, receipt = _received(call)
    with telling_location(call, receipt.session_id):
        session = streamed.find(call.repository, call.principal, receipt)
        session = call.services.uploads.append(session, complete_body(call), content_range(call))
    return session_response(call, session, HTTPStatus.ACCEPTED)


def finish_received(call: Call) -> Response:
    """201 once the whole content is verified and linked."""
    digest = call.query("digest")
    if digest is None:
        raise DigestInvalid("the parameter digest is missing")
    streamed, receipt = _received(call)
    with telling_location(call, receipt.session_id):
        link = streamed.finish(
            call.repository,
            call.principal,
            receipt,
            Digest.parse(digest),
            complete_body(call),
            content_range(call),
        )
    return created(call, link.digest)


def cancel_received(call: Call) -> Response:
    """204; the session is gone with all it has received."""
    _, receipt = _received(call)
    call.services.uploads.cancel(call.repository, call.principal, receipt.session_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _received(call: Call) -> tuple[StreamedUploads, Receipt]:
    streamed = call.services.streamed
    receipt = Receipt.parse(call.path("blobs/uploads/"), call.request.path_params)
    if streamed is None or receipt is None:
        raise BlobUploadUnknown("the upload does not exist or has ended; begin it again")
    return streamed, receipt
