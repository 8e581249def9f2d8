"""An ASGI application as the handler of an HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from mangum import Mangum

if TYPE_CHECKING:
    from mangum.types import ASGI
    from starlette.types import ASGIApp

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def lambda_handler(application: ASGIApp, *, service: str, log_level: str) -> LambdaHandler:
    """``application`` behind payload format 2.0, logging JSON lines with the invocation's facts."""
    logger = Logger(service=service, level=log_level)
    copy_config_to_registered_loggers(source_logger=logger, include={"moorage"})
    adapter = Mangum(cast("ASGI", application), lifespan="off")

    @logger.inject_lambda_context
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        answer: dict[str, Any] = adapter(event, context)
        return answer

    return handle
