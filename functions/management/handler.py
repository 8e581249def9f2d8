from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import management


@cache
def application() -> Any:
    return management.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
