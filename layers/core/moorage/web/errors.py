"""The one table of errors: which status and which code each becomes, and the body that says it.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from moorage.domain import errors

ERRORS: Mapping[type[errors.RegistryError], tuple[HTTPStatus, str]] = {
    errors.InvalidInput: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    errors.NameInvalid: (HTTPStatus.BAD_REQUEST, "NAME_INVALID"),
    errors.TagInvalid: (HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID"),
    errors.DigestInvalid: (HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    errors.DigestMismatch: (HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    errors.QueryInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    errors.SizeInvalid: (HTTPStatus.BAD_REQUEST, "SIZE_INVALID"),
    errors.BlobUploadInvalid: (HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
    errors.ManifestInvalid: (HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID"),
    errors.ManifestBlobUnknown: (HTTPStatus.BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
    # Not SIZE_INVALID: after that, docker's classic engine repeats a push for a minute; after this it stops.
    errors.TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "UNSUPPORTED"),
    errors.BlobTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "UNSUPPORTED"),
    errors.BodyTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "UNSUPPORTED"),
    errors.ManifestTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "MANIFEST_INVALID"),
    errors.TooManyTags: (HTTPStatus.REQUEST_URI_TOO_LONG, "MANIFEST_INVALID"),
    errors.RangeNotSatisfiable: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
    errors.BlobRangeNotSatisfiable: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
    errors.ChunkOutOfOrder: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
    errors.Unknown: (HTTPStatus.NOT_FOUND, "UNSUPPORTED"),
    errors.NameUnknown: (HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),
    errors.BlobUnknown: (HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),
    errors.BlobUploadUnknown: (HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
    errors.ManifestUnknown: (HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN"),
    errors.EndpointUnknown: (HTTPStatus.NOT_FOUND, "UNSUPPORTED"),
    errors.MethodUnsupported: (HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED"),
    errors.Unauthorized: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    errors.CredentialsInvalid: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    errors.TokenInvalid: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    errors.Denied: (HTTPStatus.FORBIDDEN, "DENIED"),
    errors.TagImmutable: (HTTPStatus.FORBIDDEN, "DENIED"),
    errors.ResourceProtected: (HTTPStatus.FORBIDDEN, "DENIED"),
    errors.VersionMismatch: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    errors.Conflict: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    errors.InUse: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    errors.AlreadyExists: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    errors.NotFound: (HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),
    errors.Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
    errors.Throttled: (HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
    errors.BeingVerified: (HTTPStatus.SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
    errors.WriteConflict: (HTTPStatus.SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
    errors.ReferenceGone: (HTTPStatus.SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
}


def code_of(error: errors.RegistryError) -> str:
    """The OCI code of ``error``."""
    return ERRORS[type(error)][1]


def error_response(error: errors.RegistryError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells a client of ``error``."""
    status, code = ERRORS[type(error)]
    entry: dict[str, Any] = {"code": code, "message": error.message}
    if error.detail is not None:
        entry["detail"] = error.detail
    return _response(status, entry, {**_headers(error), **(headers or {})})


def internal_error_response(request_id: str) -> Response:
    """The answer to a request that met a fault of ours: the id by which the log tells more, and no more."""
    entry = {
        "code": "UNSUPPORTED",
        "message": f"the registry failed to process the request; its id is {request_id}",
    }
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, entry, {})


def _headers(error: errors.RegistryError) -> dict[str, str]:
    match error:
        case errors.Unavailable():
            return {"Retry-After": str(error.retry_after)}
        case errors.ChunkOutOfOrder():
            return {"Range": f"0-{max(error.offset - 1, 0)}"}
        case errors.BlobRangeNotSatisfiable():
            return {"Content-Range": f"bytes */{error.size}"}
        case _:
            return {}


def _response(status: HTTPStatus, entry: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    body = json.dumps({"errors": [entry]}).encode()
    # Some errors are kept by default by what stands in between, and all of ours may be over the next moment.
    common = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, status, {**common, **headers})
