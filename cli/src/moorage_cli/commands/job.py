"""``moorage job``: copies that go on by themselves."""

from __future__ import annotations

import copy

import click

from moorage_cli.kinds import JOB
from moorage_cli.resources import for_each, noun_command, noun_group, show_named
from moorage_cli.session import Session

_STATES = ("queued", "running", "succeeded", "failed", "cancelled")

job = noun_group(JOB, "Copies of images, while they are made and for 30 days.", ())


@noun_command(JOB, "get", "Show jobs, the newest first: all, or those that are named.")
@click.argument("refs", nargs=-1, metavar="[ID]...")
@click.option("--state", type=click.Choice(_STATES), help="Only jobs of this state.")
def _get(session: Session, refs: tuple[str, ...], state: str | None) -> None:
    if refs:
        show_named(session, JOB, refs, {})
        return
    found = session.items(
        JOB.collection_path(session, {}),
        page_size=JOB.page_size,
        params={"state": state} if state else None,
    )
    session.show_list(JOB.kind, found, JOB.columns)


job.add_command(_get)
# Some look for a list under this name.
_LIST = copy.copy(_get)
_LIST.hidden = True
job.add_command(_LIST, "list")


@job.add_command
@noun_command(JOB, "wait", "Wait until a job has ended; exit with 1 if it has not succeeded.")
@click.argument("ref", metavar="ID")
def _wait(session: Session, ref: str) -> None:
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without
    from moorage_cli.waiting import wait_for  # noqa: PLC0415

    path = JOB.path(session, ref, {})
    known = require_object(session.api.get(path), session.endpoint)
    session.show(wait_for(session, path, known), JOB.columns)


@job.add_command
@noun_command(JOB, "cancel", "End jobs before they are done; what they have copied by then stays.")
@click.argument("refs", nargs=-1, required=True, metavar="ID...")
def _cancel(session: Session, refs: tuple[str, ...]) -> None:
    def cancel(reference: str) -> None:
        # Ending it twice does no harm.
        session.api.call("POST", f"{JOB.path(session, reference, {})}/-cancel", repeatable=True)

    for_each(session, refs, cancel)
