"""``moorage user``: people in the organisation."""

from __future__ import annotations

from collections.abc import Sequence

import click

from moorage_cli.errors import CliError
from moorage_cli.keys import add_key_commands
from moorage_cli.kinds import USER
from moorage_cli.links import link_to
from moorage_cli.nouns import Json
from moorage_cli.output import Column
from moorage_cli.resources import noun_command, noun_group
from moorage_cli.session import Session
from moorage_cli.setting import update_command

user = noun_group(USER, "People in the organisation, by e-mail address.")
user.add_command(update_command(USER))
add_key_commands(user, USER)

_INVITED = (Column("EMAIL", "name", whole=True), Column("LINK", "link", whole=True))


@user.add_command
@noun_command(USER, "invite", "Bring people into the organisation; who is there already stays.")
@click.argument("addresses", nargs=-1, metavar="[EMAIL]...")
@click.option(
    "--email", "emails", multiple=True, metavar="EMAIL", help="An address, in place of an argument."
)
@click.option("--group", metavar="NAME", help="The group that they join.")
def _invite(session: Session, addresses: Sequence[str], emails: Sequence[str], group: str | None) -> None:
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    wanted = list(dict.fromkeys([*addresses, *emails]))
    if not wanted:
        raise click.UsageError("Missing argument 'EMAIL'.")
    body: Json = {"emails": wanted}
    if group is not None:
        body["groupLink"] = link_to(session.org, "group", group)
    path = f"{USER.collection_path(session, {})}/-invite"
    answer = require_object(session.api.call("POST", path, body), session.endpoint)
    links: dict[str, str] = answer.get("invitations") or {}
    rows = [
        {"name": email, "link": link, "links": [{"rel": "self", "href": link}]}
        for email, link in links.items()
    ]
    if session.output in {"json", "yaml"}:
        session.show_document(answer)
    else:
        session.show_list("invitation", rows, _INVITED)
    errors: dict[str, str] = answer.get("errors") or {}
    for email, reason in errors.items():
        session.note(f"{email}: {reason}")
    if errors:
        raise CliError(f"{len(errors)} of {len(wanted)} were not invited")
