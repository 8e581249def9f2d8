"""What an image is called in its organisation, by whichever of its addresses a person writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from moorage_cli.errors import Misused

if TYPE_CHECKING:
    from moorage_cli.session import Session

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?(?:@[a-z0-9]+:[0-9a-f]{{32,}})?"
)


def check_image_name(name: str) -> None:
    """Nothing, if ``name`` is ``NAME``, ``NAME:TAG``, ``NAME@DIGEST`` or both in the grammar of the OCI
    distribution specification.

    Raises:
        Misused: it is not.
    """
    if not _IMAGE.fullmatch(name):
        raise Misused(
            f"{name!r} cannot be the name of an image", "write NAME:TAG or NAME@DIGEST, NAME in lower case"
        )


def image_reference(session: Session, text: str) -> str:
    """``text`` without the host and organisation that an address begins with; a name or link stays as it is.

    Raises:
        Misused: the address is of another registry or organisation.
        CliError: the registry is asked whose host it is, and not reached.
    """
    first, slash, rest = text.partition("/")
    if text.startswith("/") or not slash or not is_host(first):
        return text
    from moorage_cli.endpoints import host_of  # noqa: PLC0415 - help does without
    from moorage_cli.image_hosts import belongs_to, is_own_host  # noqa: PLC0415

    org, host = session.org, host_of(session.endpoint)
    if not belongs_to(first, host, org):
        raise Misused(
            f"{text!r} is not at {host}",
            "leave the host out, //image/NAME:TAG if it is none, or add --endpoint",
        )
    # A registry's own host may be called like that by chance.
    if first.startswith(f"{org}.") and (first != host or is_own_host(session)):
        return rest
    there, _, name = rest.partition("/")
    if there != org:
        raise Misused(
            f"{text!r} is not in {org}", f"add --org {there}" if name else "write HOST/ORG/NAME:TAG"
        )
    return name


def is_host(component: str) -> bool:
    """Whether the first part of an address is a host, and no part of a name: as clients tell them apart."""
    if component == "localhost":
        return True
    return component[:1].isalnum() and ("." in component or ":" in component)
