"""``moorage apply`` and ``moorage delete``: resources as files have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from moorage_cli.errors import CliError, together
from moorage_cli.session import Session, common_options, pass_session

if TYPE_CHECKING:
    from moorage_cli.apply.items import Item

Command = TypeVar("Command", bound=Callable[..., None])


def _sources(command: Command) -> Command:
    return click.option(
        "--file",
        "-f",
        "sources",
        multiple=True,
        required=True,
        metavar="FILE|DIR|-",
        help="JSON or YAML, of several documents or lists; of a folder all .yaml, .yml and .json.",
    )(command)


@click.command()
@common_options
@_sources
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit code 0 if nothing is wrong.")
@click.option("--overwrite", is_flag=True, help="Also what has changed since the version that a file names.")
@pass_session
def apply(session: Session, sources: tuple[str, ...], *, dry_run: bool, overwrite: bool) -> None:
    """Make and change resources as JSON and YAML files say.

    Files may be what 'get -o yaml' gave. All are read and checked first, in the end by the registry itself,
    and if anything is wrong, that is said and nothing is written. Then each resource becomes what its file
    says, with a line 'created LINK', 'updated LINK' or 'unchanged LINK': fields that it does not name become
    what they are by default. If the registry refuses one in spite of the checks, the others are written all
    the same. Organisations, users and images have to be there; of images, only tags are written.
    """
    from moorage_cli.apply import checking, rehearsing, writing  # noqa: PLC0415 - help does without

    items = _read(session, sources)
    checks = checking.Checks(session, overwrite=overwrite)
    plan = checks.plan(items)
    _refuse(session, checks.problems, len(items))
    refused = rehearsing.refusals(session, plan, checks.shapes)
    _refuse(session, [checking.about(*each) for each in refused], len(items))
    if dry_run:
        writing.show_plan(session, plan)
    else:
        writing.write_all(session, plan)


@click.command()
@common_options
@_sources
@click.option("--force", is_flag=True, help="Also what groups and policies name: it is taken out of them.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@pass_session
def delete(session: Session, sources: tuple[str, ...], *, force: bool, dry_run: bool) -> None:
    """Delete the resources that JSON and YAML files name.

    Only kind and name count. All files are read before anything is deleted, in the reverse order of 'apply',
    with a line 'deleted LINK' or 'absent LINK' for each. An organisation itself stays: 'org delete' ends it.
    """
    from moorage_cli.apply import writing  # noqa: PLC0415
    from moorage_cli.apply.kinds import KINDS  # noqa: PLC0415

    order = list(KINDS)
    items = _read(session, sources)
    for item in items:
        if item.kind.noun.kind == "org":
            session.note(f"{item.title} stays; 'moorage org delete' ends it")
    found = [item for item in items if item.kind.noun.kind != "org"]
    found.sort(key=lambda item: order.index(item.kind.noun.kind), reverse=True)
    writing.delete_all(session, found, force=force, dry_run=dry_run)


def _read(session: Session, sources: Sequence[str]) -> list[Item]:
    from moorage_cli.apply.items import read_items  # noqa: PLC0415

    items, problems = read_items(session, sources)
    _refuse(session, problems, len(items))
    return items


def _refuse(session: Session, problems: Sequence[CliError], read: int) -> None:
    """Say all that is wrong, and end if there is anything. The exit code is that of all problems, if it is
    the same for all.
    """
    if not problems:
        return
    for each in problems:
        session.note(each.line)
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    raise together(f"{count}, beside {read} resources that were read; nothing was changed", problems)
