"""A path and its methods: the shell around every handler.

Here, and only here, errors become answers, requests become log lines and answers get the headers that all of
them carry. Handlers are plain functions: an environment serves one request at a time, and a thread pool would
cost more than it could give.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from moorage import __version__
from moorage.domain.errors import (
    BeingVerified,
    EndpointUnknown,
    MethodUnsupported,
    RegistryError,
    Unavailable,
)
from moorage.web.errors import code_of, error_response, internal_error_response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Handler = Callable[[Request, bytes], Response]
VERSION_HEADER = "Moorage-Version"

_log = logging.getLogger("moorage.web")


class Resource:
    """An ASGI application for one path. ``name`` is the path's name in the log."""

    def __init__(self, name: str, methods: Mapping[str, Handler]) -> None:
        self.name = name
        self.methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        started = time.perf_counter()
        body = await request.body()
        response = self._respond(request, body)
        response.headers[VERSION_HEADER] = __version__
        self._log(request, response, time.perf_counter() - started)
        if request.method == "HEAD":
            # The headers, the length among them, say what a GET would carry.
            response.body = b""
        await response(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> Response:
        try:
            handler = self._handler(request.method)
            if handler is None:
                return _method_unsupported(request, self.methods)
            return handler(request, body)
        except RegistryError as error:
            request.state.code = code_of(error)
            if isinstance(error, Unavailable) and not isinstance(error, BeingVerified):
                _log.warning("dependency failed", extra={"failure": error.message}, exc_info=error)
            return error_response(error, getattr(request.state, "error_headers", None))
        except Exception:  # noqa: BLE001
            # The last line: whatever happens, the client gets the documented shape and no internals.
            _log.exception("request failed")
            return internal_error_response(request_id(request))

    def _handler(self, method: str) -> Handler | None:
        return self.methods.get(method)

    def _log(self, request: Request, response: Response, seconds: float) -> None:
        state = request.state
        fields: dict[str, Any] = {
            "method": request.method,
            "route": self.name,
            "repository": getattr(state, "repository", None),
            "principal": getattr(state, "principal", None),
            "status": response.status_code,
            "code": getattr(state, "code", None),
            "milliseconds": round(seconds * 1000, 1),
            "request_id": request_id(request),
            "user_agent": request.headers.get("user-agent", "")[:200],
        }
        _log.info("request", extra={key: value for key, value in fields.items() if value is not None})


def request_id(request: Request) -> str:
    """The id under which Lambda logs this invocation."""
    return str(getattr(request.scope.get("aws.context"), "aws_request_id", "unknown"))


def endpoint_unknown(_: Request, __: bytes) -> Response:
    """The answer for a path that is no endpoint."""
    raise EndpointUnknown("there is no such endpoint; repositories are at /v2/ORGANISATION/IMAGE/")


class NotFound(Resource):
    """What stands behind all other paths, for every method."""

    def __init__(self) -> None:
        super().__init__("unknown", {})

    def _handler(self, _: str) -> Handler:
        return endpoint_unknown


def _method_unsupported(request: Request, methods: Mapping[str, Handler]) -> Response:
    error = MethodUnsupported(f"this endpoint does not take {request.method}")
    request.state.code = code_of(error)
    return error_response(error, {"Allow": ", ".join(sorted(methods))})
