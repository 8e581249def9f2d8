from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import registry


@cache
def application() -> Any:
    return registry.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
