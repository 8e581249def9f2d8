"""An ASGI application as the handler of an HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from mangum import Mangum

from moorage.web.logs import create_logger

if TYPE_CHECKING:
    from mangum.types import ASGI
    from starlette.types import ASGIApp

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def lambda_handler(application: ASGIApp, *, service: str, log_level: str) -> LambdaHandler:
    """``application`` behind payload format 2.0, logging JSON lines with the invocation's facts."""
    logger = create_logger(service, log_level)
    adapter = Mangum(cast("ASGI", application), lifespan="off")

    @logger.inject_lambda_context
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        answer: dict[str, Any] = adapter(event, context)
        return answer

    return handle
