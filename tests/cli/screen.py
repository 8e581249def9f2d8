"""A real terminal of a given size, by tmux: what a person would see there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.programs import needing

NEEDED = needing("tmux")
"""Marks tests that take a ``Screen``."""

WITHIN = 90.0
# The terminal stays when the program has ended, and is as that has left it.
_KEEPING = 'trap : INT; "$@"; echo $? >exit.part; mv exit.part exit; exec cat'
_SETTINGS = """\
set -g default-terminal screen
set -g status off
"""


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal, and the one program that runs in it."""

    socket: Path
    exit: Path

    @property
    def rows(self) -> list[str]:
        """What stands in each row, but for empty ones at the end."""
        return self._tmux("capture-pane", "-p").rstrip().splitlines()

    @property
    def history(self) -> list[str]:
        """The same with the rows that have left the terminal at its top."""
        return self._tmux("capture-pane", "-p", "-S", "-").rstrip().splitlines()

    @property
    def wrapped(self) -> bool:
        """Whether a line goes on in the next row."""
        return self._tmux("capture-pane", "-p", "-J").rstrip().count("\n") + 1 < len(self.rows)

    @property
    def cursor_is_shown(self) -> bool:
        return self._ask("cursor_flag") == "1"

    @property
    def colored(self) -> bool:
        """Whether anything is written in another colour."""
        return "\x1b[3" in self._tmux("capture-pane", "-p", "-e")

    def type(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them; others are text."""
        self._tmux("send-keys", *keys)

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """The rows as soon as they are so."""
        deadline = time.monotonic() + WITHIN
        while not seen(rows := self.rows):
            assert time.monotonic() < deadline, rows
            time.sleep(0.05)
        return rows

    def exit_code(self) -> int:
        """That of the program, when it has ended."""
        deadline = time.monotonic() + WITHIN
        while not self.exit.exists():
            assert time.monotonic() < deadline, self.rows
            time.sleep(0.05)
        return int(self.exit.read_text("ascii"))

    def _ask(self, what: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{what}}}").strip()

    def _tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-u", "-S", self.socket, *words], capture_output=True, check=True, text=True, timeout=60
        ).stdout


@contextmanager
def screen(
    folder: Path, columns: int, words: Sequence[str | Path], environment: Mapping[str, str]
) -> Iterator[Screen]:
    """A terminal of 30 rows, in which ``words`` run in ``folder``, with these variables and what tmux sets.

    ``folder`` has to have a short name, for that of a socket cannot be long.
    """
    socket, settings, code = folder / "tmux", folder / "tmux.conf", folder / "exit"
    code.unlink(missing_ok=True)
    settings.write_text(_SETTINGS, "utf-8")
    variables = [f"{name}={value}" for name, value in {"TERM": "screen", **environment}.items()]
    size = ("-x", str(columns), "-y", "30")
    subprocess.run(
        [
            *("tmux", "-u", "-S", socket, "-f", settings, "new-session", "-d", *size, "--"),
            *("env", "-i", *variables, "sh", "-c", _KEEPING, "sh", *words),
        ],
        check=True,
        timeout=60,
        cwd=folder,
    )
    try:
        yield Screen(socket, code)
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], check=False, capture_output=True, timeout=60)
