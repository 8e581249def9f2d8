"""Which proxy leads to a host, as environment and system say; what is on this machine is behind none."""

from __future__ import annotations

import base64
import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from moorage_cli.errors import Unreachable

_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the headers that it wants of who opens a tunnel. It may be shown without these."""

    host: str
    port: int
    headers: Mapping[str, str]


def find_proxy(scheme: str, host: str) -> Proxy | None:
    """The proxy for what is asked of ``host``, which may have a port, by ``scheme``; or None.

    Raises:
        Unreachable: there is one that is not asked in clear text, or its address is none.
    """
    by_variables = any(name.lower().endswith("_proxy") for name in os.environ)
    if not (by_variables or sys.platform in {"darwin", "win32"}) or _is_here(host):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - costs much, and few need it

    proxies = getproxies()
    written = proxies.get(scheme) or proxies.get("all")
    if not written or proxy_bypass(host):
        return None
    return _parsed(written)


def _parsed(written: str) -> Proxy:
    try:
        place = urlsplit(written if "://" in written else f"http://{written}")
        port = place.port or _PORT
    except ValueError as error:
        raise Unreachable("the address of the proxy is none", "check HTTPS_PROXY") from error
    if place.scheme != "http" or not place.hostname:
        # Its address may hold a password.
        raise Unreachable(
            f"a proxy is named that is asked by {place.scheme}", "name one with http:// in HTTPS_PROXY"
        )
    if place.username is None:
        return Proxy(place.hostname, port, {})
    login = f"{unquote(place.username)}:{unquote(place.password or '')}"
    return Proxy(
        place.hostname, port, {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    )


def _is_here(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
