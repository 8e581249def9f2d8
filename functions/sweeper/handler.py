from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import sweeper


@cache
def application() -> Any:
    return sweeper.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
