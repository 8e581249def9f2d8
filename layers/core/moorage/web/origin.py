"""Under which address a client has reached the registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from moorage.domain.addresses import Address
from moorage.domain.errors import QueryInvalid

if TYPE_CHECKING:
    from starlette.requests import Request

_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::\d{1,5})?", re.ASCII)


def host(request: Request) -> str:
    """The host, and port if any, that the client named.

    Raises:
        QueryInvalid: it is no host name, so it must not be repeated in an answer.
    """
    named = request.headers.get("host", "")
    if not _HOST.fullmatch(named):
        raise QueryInvalid("the request names no valid host")
    return named


def address(request: Request, domain: str | None) -> Address:
    """The host as a place where repositories have names.

    Raises:
        QueryInvalid, NameInvalid: no valid host, or no organisation's.
    """
    return Address.parse(host(request), domain)


def base_url(request: Request) -> str:
    """Scheme and host as the client sees them."""
    scheme = "http" if request.scope.get("scheme") == "http" else "https"
    return f"{scheme}://{host(request)}"
