"""Under which address a client has reached the registry."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moorage.domain.addresses import Address
from moorage.domain.errors import QueryInvalid

if TYPE_CHECKING:
    from starlette.requests import Request

# What the front door sends along: proof that it is the front door, and the host that its viewer named.
PROOF_HEADER = "x-moorage-front-door"
HOST_HEADER = "x-moorage-host"

_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entrance:
    """How clients come in: ``domain`` is the one below which each organisation has a host, ``front_door``
    what a request through the front door carries; None where there is no such thing.
    """

    domain: str | None = None
    front_door: str | None = None

    def came_through_front_door(self, request: Request) -> bool:
        """Whether the front door has passed the request on."""
        shown = request.headers.get(PROOF_HEADER, "")
        return self.front_door is not None and hmac.compare_digest(shown.encode(), self.front_door.encode())

    def host(self, request: Request) -> str:
        """The host, and port if any, that the client named: to the front door, if it came through that.

        Raises:
            QueryInvalid: it is no host name, so it must not be repeated in an answer.
        """
        header = HOST_HEADER if self.came_through_front_door(request) else "host"
        named = request.headers.get(header, "")
        if not _HOST.fullmatch(named):
            raise QueryInvalid("the request names no valid host")
        return named

    def address(self, request: Request) -> Address:
        """The host as a place where repositories have names.

        Raises:
            QueryInvalid, NameInvalid: no valid host, or no organisation's.
        """
        return Address.parse(self.host(request), self.domain)

    def base_url(self, request: Request) -> str:
        """Scheme and host as the client sees them."""
        scheme = "http" if request.scope.get("scheme") == "http" else "https"
        return f"{scheme}://{self.host(request)}"
