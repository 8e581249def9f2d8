"""Credentials of the management API: a key or a bearer token, in ``Authorization``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moorage.domain.errors import Unauthorized

if TYPE_CHECKING:
    from starlette.requests import Request

CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="moorage"'}
"""The header of every 401."""

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of a service account or a user, or a token from `/token`.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The same without the word `Bearer`.",
    },
    "bootstrap": {
        "type": "http",
        "scheme": "bearer",
        "description": "The deployment's bootstrap credential, which makes organisations and nothing else.",
    },
}

_SCHEME = "bearer"


def credentials_of(request: Request) -> str:
    """What a request presents, with or without the word ``Bearer``.

    Raises:
        Unauthorized: nothing, or credentials of another scheme.
    """
    sent = request.headers.get("authorization", "").strip()
    first, space, rest = sent.partition(" ")
    credentials = (rest.strip() if first.lower() == _SCHEME else "") if space else sent
    if not credentials or credentials.lower() == _SCHEME:
        raise Unauthorized("authenticate with a key or a token: Authorization: Bearer ...")
    return credentials
