"""The commands for keys of those who can have them: service accounts, and users for themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from moorage_cli.errors import NotARegistry
from moorage_cli.nouns import Json, Noun
from moorage_cli.output import Column
from moorage_cli.resources import noun_command, write
from moorage_cli.session import Session

COLUMNS = (
    Column("NAME", "name", whole=True),
    Column("DESCRIPTION", "description"),
    Column("CREATED", "created", time=True),
    Column("EXPIRES", lambda key: key.get("expires") or "never", time=True),
    Column("LAST USED", lambda key: key.get("lastUsed") or "never"),
)
_LONGEST_DAYS = 36_500


def add_key_commands(group: click.Group, noun: Noun) -> None:
    """Give the group of ``noun`` the commands ``add-key``, ``remove-key`` and ``keys``."""
    for make in (_add_key, _remove_key, _keys):
        group.add_command(make(noun))


def show_key(session: Session, answer: Json, key: Any, owner: str) -> None:
    """Write a key that was just made to stdout: alone, or for JSON and YAML the whole ``answer``.

    Raises:
        NotARegistry: ``key`` is none.
    """
    if not isinstance(key, dict) or not isinstance(key.get("key"), str):
        raise NotARegistry(f"{session.endpoint} answers without a key", "check --endpoint")
    expires = key.get("expires")
    until = f"until {expires}" if expires else "until it is removed"
    session.note(f"the key {key.get('name')} of {owner} is valid {until}; it is shown only this once")
    if session.output in {"json", "yaml"}:
        session.show_document(answer)
    else:
        click.echo(key["key"])


def _add_key(noun: Noun) -> click.Command:
    @noun_command(noun, "add-key", "Make a key, and print it alone: it is shown only this once.")
    @click.argument("ref")
    @click.option("--description", "--desc", required=True, metavar="TEXT", help="What the key is for.")
    @click.option(
        "--days",
        type=click.IntRange(1, _LONGEST_DAYS),
        metavar="N",
        help="How long it is valid; else until it is removed.",
    )
    @click.option("--name", metavar="NAME", help="What to call it; else the registry finds a name.")
    def add_key(session: Session, ref: str, description: str, days: int | None, name: str | None) -> None:
        from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

        path = noun.path(session, ref, {})
        wanted: Json = {"description": description}
        if days is not None:
            wanted["expires"] = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="milliseconds")
        if name is not None:
            wanted["name"] = name
        made = require_object(session.api.call("POST", f"{path}/-addKey", wanted), session.endpoint)
        show_key(session, made, made, path)

    return add_key


def _remove_key(noun: Noun) -> click.Command:
    @noun_command(noun, "remove-key", "End keys at once, by their names.")
    @click.argument("ref")
    @click.option("--key", "keys", multiple=True, required=True, metavar="NAME", help="The name of a key.")
    def remove_key(session: Session, ref: str, keys: tuple[str, ...]) -> None:
        change = {"$drop/keys": list(dict.fromkeys(keys))}
        write(session, "PATCH", noun.path(session, ref, {}), change, noun.columns)

    return remove_key


def _keys(noun: Noun) -> click.Command:
    @noun_command(noun, "keys", "Show the keys, without what makes them keys.")
    @click.argument("ref")
    def keys(session: Session, ref: str) -> None:
        from moorage_cli.api import is_list_of_objects, require_object  # noqa: PLC0415

        owner = require_object(session.api.get(noun.path(session, ref, {})), session.endpoint)
        keys = owner.get("keys") or []
        if not is_list_of_objects(keys):
            require_object(None, session.endpoint)
        session.show_list("key", keys, COLUMNS)

    return keys
