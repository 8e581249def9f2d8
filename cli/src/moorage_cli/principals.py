"""Principals as flags name them, and as links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import click

from moorage_cli.errors import Misused, NotAllowed, NotFound
from moorage_cli.links import is_link_of, link_to
from moorage_cli.nouns import Function, checked_name, gvc_option
from moorage_cli.session import Session

# The kind that each flag names.
_KINDS = {"email": "user", "serviceaccount": "serviceaccount", "group": "group", "identity": "identity"}
_HELP = {
    "email": "A user, by e-mail address.",
    "serviceaccount": "A service account.",
    "group": "A group, and so whoever is in it.",
}
PRINCIPALS = tuple(_KINDS)
MEMBERS = ("email", "serviceaccount")


def principal_options(flags: Sequence[str] = PRINCIPALS) -> Callable[[Function], Function]:
    """Decorator for the flags that name principals, which may be repeated, for ``principal_links``."""

    def decorate(function: Function) -> Function:
        if "identity" in flags:
            function = gvc_option("Where the identities are").flag(required=False)(function)
            function = click.option(
                "--identity",
                multiple=True,
                metavar="NAME",
                help="A workload identity: NAME and --gvc, or a link.",
            )(function)
        for flag in reversed([each for each in flags if each in _HELP]):
            function = click.option(f"--{flag}", multiple=True, metavar="NAME", help=_HELP[flag])(function)
        return function

    return decorate


def principal_links(session: Session, arguments: Mapping[str, Any]) -> list[str]:
    """The full links of the principals that flags name, each once; names may be links, too.

    Raises:
        Misused: none is named, one is of another kind than its flag, or an identity's gvc is not known.
    """
    org, gvc = session.org, arguments.get("gvc")
    links = [
        _link(org, kind, name, gvc) for flag, kind in _KINDS.items() for name in arguments.get(flag) or ()
    ]
    if not links:
        flags = ", ".join(f"--{flag}" for flag in PRINCIPALS if flag in arguments)
        raise Misused("no principal is named", f"add one of {flags}")
    return list(dict.fromkeys(links))


def existing(session: Session, links: Sequence[str]) -> list[str]:
    """``links`` as the registry writes them. Those of other organisations cannot be looked up, and stay.

    Raises:
        NotFound: one leads to nothing; names all of these.
        NotAllowed: one leads to nothing, or to what the caller may not see.
    """
    from moorage_cli.api import link_of, quoted, require_object  # noqa: PLC0415 - help does without

    found: list[str] = []
    absent: list[str] = []
    hidden: list[str] = []
    for link in links:
        if not link.startswith(f"/org/{session.org}/"):
            session.note(f"{link} is of another organisation; whether there is such a principal is not known")
            found.append(link)
            continue
        try:
            principal = require_object(session.api.get(quoted(link)), session.endpoint)
        except NotFound:
            absent.append(link)
        except NotAllowed as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            hidden.append(link)
        else:
            found.append(link_of(principal) or link)
    if absent:
        raise NotFound(f"there is no {', '.join(absent)}; nothing was changed")
    if hidden:
        raise NotAllowed(
            f"there is no {', '.join(hidden)}, or you may not see it; nothing was changed",
            "to name it all the same, use edit, patch or apply",
        )
    return list(dict.fromkeys(found))


def _link(org: str, kind: str, name: str, gvc: str | None) -> str:
    link = link_to(org, kind, name, gvc)
    if not is_link_of(kind, link):
        form = "gvc/GVC/identity/NAME" if kind == "identity" else f"{kind}/NAME"
        raise Misused(f"{name!r} is no {kind}", f"write its name, or a link: //{form}")
    checked_name(link[1:])
    return link
