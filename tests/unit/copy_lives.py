"""Lives of workers, and their deaths: no exception that anybody handles, for from then on nothing of that worker
gets through any more, from none of its threads.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.unit.copy_world import CopyWorld


class Death(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Point:
    """A moment in the life of a worker: before a call, or after it, when its answer is lost."""

    call: str | None
    """None: whichever it is."""
    ordinal: int
    """From 1, among the calls of that name."""
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.call or 'call'} {self.ordinal}"

    def is_reached(self, name: str, counts: Counter[str]) -> bool:
        """Whether it is at this call, which is counted already."""
        if self.call is None:
            return self.ordinal == counts.total()
        return (self.call, self.ordinal) == (name, counts[name])


@dataclass
class Life:
    """One worker's, in all its threads: counts its calls, and ends at a point."""

    ends: Point | None = None
    counts: Counter[str] = field(default_factory=Counter)
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wrap(self, target: Any) -> Any:
        return _Mortal(self, target, type(target).__name__.removeprefix("Memory").lower())

    def call(self, name: str, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with self.lock:
            if self.over:
                raise Death
            self.counts[name] += 1
            end = self.ends
            dies = end is not None and end.is_reached(name, self.counts)
            if end is not None and dies and not end.after:
                self.over = True
                raise Death
        answer = method(*arguments, **named)
        if dies:
            self.over = True
        if self.over:
            raise Death
        return answer

    def points(self) -> list[Point]:
        """All that there are in a life that has not been cut short."""
        return [
            Point(call, ordinal, after)
            for call, count in sorted(self.counts.items())
            for ordinal in range(1, count + 1)
            for after in (False, True)
        ]


class _Mortal:
    def __init__(self, life: Life, target: Any, name: str) -> None:
        self._life, self._target, self._name = life, target, name

    def __getitem__(self, name: str) -> Any:
        return _Mortal(self._life, self._target[name], f"store {name}")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        return lambda *arguments, **named: self._life.call(
            f"{self._name}.{name}", method, *arguments, **named
        )


@contextmanager
def lived(world: CopyWorld, life: Life) -> Iterator[None]:
    """What is done in here is done by workers of one life, and left where they die."""
    before, world.wrap = world.wrap, life.wrap
    try:
        with suppress(Death):
            yield
    finally:
        world.wrap = before
