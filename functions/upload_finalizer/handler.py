from functools import cache
from os import environ
from typing import Any

from moorage.bootstrap import upload_finalizer


@cache
def application() -> Any:
    return upload_finalizer.create(environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    return application()(event, context)
