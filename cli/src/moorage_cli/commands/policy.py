"""``moorage policy``: who may do what with which resources."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import click

from moorage_cli.bindings import with_binding, without_binding
from moorage_cli.changing import change_locked, create_command
from moorage_cli.errors import Misused
from moorage_cli.kinds import POLICY
from moorage_cli.links import link_to
from moorage_cli.nouns import Json, gvc_option
from moorage_cli.principals import existing, principal_links, principal_options
from moorage_cli.queries import SUBJECTS, build_query, query_options
from moorage_cli.resources import noun_command, noun_group, parse_tags, write
from moorage_cli.session import Session
from moorage_cli.setting import update_command

policy = noun_group(POLICY, "Who may do what with which resources.")
policy.add_command(update_command(POLICY, texts=("description", "target"), lists=("targetLinks",)))

_COPIED = ("targetKind", "target", "targetLinks", "targetQuery", "bindings", "description", "tags")


@policy.add_command
@create_command(POLICY, "Make a policy. It gives nobody anything before add-binding.")
@click.option(
    "--target-kind", required=True, metavar="KIND", help="The kind that it is about, such as image."
)
@click.option("--all", "everything", is_flag=True, help="It is about all of that kind.")
@click.option("--resource", "resources", multiple=True, metavar="NAME", help="It is about this one.")
@gvc_option("Where the identities among --resource are").flag(required=False)
@query_options("query-")
def _create(
    session: Session,
    body: Json,
    target_kind: str,
    resources: tuple[str, ...],
    gvc: str | None,
    *,
    everything: bool,
    query_match: str | None,
    **arguments: Any,
) -> None:
    terms = {subject: arguments[f"query_{subject}"] for subject in SUBJECTS}
    queried = any(terms.values())
    if everything and (resources or queried):
        raise Misused("--all excludes --resource and --query-...")
    if not (everything or resources or queried):
        raise Misused(
            "the policy is about nothing", "add --all, --resource NAME or --query-property NAME=VALUE"
        )
    if query_match is not None and not queried:
        raise Misused("--query-match has nothing to match", "add --query-property NAME=VALUE, or --query-tag")
    body |= {"targetKind": target_kind, "bindings": []}
    if everything:
        body["target"] = "all"
    if resources:
        body["targetLinks"] = [link_to(session.org, target_kind, name, gvc) for name in resources]
    if queried:
        body["targetQuery"] = build_query(target_kind, query_match, **terms)
    write(session, "POST", POLICY.collection_path(session, {}), body, POLICY.columns)


def _binding_options(function: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.argument("ref"),
        click.option(
            "--permission", "permissions", multiple=True, required=True, metavar="NAME", help="Such as pull."
        ),
        principal_options(),
    )
    for option in reversed(options):
        function = option(function)
    return function


@policy.add_command
@noun_command(POLICY, "add-binding", "Give permissions to principals, who have to exist.")
@_binding_options
def _add_binding(session: Session, ref: str, permissions: Sequence[str], **arguments: Any) -> None:
    """One with the same permissions is extended, or else there is one more."""
    path = POLICY.path(session, ref, {})
    links = existing(session, principal_links(session, arguments))

    def change(resource: Json) -> Json | None:
        before = resource.get("bindings") or []
        after = with_binding(before, permissions, links)
        return None if after == before else {"bindings": after}

    change_locked(session, path, change, POLICY.columns)


@policy.add_command
@noun_command(POLICY, "remove-binding", "Take principals out of the binding with just these permissions.")
@_binding_options
def _remove_binding(session: Session, ref: str, permissions: Sequence[str], **arguments: Any) -> None:
    """Also those who do not exist any more."""
    path = POLICY.path(session, ref, {})
    links = principal_links(session, arguments)

    def change(resource: Json) -> Json:
        return {"bindings": without_binding(resource.get("bindings") or [], permissions, links)}

    change_locked(session, path, change, POLICY.columns)


@policy.add_command
@noun_command(POLICY, "clone", "Make a policy like another one.")
@click.argument("ref")
@click.option("--name", required=True, help="The name of the new one.")
@click.option("--description", "--desc", metavar="TEXT", help="What it is for; else as of the other.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="One more metadata tag.")
def _clone(session: Session, ref: str, name: str, description: str | None, tags: Sequence[str]) -> None:
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    source = require_object(session.api.get(POLICY.path(session, ref, {})), session.endpoint)
    body = {"name": name, **{field: source[field] for field in _COPIED if field in source}}
    if description is not None:
        body["description"] = description
    body["tags"] = {**(source.get("tags") or {}), **parse_tags(tags)}
    write(session, "POST", POLICY.collection_path(session, {}), body, POLICY.columns)


_COPY = copy.copy(policy.commands["clone"])
_COPY.hidden = True
policy.add_command(_COPY, "copy")
