"""Bars in a terminal, as many as it has rows for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

_SHORT = 12
_NARROW = 70
# The line that tells how many are not seen, and the one that the cursor is in.
_OTHER_ROWS = 2


class FittingProgress(Progress):
    """While it runs, no more bars than there are rows: those that move first, then those that wait, and last
    those that are done. When it stops, all of them are left.
    """

    _stopping = False

    def get_renderables(self) -> Iterable[RenderableType]:
        """See ``rich``."""
        tasks = self.tasks
        # Without tasks there may be no console yet.
        all_seen = self._stopping or not tasks
        seen = tasks if all_seen else fitting(tasks, self.console.height - _OTHER_ROWS)
        yield self.make_tasks_table(seen)
        if len(seen) < len(tasks):
            done = sum(task.fields["ended"] for task in tasks)
            yield Text(f"{done} of {len(tasks)} done", no_wrap=True)

    def stop(self) -> None:
        """See ``rich``."""
        self._stopping = True
        super().stop()


def fitting(tasks: Sequence[Task], rows: int) -> list[Task]:
    """As many of the tasks as there are rows for, in their order."""
    if len(tasks) <= rows:
        return list(tasks)
    by_interest = sorted(tasks, key=lambda task: (task.fields["ended"], not task.completed))
    wanted = {task.id for task in by_interest[: max(rows, 1)]}
    return [task for task in tasks if task.id in wanted]


class _Bar:
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
        self._progress.update(self._task, total=full, completed=full, said=said, ended=True)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def bar(self, digest: str, size: int, said: str) -> _Bar:
        short = digest.partition(":")[2][:_SHORT]
        task = self._progress.add_task(short, total=size, said=said, ended=False)
        return _Bar(self._progress, task, size)

    def clear(self) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)


@contextlib.contextmanager
def terminal_bars(*, colored: bool) -> Iterator[_Bars | None]:
    """Bars on stderr; None if that is a terminal in which nothing can be drawn."""
    console = Console(stderr=True, no_color=not colored, highlight=False)
    if not console.is_terminal:
        yield None
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
    with FittingProgress(*columns, console=console, expand=True, refresh_per_second=5) as progress:
        yield _Bars(progress)
