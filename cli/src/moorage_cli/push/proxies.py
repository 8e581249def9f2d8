"""Which proxy leads to a host, as the environment says; what is on this machine is never behind one."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the headers that it wants of who opens a tunnel."""

    host: str
    port: int
    headers: Mapping[str, str]


def find_proxy(scheme: str, host: str) -> Proxy | None:
    """The proxy for a host, or None."""
    if not any(name.lower().endswith("_proxy") for name in os.environ) or _is_here(host):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - costs much, and few need it

    proxies = getproxies()
    written = proxies.get(scheme) or proxies.get("all")
    if not written or proxy_bypass(host):
        return None
    place = urlsplit(written if "://" in written else f"http://{written}")
    if place.scheme != "http" or not place.hostname:
        return None
    headers = {}
    if place.username:
        pair = f"{unquote(place.username)}:{unquote(place.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(place.hostname, place.port or 80, headers)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
