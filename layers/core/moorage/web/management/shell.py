"""The shell around the management application: errors become answers, and requests become log lines.

FastAPI has its own answers for what goes wrong outside of an endpoint. This stands outside of all of it, so
that no path, method or fault can bring another shape.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from moorage import __version__
from moorage.domain.errors import BodyTooLarge, RegistryError, TooLarge
from moorage.web.management.errors import code_of, error_response, internal_error_response
from moorage.web.resource import VERSION_HEADER, request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_SIZE = 1_048_576
"""Bytes of a request's body."""

MAX_ANSWER_SIZE = 5_500_000
"""Bytes of an answer: a function can give 6 MB, with all that stands around the body."""

REQUEST_ID_HEADER = "X-Request-Id"

_log = logging.getLogger("moorage.web")


class Shell:
    """An ASGI application that answers for ``application`` whatever happens in it."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        # What is noted about the request inside is read here.
        scope.setdefault("state", {})
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers[VERSION_HEADER] = __version__
        response.headers[REQUEST_ID_HEADER] = request_id(request)
        response.headers.setdefault("Cache-Control", "no-store")
        _log_request(request, response.status_code, time.perf_counter() - started)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._pass_on(request, await _body(request))
        except RegistryError as error:
            request.state.code = code_of(error)
            return error_response(error, request_id(request))
        except Exception:  # noqa: BLE001
            # The last line: whatever happens, the client gets the documented shape and no internals.
            _log.exception("request failed")
            return internal_error_response(request_id(request))

    async def _pass_on(self, request: Request, body: bytes) -> Response:
        """What the application answers, held back until it has ended without a fault."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._application(request.scope, receive, collect)
        start, *parts = messages
        content = b"".join(part.get("body", b"") for part in parts)
        if len(content) > MAX_ANSWER_SIZE:
            raise TooLarge("the answer is too large for one request; ask for fewer with ?limit=, or for one")
        response = Response(content, start["status"])
        response.raw_headers = list(start["headers"])
        return response


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_SIZE:
            raise BodyTooLarge(f"a request's body has at most {MAX_BODY_SIZE:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _log_request(request: Request, status: int, seconds: float) -> None:
    state: Mapping[str, Any] = request.scope["state"]
    fields = {
        "method": request.method,
        "route": state.get("route", "unknown"),
        "organisation": state.get("organisation"),
        "principal": state.get("principal"),
        "status": int(HTTPStatus(status)),
        "code": state.get("code"),
        "dry_run": state.get("dry_run"),
        "milliseconds": round(seconds * 1000, 1),
        "request_id": request_id(request),
        "user_agent": request.headers.get("user-agent", "")[:200],
    }
    _log.info("request", extra={key: value for key, value in fields.items() if value is not None})
