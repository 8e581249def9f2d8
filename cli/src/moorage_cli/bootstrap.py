"""The deployment's bootstrap credential, which makes organisations and lets their removal go on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from moorage_cli.credentials import parse_credential
from moorage_cli.errors import CliError, Misused, NotLoggedIn
from moorage_cli.session import Session

if TYPE_CHECKING:
    from moorage_cli.api import Api

Function = TypeVar("Function", bound=Callable[..., Any])

_LONGEST = 4096


def bootstrap_options(function: Function) -> Function:
    """Decorator for the flags that say where the credential is, for ``bootstrap_credential``."""
    function = click.option(
        "--bootstrap-stdin", is_flag=True, help="Read the bootstrap credential from standard input."
    )(function)
    return click.option(
        "--bootstrap-file", metavar="FILE", help="Read it from a file that only you can read."
    )(function)


def bootstrap_credential(session: Session, file: str | None, *, stdin: bool) -> str | None:
    """The credential from where flags say it is, else from ``MOORAGE_TOKEN``; None if it is nowhere. The key
    of a profile is another thing and is not looked at.

    Raises:
        Misused: both flags are there.
        CliError: the file cannot be read, or others can read it.
        NotLoggedIn: what was read is no credential.
    """
    if file is not None and stdin:
        raise Misused("--bootstrap-file and --bootstrap-stdin exclude each other")
    if stdin:
        return parse_credential(sys.stdin.readline(_LONGEST))
    if file is not None:
        return parse_credential(_private_text(Path(file)))
    token = session.settings.token
    return None if token is None else parse_credential(token)


def bootstrap_api(session: Session, credential: str | None) -> Api:
    """The registry, as the holder of the bootstrap credential sees it.

    Raises:
        NotLoggedIn: there is none.
    """
    if credential is None:
        raise NotLoggedIn(
            "this takes the bootstrap credential of the deployment",
            "add --bootstrap-file FILE or --bootstrap-stdin, or set MOORAGE_TOKEN",
        )
    return session.connect(session.endpoint, credential, insecure=session.settings.insecure)


def _private_text(path: Path) -> str:
    from moorage_cli.storage import open_to_others  # noqa: PLC0415 - few commands need it

    try:
        if open_to_others(path):
            raise CliError(f"{path} can be read or changed by others", f"run 'chmod 600 {path}'")
        with path.open(encoding="ascii", errors="replace") as content:
            return content.read(_LONGEST)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
