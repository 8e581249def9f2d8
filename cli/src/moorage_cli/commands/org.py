"""``moorage org``: organisations themselves."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from moorage_cli.bootstrap import bootstrap_api, bootstrap_credential, bootstrap_options
from moorage_cli.changing import create_command
from moorage_cli.errors import Misused, NotFound
from moorage_cli.keys import show_key
from moorage_cli.kinds import ORG
from moorage_cli.nouns import Json
from moorage_cli.resources import VERBS, noun_command, noun_group
from moorage_cli.session import Session, is_terminal
from moorage_cli.setting import update_command

if TYPE_CHECKING:
    from moorage_cli.api import Api

org = noun_group(
    ORG, "Organisations themselves.", [verb for verb in VERBS if verb not in ("query", "delete")]
)
org.add_command(update_command(ORG))

_SHORTEST_WAIT = 1
_LONGEST_WAIT = 60


@org.add_command
@create_command(
    ORG,
    "Make an organisation, with the bootstrap credential, and print the key of its first superuser alone: "
    "it is shown only this once.",
)
@click.option("--email", metavar="EMAIL", help="The first superuser is this person.")
@click.option("--serviceaccount", metavar="NAME", help="It is this service account; else it is called admin.")
@click.option("--store", metavar="NAME", help="Where its blobs lie: a store of the deployment.")
@click.option(
    "--identity-pull/--no-identity-pull",
    default=None,
    help="Whether identities may pull all images without a policy.",
)
@bootstrap_options
def _create(  # noqa: PLR0913 - one per flag
    session: Session,
    body: Json,
    email: str | None,
    serviceaccount: str | None,
    store: str | None,
    *,
    identity_pull: bool | None,
    bootstrap_file: str | None,
    bootstrap_stdin: bool,
) -> None:
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    if email is not None and serviceaccount is not None:
        raise Misused("--email and --serviceaccount exclude each other")
    creator = {"email": email, "serviceaccount": serviceaccount}
    if named := {kind: name for kind, name in creator.items() if name is not None}:
        body["creator"] = named
    settings = {"store": store, "identityPull": identity_pull}
    body |= {field: value for field, value in settings.items() if value is not None}
    api = bootstrap_api(session, bootstrap_credential(session, bootstrap_file, stdin=bootstrap_stdin))
    made = require_object(api.call("POST", "/org", body), session.endpoint)
    session.note(f"/org/{made.get('name')} is made; its first superuser is {made.get('creator')}")
    show_key(session, made, made.get("key"), str(made.get("creator")))


@org.add_command
@noun_command(ORG, "delete", "End an organisation with all that is in it, at once and for ever.")
@click.argument("ref")
@click.option("--force", is_flag=True, help="Also if it has images.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, which is done only in a terminal.")
@click.option(
    "--resume", is_flag=True, help="Go on with a removal that has begun, with the bootstrap credential."
)
@click.option("--no-wait", is_flag=True, help="Do not wait until all is removed; --resume goes on later.")
@bootstrap_options
def _delete(  # noqa: PLR0913 - one per flag
    session: Session,
    ref: str,
    *,
    force: bool,
    yes: bool,
    resume: bool,
    no_wait: bool,
    bootstrap_file: str | None,
    bootstrap_stdin: bool,
) -> None:
    """The removal takes several requests: the first makes the organisation absent for everybody, the others,
    which take the bootstrap credential, remove what it had. The last one frees the name.
    """
    path = ORG.path(session, ref, {})
    separate = bootstrap_file is not None or bootstrap_stdin
    credential = (
        bootstrap_credential(session, bootstrap_file, stdin=bootstrap_stdin) if separate or resume else None
    )
    if resume:
        ending = _resumed(bootstrap_api(session, credential), path)
    else:
        if not yes and is_terminal(sys.stdin):
            _confirm(path)
        params = {"force": "true"} if force else None
        ending = session.api.call("DELETE", path, params=params)
        if ending is not None:
            session.note(f"{path} is ended; what it had is being removed")
    if ending is not None and credential is not None and not no_wait:
        ending = _wait(session, bootstrap_api(session, credential), path, ending)
    _tell(session, path, ending)


def _confirm(path: str) -> None:
    name = path.rpartition("/")[2]
    typed = click.prompt(
        f"This ends {path} for ever. Type {name!r} to go on", err=True, default="", show_default=False
    )
    if typed != name:
        raise Misused("not confirmed", "nothing was changed")


def _resumed(api: Api, path: str) -> Json | None:
    ending: Json | None = api.call("DELETE", path)
    return ending


def _wait(session: Session, api: Api, path: str, ending: Json) -> Json | None:
    """Ask again whenever it is of use, until all is removed."""
    from moorage_cli import retries  # noqa: PLC0415 - help does without

    left: Json | None = ending
    while left is not None:
        session.warn("this takes some minutes, until nothing that was issued before is valid any more")
        retries.pause(_seconds_until(str(left.get("again", ""))))
        try:
            left = _resumed(api, path)
        except NotFound:
            return None
    return None


def _seconds_until(again: str) -> float:
    """How long to wait, at most a minute at a time: clocks may differ."""
    try:
        seconds = (datetime.fromisoformat(again) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return _LONGEST_WAIT
    return min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)


def _tell(session: Session, path: str, ending: Json | None) -> None:
    if session.output in {"json", "yaml"}:
        session.show_document({"finished": True} if ending is None else ending)
    if ending is None:
        session.note(f"{path} is removed")
        return
    name = path.rpartition("/")[2]
    session.note(
        f"its name is taken until the removal has ended; after {ending.get('again')} go on with "
        f"'moorage org delete {name} --resume --bootstrap-file FILE'"
    )
