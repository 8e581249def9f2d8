"""``moorage group``: principals under one name."""

from __future__ import annotations

from typing import Any

import click

from moorage_cli.changing import change_locked, create_command
from moorage_cli.errors import NotFound
from moorage_cli.kinds import GROUP
from moorage_cli.nouns import Json
from moorage_cli.principals import MEMBERS, existing, principal_links, principal_options
from moorage_cli.queries import SUBJECTS, build_query, query_options
from moorage_cli.resources import noun_command, noun_group, write
from moorage_cli.session import Session
from moorage_cli.setting import update_command

group = noun_group(GROUP, "Users and service accounts under one name.")
group.add_command(update_command(GROUP, lists=("memberLinks",)))

_LINKS = "memberLinks"


@group.add_command
@create_command(GROUP, "Make a group. Members have to exist; a query finds users as they are then.")
@principal_options(MEMBERS)
@query_options("query-")
def _create(session: Session, body: Json, query_match: str | None, **arguments: Any) -> None:
    terms = {subject: arguments[f"query_{subject}"] for subject in SUBJECTS}
    if any(arguments[flag] for flag in MEMBERS):
        body[_LINKS] = existing(session, principal_links(session, arguments))
    if any(terms.values()):
        body["memberQuery"] = build_query("user", query_match, **terms)
    write(session, "POST", GROUP.collection_path(session, {}), body, GROUP.columns)


@group.add_command
@noun_command(GROUP, "add-member", "Put users and service accounts, who have to exist, into a group.")
@click.argument("ref")
@principal_options(MEMBERS)
def _add_member(session: Session, ref: str, **arguments: Any) -> None:
    path = GROUP.path(session, ref, {})
    links = existing(session, principal_links(session, arguments))

    def change(resource: Json) -> Json | None:
        before = resource.get(_LINKS) or []
        after = list(dict.fromkeys([*before, *links]))
        return None if after == before else {_LINKS: after}

    change_locked(session, path, change, GROUP.columns)


@group.add_command
@noun_command(GROUP, "remove-member", "Take users and service accounts out of a group.")
@click.argument("ref")
@principal_options(MEMBERS)
def _remove_member(session: Session, ref: str, **arguments: Any) -> None:
    path = GROUP.path(session, ref, {})
    links = principal_links(session, arguments)

    def change(resource: Json) -> Json:
        before = resource.get(_LINKS) or []
        absent = [link for link in links if link not in before]
        if absent:
            hint = "it has a query, too, that finds members" if resource.get("memberQuery") else ""
            raise NotFound(f"the group does not name {', '.join(absent)}; nothing was changed", hint)
        return {_LINKS: [link for link in before if link not in links]}

    change_locked(session, path, change, GROUP.columns)
