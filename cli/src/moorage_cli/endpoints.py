"""Addresses of registries: what may be one, and which are on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from moorage_cli.errors import Misused


def parse_endpoint(text: str, *, insecure: bool = False) -> str:
    """The address of a registry in its one spelling: scheme, host, port where it is not the usual one.

    Without a scheme it is https, on this machine http. ``insecure`` allows http elsewhere, too.

    Raises:
        Misused: it is no such address, or a key would go to it in clear text.
    """
    written = text.strip()
    if "://" not in written:
        written = f"{'http' if _host_is_loopback(urlsplit(f'//{written}')) else 'https'}://{written}"
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError as error:
        raise Misused(f"{text!r} is not the address of a registry", "write it as https://HOST") from error
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    extra = parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/")
    if scheme not in {"http", "https"} or not host or any(each.isspace() for each in written):
        raise Misused(f"{text!r} is not the address of a registry", "write it as https://HOST")
    if extra:
        raise Misused("the address of a registry has no user, path or query", "write it as https://HOST")
    if scheme == "http" and not (insecure or _is_loopback_host(host)):
        raise Misused(
            f"http://{host} would carry the key in clear text",
            f"use https://{host}, or --insecure if you accept that",
        )
    shown = f"[{host}]" if ":" in host else host
    usual = port is None or port == {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" if usual else f"{scheme}://{shown}:{port}"


def host_of(endpoint: str) -> str:
    """Host, and port where it is written, of an address that ``parse_endpoint`` gave."""
    return urlsplit(endpoint).netloc


def is_loopback(endpoint: str) -> bool:
    """Whether an address is on this machine."""
    return _host_is_loopback(urlsplit(endpoint))


def _host_is_loopback(parts: SplitResult) -> bool:
    return _is_loopback_host((parts.hostname or "").lower())


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
