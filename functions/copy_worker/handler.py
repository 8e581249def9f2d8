from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import copy_worker


@cache
def application() -> Any:
    return copy_worker.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
