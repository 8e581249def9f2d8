"""How far a push is: a bar for each layer where there is a terminal, else nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from moorage_cli.session import Session, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SHORT = 12
_NARROW = 70


class Bar(Protocol):
    """What is told about one layer."""

    def advance(self, count: int) -> None:
        """So many bytes more are done; fewer, if it is negative."""
        ...

    def end(self, said: str) -> None:
        """It is done, in a word."""
        ...

    def say(self, said: str) -> None:
        """What is going on with it, in a word."""
        ...


class Bars(Protocol):
    """What is told about all layers."""

    def bar(self, digest: str, size: int, said: str) -> Bar:
        """A bar for a layer of so many bytes."""
        ...

    def clear(self) -> None:
        """Take all bars away; others may come."""
        ...


class _Nothing:
    def bar(self, digest: str, size: int, said: str) -> _Nothing:  # noqa: ARG002
        return self

    def clear(self) -> None:
        """Nothing is there."""

    def advance(self, count: int) -> None:
        """Nobody looks."""

    def end(self, said: str) -> None:
        """Nobody looks."""

    def say(self, said: str) -> None:
        """Nobody looks."""


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID, size: int) -> None:
        self._progress = progress
        self._task = task
        self._size = size

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def say(self, said: str) -> None:
        self._progress.update(self._task, said=said)

    def end(self, said: str) -> None:
        # A bar of nothing would never be full.
        full = max(self._size, 1)
        self._progress.update(self._task, total=full, completed=full, said=said)


class _RichBars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def bar(self, digest: str, size: int, said: str) -> _RichBar:
        short = digest.partition(":")[2][:_SHORT]
        return _RichBar(self._progress, self._progress.add_task(short, total=size, said=said), size)

    def clear(self) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)


@contextlib.contextmanager
def bars(session: Session) -> Iterator[Bars]:
    """Bars on stderr, if that is a terminal and nobody asked for a line per request."""
    if not is_terminal(sys.stderr) or session.verbose:
        yield _Nothing()
        return
    from rich.console import Console  # noqa: PLC0415 - costs much, and only a terminal needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TransferSpeedColumn,
    )
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True, no_color=not session.colored(sys.stderr), highlight=False)
    if not console.is_terminal:
        yield _Nothing()
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
    ]
    if console.width >= _NARROW:
        columns += [
            DownloadColumn(table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
        ]
    columns.append(TextColumn("{task.fields[said]}", table_column=Column(no_wrap=True, width=11)))
    with Progress(*columns, console=console, expand=True, refresh_per_second=5) as progress:
        yield _RichBars(progress)
