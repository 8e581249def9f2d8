"""Making resources, and changing them by what they are now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from moorage_cli.errors import Misused, VersionMismatch
from moorage_cli.nouns import Json, Noun
from moorage_cli.output import Column
from moorage_cli.resources import noun_command, parse_tags, write
from moorage_cli.session import Session

Function = TypeVar("Function", bound=Callable[..., Any])


def create_command(noun: Noun, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """Decorator for the command ``create`` of a noun, with a name, a description and tags. The function gets
    ``(session, body, **arguments)``, of which ``body`` is what these make of the new resource.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        def create(
            session: Session,
            positional: str | None,
            name: str | None,
            description: str | None,
            tags: tuple[str, ...],
            **arguments: Any,
        ) -> None:
            body: Json = {"name": _one_name(positional, name)}
            if description is not None:
                body["description"] = description
            if tags:
                body["tags"] = parse_tags(tags)
            function(session, body, **arguments)

        # What the function declares stands below what all of them have.
        create.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return noun_command(noun, "create", summary)(_labelled(create))

    return decorate


def _labelled(function: Function) -> Function:
    options = (
        click.argument("positional", required=False, metavar="NAME"),
        click.option("--name", help="The name, in place of the argument."),
        click.option("--description", "--desc", metavar="TEXT", help="What it is for."),
        click.option("--tag", "tags", multiple=True, metavar="K=V", help="A metadata tag; K:V is a text."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _one_name(positional: str | None, name: str | None) -> str:
    named = [each for each in (positional, name) if each is not None]
    if len(named) != 1:
        raise Misused("exactly one name is needed", "write NAME, or --name NAME")
    return named[0]


def change_locked(
    session: Session, path: str, change: Callable[[Json], Json | None], columns: Sequence[Column]
) -> None:
    """Change the resource at ``path`` by what it is now, and show it. ``change`` gives what to send, or None
    if there is nothing to do; it is asked once more if somebody else was quicker.

    Raises:
        VersionMismatch: others were quicker both times.
        CliError: the registry refuses, or is not reached, or ``change`` raises it.
    """
    try:
        _changed(session, path, change, columns)
    except VersionMismatch:
        _changed(session, path, change, columns)


def _changed(
    session: Session, path: str, change: Callable[[Json], Json | None], columns: Sequence[Column]
) -> None:
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    resource = require_object(session.api.get(path), session.endpoint)
    wanted = change(resource)
    if wanted is None:
        session.note("nothing was changed: it is so already")
        session.show(resource, columns)
        return
    lock: Json = {key: resource[key] for key in ("id", "version") if key in resource}
    write(session, "PATCH", path, {**wanted, **lock}, columns)
