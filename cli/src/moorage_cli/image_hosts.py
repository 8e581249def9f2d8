"""Where images have names: at the registry's host, and at one of the organisation where there is a domain."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moorage_cli.endpoints import host_of, is_loopback
from moorage_cli.errors import CliError, Misused

if TYPE_CHECKING:
    from moorage_cli.session import Session

_ANY = "{org}."


def belongs_to(announced: str, own: str, org: str) -> bool:
    """Whether the host ``announced`` is ``own`` itself, or ``ORG.DOMAIN`` where ``own`` is ``DOMAIN`` or a
    host in it; a top-level domain is nobody's.
    """
    if announced == own:
        return True
    domain = announced.removeprefix(f"{org}.")
    if domain == announced:
        return False
    return own == domain or ("." in domain and own.endswith(f".{domain}"))


def images_at(session: Session) -> str:
    """What clients write before the names of the organisation's images: ``ORG.DOMAIN`` if the registry says
    so of a domain that is plainly its own, else ``HOST/ORG``.
    """
    host, org = host_of(session.endpoint), session.org
    # The other one is as right, and no reason to fail.
    with contextlib.suppress(CliError):
        domain = _domain(session)
        if domain is not None and belongs_to(f"{org}.{domain}", host, org):
            return f"{org}.{domain}"
    return f"{host}/{org}"


def is_own_host(session: Session) -> bool:
    """Whether the endpoint is the host of the organisation itself, where names of images go without it.

    Raises:
        Misused: it is that of another organisation.
        CliError: the registry is not reached.
    """
    domain = _domain(session)
    host = urlsplit(session.endpoint).hostname or ""
    if domain is None or not host.endswith(f".{domain}"):
        return False
    owner = host.removesuffix(f".{domain}")
    if owner != session.org:
        raise Misused(
            f"at {host} there are images of {owner} alone, and not of {session.org}",
            f"add --endpoint https://{domain}, or --org {owner}",
        )
    return True


def _domain(session: Session) -> str | None:
    """The domain below which each organisation has a host, or None."""
    # What is asked on this machine is below none.
    if is_loopback(session.endpoint):
        return None
    try:
        host = urlsplit(session.announced_images).netloc.lower()
    except ValueError:
        return None
    return host.removeprefix(_ANY) if host.startswith(_ANY) else None
