"""How far a push is: a bar for each layer where there is a terminal, else nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from moorage_cli.session import Session


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


class Nothing:
    """Bars and a bar where nobody looks."""

    def bar(self, digest: str, size: int, said: str) -> Nothing:  # noqa: ARG002
        """Itself."""
        return self

    def clear(self) -> None:
        """Nothing is there."""

    def advance(self, count: int) -> None:
        """Nobody looks."""

    def end(self, said: str) -> None:
        """Nobody looks."""

    def say(self, said: str) -> None:
        """Nobody looks."""


@contextlib.contextmanager
def bars(session: Session) -> Iterator[Bars]:
    """Bars on stderr, if that is a terminal and nobody asked for a line per request."""
    if not session.draws_bars:
        yield Nothing()
        return
    # Costs much, and only a terminal needs it.
    from moorage_cli.push.terminal_bars import terminal_bars  # noqa: PLC0415

    with terminal_bars(colored=session.colored(sys.stderr)) as shown:
        yield shown or Nothing()
