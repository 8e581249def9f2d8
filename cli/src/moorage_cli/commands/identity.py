"""``moorage identity``: workloads that sign in without a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from moorage_cli.changing import create_command
from moorage_cli.errors import Misused
from moorage_cli.kinds import IDENTITY
from moorage_cli.nouns import Json
from moorage_cli.resources import noun_group, scope_of, write
from moorage_cli.session import Session
from moorage_cli.setting import update_command

identity = noun_group(IDENTITY, "Workloads that sign in without keys.")
identity.add_command(update_command(IDENTITY))


@identity.add_command
@create_command(IDENTITY, "Make an identity, with one rule or none for whose tokens prove to be it.")
@click.option("--issuer", metavar="URL", help="Who issues the tokens; their iss.")
@click.option("--audience", multiple=True, metavar="TEXT", help="What one of is in aud; else HOST/ORG.")
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME=PATTERN", help="What a claim has to be; one of several."
)
def _create(
    session: Session,
    body: Json,
    issuer: str | None,
    audience: Sequence[str],
    claims: Sequence[str],
    **arguments: Any,
) -> None:
    if issuer is None and (audience or claims):
        raise Misused("--audience and --claim are about the tokens of an issuer", "add --issuer URL")
    if issuer is not None:
        body["trust"] = [_rule(issuer, audience, claims)]
    path = IDENTITY.collection_path(session, scope_of(IDENTITY, arguments))
    write(session, "POST", path, body, IDENTITY.columns)


def _rule(issuer: str, audience: Sequence[str], claims: Sequence[str]) -> Json:
    rule: Json = {"issuer": issuer}
    if audience:
        rule["audience"] = list(audience)
    patterns: dict[str, list[str]] = {}
    for text in claims:
        name, equals, pattern = text.partition("=")
        if not name or not equals:
            raise Misused(f"--claim {text!r} is no pattern", "write NAME=PATTERN")
        patterns.setdefault(name, []).append(pattern)
    if patterns:
        rule["claims"] = patterns
    return rule
