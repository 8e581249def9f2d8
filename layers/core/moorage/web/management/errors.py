"""The one shape of everything that goes wrong, and what each error becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from moorage.domain import errors
from moorage.web.errors import ERRORS


def status_of(error: errors.RegistryError) -> HTTPStatus:
    """The status that ``error`` is answered with: the same as on the registry's side."""
    return ERRORS[type(error)][0]


def code_of(error: errors.RegistryError) -> str:
    """The name by which a program tells ``error`` from others.

    NOTE: programs go by it; a class that is renamed needs the old name here.
    """
    return type(error).__name__


def error_response(
    error: errors.RegistryError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that tells a client of ``error``."""
    extra = {"Retry-After": str(error.retry_after)} if isinstance(error, errors.Unavailable) else {}
    return response(
        status_of(error),
        code_of(error),
        error.message,
        request_id,
        details=error.detail,
        headers={**extra, **(headers or {})},
    )


def internal_error_response(request_id: str) -> Response:
    """The answer to a request that met a fault of ours: the id by which the log tells more, and no more."""
    return response(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Internal", "the request could not be processed", request_id
    )


def response(
    status: HTTPStatus,
    code: str,
    message: str,
    request_id: str,
    *,
    details: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer in the one shape."""
    body = {
        "status": int(status),
        "message": message,
        "code": code,
        "details": details if isinstance(details, dict) else {} if details is None else {"detail": details},
        "id": request_id,
    }
    return Response(
        json.dumps(body).encode(),
        status,
        {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
    )
