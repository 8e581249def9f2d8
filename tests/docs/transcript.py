"""A recorded session of a page: what somebody types at a shell, and what is printed, line by line.

A block begins with what it is:

    ```console           after "$ " is what is typed, after "> " how it goes on; all other lines are printed
    ```console clients   the same, and it needs clients of a registry
    ```sh                typed as well, whatever it prints
    ```yaml FILE         what that file holds from then on

Everything is done in one shell and one folder, and every command has to succeed: the exit code of one that fails is
printed by an ``echo`` after it. What differs from run to run may be anything of its kind: digests and ids, moments,
seconds, and how wide a column is. A line ``...`` stands for any lines.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.page import Page, run

_MARK = "--- what is typed in line "
_ANY_LINES = "..."
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "MOMENT"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{16}\b"), "SHORT-DIGEST"),
    (re.compile(r"\b\d+\.\d s\b"), "SECONDS"),
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True, slots=True)
class Typed:
    """What is typed, the line of the page where that stands, and the lines printed; None if they do not count."""

    line: int
    text: str
    printed: tuple[str, ...] | None = None
    needs_clients: bool = False


@dataclass(frozen=True, slots=True)
class Transcript(Page):
    """A page that shows what is typed and printed."""

    def typed(self) -> Iterator[Typed]:
        """All that is typed, in order."""
        for line, language, mark, content in self.blocks():
            if language == "console":
                yield from _session(line, content, needs_clients=mark == "clients")
            elif language == "sh":
                yield Typed(line, content)
            elif language == "yaml" and mark:
                yield Typed(line, f"cat >{shlex.quote(mark)} <<'END OF FILE'\n{content}END OF FILE\n")


def replay(
    transcript: Transcript, home: Path, *, clients: bool, prelude: str = "", **variables: str
) -> list[Typed]:
    """Type all of a session in the folder ``home`` and hold what is printed against the page; what was typed.

    Without ``clients``, what needs them is left out. ``prelude`` goes before the first command.
    """
    typed = [each for each in transcript.typed() if clients or not each.needs_clients]
    parts = [f"printf '\\n%s\\n' '{_MARK}{each.line}'\n{each.text}" for each in typed]
    done = run([prelude, *parts], home, **{"TZ": "UTC", **variables})
    outputs = _by_line(done.stdout.decode("utf-8", "replace"))
    for each in typed:
        place = f"docs/{transcript.name}:{each.line}"
        assert each.line in outputs, f"{place} was not reached: {done.stderr.decode()}"
        output = outputs[each.line]
        failed = each.line == max(outputs) and done.returncode != 0
        assert not failed, f"{place}: exit code {done.returncode}\n{each.text}\n{output}"
        difference = "" if each.printed is None else difference_of(each.printed, output)
        assert not difference, f"{place}\n{each.text}\n{difference}"
    return typed


def difference_of(expected: tuple[str, ...], output: str) -> str:
    """How what was printed differs from what the page says; empty if it does not."""
    wanted = [_settled(line) for line in expected]
    found = [_settled(line) for line in output.splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line == _ANY_LINES else f"{re.escape(line)}\n" for line in wanted)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in found)):
        return ""
    return "\n".join(difflib.ndiff(wanted, found))


def _settled(line: str) -> str:
    for varying, name in _VARYING:
        line = varying.sub(name, line)
    return line.rstrip()


def _session(first: int, content: str, *, needs_clients: bool) -> Iterator[Typed]:
    """What is typed in a block whose first line is ``first``."""
    begun: tuple[int, list[str], list[str]] | None = None
    for number, line in enumerate(content.splitlines(), first):
        if line.startswith("$ "):
            if begun:
                yield _typed(*begun, needs_clients=needs_clients)
            begun = number, [line[2:]], []
            continue
        assert begun is not None, f"line {number} is printed by nothing"
        _, text, printed = begun
        if (line == ">" or line.startswith("> ")) and not printed:
            text.append(line[2:])
        else:
            printed.append(line)
    if begun:
        yield _typed(*begun, needs_clients=needs_clients)


def _typed(line: int, text: list[str], printed: list[str], *, needs_clients: bool) -> Typed:
    return Typed(line, "\n".join(text) + "\n", tuple(printed), needs_clients)


def _by_line(output: str) -> dict[int, str]:
    """What each command has printed, by the line of the page."""
    parts = re.split(rf"^{_MARK}(\d+)\n", output, flags=re.MULTILINE)
    # The line feed before the next mark is not of the output, which mostly ends with one of its own.
    return {int(line): text.removesuffix("\n") for line, text in zip(parts[1::2], parts[2::2], strict=True)}
