from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import token


@cache
def application() -> Any:
    return token.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
