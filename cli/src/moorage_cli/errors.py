"""Everything that can go wrong in the command, as one tree; each has the exit code that stands beside it.

    CliError                 1
    ├── Misused              2   flags, names or files that make no sense
    ├── NotFound             3
    ├── NotAllowed           4
    │   └── NotLoggedIn      4   no key, or one that is not (or no longer) valid
    ├── Conflict             5
    │   └── VersionMismatch  5   somebody else has changed the resource
    └── Unreachable          6   network, or a registry that is not available
        └── NotARegistry     6   something answers, but no registry

Beside these, 130 means interrupted, 129 and 143 ended by SIGHUP and SIGTERM, and 141 that the reader of the
output went away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

INTERRUPTED = 130
PIPE_CLOSED = 141


class CliError(Exception):
    """The root: ``message`` is what is wrong, ``hint`` what to do about it, if that is known.

    Neither may hold a key, a token or a presigned address. ``status``, ``code``, ``request_id`` and
    ``details`` are those of the registry's answer, where there was one.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = None,
        code: str = "",
        request_id: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status
        self.code = code
        self.request_id = request_id
        self.details = dict(details or {})

    @property
    def line(self) -> str:
        """All of it in one line."""
        text = f"{self.message.rstrip('.')}; {self.hint}" if self.hint else self.message
        return printable(" ".join(text.split()))


class Misused(CliError):
    """Flags, names or files that make no sense."""

    exit_code = 2


class NotFound(CliError):
    """There is no such thing, and the caller would see it."""

    exit_code = 3


class NotAllowed(CliError):
    """The policies do not give the caller this, or there is nothing there."""

    exit_code = 4


class NotLoggedIn(NotAllowed):
    """No key, or one that is not valid, or no longer."""


class Conflict(CliError):
    """What is there is in the way."""

    exit_code = 5


class VersionMismatch(Conflict):
    """Somebody else has changed the resource since it was read."""


class Unreachable(CliError):
    """The network, or the registry behind it, does not answer as it should."""

    exit_code = 6


class NotARegistry(Unreachable):
    """Something answers at the endpoint, but not as a registry does."""


def together(message: str, errors: Iterable[CliError]) -> CliError:
    """An error for several that have been told already; its exit code is theirs, if they have the same."""
    error = CliError(message)
    codes = {each.exit_code for each in errors}
    if len(codes) == 1:
        error.exit_code = codes.pop()
    return error


def unforeseen(error: Exception, hint: str) -> str:
    """The line about an error that nobody thought of, without what it says itself: that may be anything."""
    return f"this should not happen ({type(error).__name__}); {hint}"


def printable(text: str) -> str:
    """``text`` with control characters written out, so that nothing a server says steers a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
