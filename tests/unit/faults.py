"""Dependencies that fail when a test says so, and that remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moorage.domain.errors import Unavailable


class Faults:
    """Counts the calls of everything it has wrapped, and lets the one that a test names fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._error: Callable[[], BaseException] = lambda: Unavailable("the dependency failed")
        self._at: int | None = None
        self._named: str | None = None
        self._lost = False
        self._interruption: tuple[int, Callable[[], object]] | None = None

    def wrap(self, target: Any) -> Any:
        """``target``, every public method of which goes through here."""
        return _Wrapped(target, self)

    @contextmanager
    def failing(
        self,
        *,
        at: int | None = None,
        named: str | None = None,
        lost: bool = False,
        error: Callable[[], BaseException] | None = None,
    ) -> Iterator[None]:
        """The ``at``-th call from now on (from 0), or every call of the method ``named``, fails before it does
        anything; or, ``lost``, after it has done all, as when an answer is lost.
        """
        before = self._error
        self.calls.clear()
        self._at, self._named, self._lost, self._error = at, named, lost, error or before
        try:
            yield
        finally:
            self._at, self._named, self._error = None, None, before

    @contextmanager
    def interrupted(self, at: int, by: Callable[[], object]) -> Iterator[Callable[[], bool]]:
        """Before the ``at``-th call from now on (from 0), somebody else does ``by`` as a whole; whether it came
        to that.
        """
        happened: list[bool] = []

        def interrupt() -> None:
            happened.append(True)
            by()

        self.calls.clear()
        self._interruption = at, interrupt
        try:
            yield lambda: bool(happened)
        finally:
            self._interruption = None

    def call(self, name: str, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Make one call, unless it has to fail."""
        if self._interruption is not None and self._interruption[0] == len(self.calls):
            _, by = self._interruption
            self._interruption = None
            by()
        fails = len(self.calls) == self._at or name == self._named
        self.calls.append(name)
        if fails and not self._lost:
            raise self._error()
        answer = method(*arguments, **named)
        if fails:
            raise self._error()
        return answer


class _Wrapped:
    def __init__(self, target: Any, faults: Faults) -> None:
        self._target = target
        self._faults = faults

    def __getitem__(self, name: str) -> Any:
        """One of several that ``target`` holds: no call, for nothing is asked of it yet."""
        return _Wrapped(self._target[name], self._faults)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def call(*arguments: Any, **named: Any) -> Any:
            return self._faults.call(name, method, *arguments, **named)

        return call
