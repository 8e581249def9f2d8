"""Waiting for a job: a bar where there is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from moorage_cli import retries
from moorage_cli.errors import CliError, NotLoggedIn, Unreachable
from moorage_cli.nouns import Json
from moorage_cli.output import amount
from moorage_cli.session import Session
from moorage_cli.signals import Terminated

if TYPE_CHECKING:
    from rich.progress import Progress

Show = Callable[[Json], None]

# A copy within one store is done in the blink of an eye; others take minutes.
_FIRST_WAIT, _LONGEST_WAIT, _GROWTH = 0.1, 2.0, 1.5
_BETWEEN_LINES = 10.0
_NARROW = 60
_OPEN = frozenset({"queued", "running"})


def wait_for(session: Session, path: str, job: Json) -> Json:
    """The job at ``path`` when it has succeeded; ``job`` is what is known of it.

    Raises:
        CliError: it has failed, with its reason, or was cancelled; or the registry is not reached.
    """
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    pause = _FIRST_WAIT
    try:
        with _shown(session) as show:
            show(job)
            while job.get("state") in _OPEN:
                retries.pause(pause)
                pause = min(pause * _GROWTH, _LONGEST_WAIT)
                job = require_object(session.api.get(path), session.endpoint)
                show(job)
    except (KeyboardInterrupt, Terminated, Unreachable, NotLoggedIn):
        # Whatever ends the waiting, such as a token that is over, does not end the job.
        session.note(
            f"the job goes on; see it with 'moorage job get {path}', end it with 'moorage job cancel'"
        )
        raise
    return _required_success(job)


def _required_success(job: Json) -> Json:
    state = job.get("state")
    if state == "succeeded":
        return job
    reason = str(job.get("reason") or "no reason was given")
    raise CliError("the job was cancelled" if state == "cancelled" else f"the job has {state}: {reason}")


def summary(job: Json) -> str:
    """How far a job is, in words."""
    progress = job.get("progress") or {}
    tags, manifests, sizes = (progress.get(what) or {} for what in ("tags", "manifests", "bytes"))
    said: list[str] = []
    if tags.get("total", 0) > 1:
        said.append(f"{tags.get('done', 0)} of {tags['total']} tags")
    if manifests.get("total"):
        said.append(f"{manifests.get('done', 0)} of {manifests['total']} manifests")
    if sizes.get("total"):
        said.append(f"{amount(sizes.get('done', 0))} of {amount(sizes['total'])}")
    return ", ".join(said)


@contextlib.contextmanager
def _shown(session: Session) -> Iterator[Show]:
    if not session.draws_bars:
        yield _lines(session)
        return
    from rich.console import Console  # noqa: PLC0415 - costs much, and only a terminal needs it
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True, no_color=not session.colored(sys.stderr), highlight=False)
    text = "{task.fields[said]}" if console.width >= _NARROW else "{task.percentage:>3.0f}%"
    with Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TextColumn(text, table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        transient=True,
        refresh_per_second=5,
    ) as progress:
        yield _bar(progress)


def _bar(progress: Progress) -> Show:
    task = progress.add_task("queued", total=None, said="")

    def show(job: Json) -> None:
        known = job.get("progress") or {}
        # Within one store no byte moves, but what is linked counts like what is copied.
        counted: Json = next(
            (known[each] for each in ("bytes", "manifests") if (known.get(each) or {}).get("total")), {}
        )
        progress.update(
            task,
            description=str(job.get("state", "")),
            completed=counted.get("done", 0),
            total=counted.get("total") or None,
            said=summary(job),
        )

    return show


def _lines(session: Session) -> Show:
    told = (float("-inf"), "")

    def show(job: Json) -> None:
        nonlocal told
        now, state = time.monotonic(), str(job.get("state", ""))
        if state in _OPEN and (state != told[1] or now - told[0] >= _BETWEEN_LINES):
            told = (now, state)
            session.note(", ".join(filter(None, (f"the job is {state}", summary(job)))))

    return show
