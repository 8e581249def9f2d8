"""What was planned, done: resource by resource, each with a line that says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

import click

from moorage_cli.apply.checking import Outcome, Planned, find
from moorage_cli.apply.comparing import difference
from moorage_cli.apply.items import Item, put_path
from moorage_cli.errors import CliError, NotFound, NotLoggedIn, Unreachable, printable, together
from moorage_cli.nouns import Json
from moorage_cli.session import Session

T = TypeVar("T")

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


class Report:
    """Tells what became of each resource: in text as it happens, else all at the end."""

    def __init__(self, session: Session, *, dry_run: bool = False) -> None:
        self._session = session
        self._dry_run = dry_run
        self._rows: list[Json] = []

    def tell(self, outcome: Outcome, item: Item, path: str, diff: Sequence[str] = ()) -> None:
        """``path`` is what became of ``item``; with ``diff``, how it would change."""
        suffix = " (dry run)" if self._dry_run else ""
        row: Json = {"kind": item.kind.noun.kind, "name": item.name, "outcome": outcome.value}
        row["links"] = [{"rel": "self", "href": path}]
        if self._dry_run:
            row |= {"dryRun": True, "diff": "\n".join(diff)}
        self._rows.append(row)
        if self._session.output == "text" and outcome is not Outcome.FAILED:
            click.echo(f"{outcome} {printable(path)}{suffix}")
            for line in diff:
                self._tell_line(line)

    def end(self) -> None:
        """Write what is not written yet."""
        if self._session.output != "text":
            self._session.show_list("outcome", self._rows, ())

    def _tell_line(self, line: str) -> None:
        colored = self._session.colored()
        text = printable(line)
        click.echo(click.style(text, fg=_COLOURS.get(line[:1])) if colored else text, color=colored)


def show_plan(session: Session, plan: Sequence[Planned]) -> None:
    """What ``write_all`` would do, with what would change."""
    report = Report(session, dry_run=True)
    for planned in plan:
        names = (planned.item.path if planned.before else "/dev/null", str(planned.item.place))
        report.tell(
            planned.outcome, planned.item, planned.item.path, difference(planned.before, planned.after, names)
        )
    report.end()


def write_all(session: Session, plan: Sequence[Planned]) -> None:
    """Write what is planned. A refusal does not keep the others from being written.

    Raises:
        CliError: one was refused, or the registry is not reached any more.
    """

    def write(report: Report, planned: Planned) -> None:
        if planned.outcome is Outcome.UNCHANGED:
            report.tell(planned.outcome, planned.item, planned.item.path)
            return
        outcome, answer = _put(session, planned)
        for each in answer.get("warnings") or ():
            session.note(f"{planned.item.path}: warning: {each}")
        report.tell(outcome, planned.item, planned.item.path)

    _each(session, [(each.item, each) for each in plan], write)


def delete_all(session: Session, items: Sequence[Item], *, force: bool, dry_run: bool) -> None:
    """Delete what ``items`` name, in their order; what is not there is no failure.

    Raises:
        CliError: one was refused, or the registry is not reached any more.
    """

    def delete(report: Report, item: Item) -> None:
        params = {"force": "true"} if force and item.kind.noun.forced else None
        try:
            if not dry_run:
                session.api.call("DELETE", item.path, params=params)
            there = not dry_run or find(session, item) is not None
        except NotFound:
            there = False
        report.tell(Outcome.DELETED if there else Outcome.ABSENT, item, item.path)

    _each(session, [(item, item) for item in items], delete, dry_run=dry_run)


def _each(
    session: Session,
    work: Sequence[tuple[Item, T]],
    act: Callable[[Report, T], None],
    *,
    dry_run: bool = False,
) -> None:
    report = Report(session, dry_run=dry_run)
    failures: list[CliError] = []
    done = 0
    try:
        for item, each in work:
            try:
                act(report, each)
            except (Unreachable, NotLoggedIn):
                session.note(f"{item.title} failed; {done} were done before, the others were not tried")
                raise
            except CliError as error:
                failures.append(error)
                session.note(f"{item.title}: {error.line}")
                report.tell(Outcome.FAILED, item, item.path)
            done += 1
    finally:
        report.end()
    if failures:
        failed = together(f"{len(failures)} of {len(work)} failed", failures)
        raise failed if len(failures) == len(work) else CliError(failed.message)


def _put(session: Session, planned: Planned) -> tuple[Outcome, Json]:
    from moorage_cli.answers import json_of  # noqa: PLC0415 - help does without
    from moorage_cli.api import require_object  # noqa: PLC0415

    response = session.api.send("PUT", put_path(session, planned.item), planned.body)
    answer = require_object(json_of(response, session.endpoint), session.endpoint)
    if response.status_code == HTTPStatus.CREATED:
        return Outcome.CREATED, answer
    same = planned.current is not None and answer.get("version") == planned.current.get("version")
    return (Outcome.UNCHANGED if same else Outcome.UPDATED), answer
