"""A guide as a newcomer follows it: its commands, one after another, in one shell.

A block of a page begins with what it is:

    ```sh            commands that succeed
    ```sh docker     the same, and they need clients of a registry
    ```sh refused    the last of its commands fails, which is what the page wants to show
    ```sh elsewhere  commands that cannot be run here; ``Guide.elsewhere`` lists them
    ```text          lines that the commands before have printed; ``...`` stands for any that are left out
    ```text whole    all that they have printed
    ```json          what the commands before have printed last, of which members may be left out

Everything else is for the reader alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.docs.page import Page, run

_MARK = "--- the commands of line "
_WORDS = frozenset({"docker", "refused", "elsewhere", "whole"})


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, the line that it begins at, and what it is marked with."""

    line: int
    language: str
    marks: frozenset[str]
    text: str

    @property
    def first(self) -> str:
        """Its first line, by which a person finds it."""
        return self.text.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """Commands, and what they are said to print."""

    commands: Block
    expected: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Guide(Page):
    """A page that a person follows."""

    @property
    def steps(self) -> list[Step]:
        """The commands of the page that can be run, with what follows each."""
        return [step for step in self._steps() if "elsewhere" not in step.commands.marks]

    @property
    def elsewhere(self) -> list[str]:
        """The first lines of the blocks that cannot be run here."""
        return [step.commands.first for step in self._steps() if "elsewhere" in step.commands.marks]

    def _steps(self) -> Iterator[Step]:
        commands, expected = None, list[Block]()
        for block in self._blocks():
            if block.language == "sh":
                if commands is not None:
                    yield Step(commands, tuple(expected))
                commands, expected = block, []
            elif block.language in ("text", "json"):
                expected.append(block)
        if commands is not None:
            yield Step(commands, tuple(expected))

    def _blocks(self) -> Iterator[Block]:
        for line, language, mark, content in self.blocks():
            marks = frozenset(mark.split())
            assert marks <= _WORDS, f"{self.name}:{line}: unknown marks {marks - _WORDS}"
            yield Block(line, language, marks, content)


def follow(guide: Guide, home: Path, *, prelude: str = "", without: str = "", **variables: str) -> int:
    """Run the commands of a guide in the folder ``home``, but those that are marked ``without``, and hold what
    they print against the page; how many blocks that were. ``prelude`` goes before the first command.
    """
    steps = [step for step in guide.steps if without not in step.commands.marks]
    finished = run([prelude, *(_run(step.commands) for step in steps)], home, **variables)
    printed = _printed(finished.stdout.decode("utf-8", "replace"))
    for step in steps:
        block = step.commands
        output = printed.get(block.line)
        place = f"docs/{guide.name}:{block.line}"
        assert output is not None, f"{place} was not reached: {finished.stderr.decode()}"
        if block.line == max(printed):
            assert finished.returncode == 0, f"{place}\n{block.text}\n{output}"
        for each in step.expected:
            problem = _difference(each, output)
            assert not problem, f"docs/{guide.name}:{each.line}: {problem}\n{block.text}\n{output}"
    return len(steps)


def _run(block: Block) -> str:
    """A block after a line that says which; one that has to fail ends the script if it does not."""
    mark = f"printf '\\n%s\\n' '{_MARK}{block.line}'"
    if "refused" not in block.marks:
        return f"{mark}\n{block.text}"
    verdict = 'if [ $? -eq 0 ]; then echo "this should have been refused"; exit 1; fi'
    return f"{mark}\nset +e\n{block.text}{verdict}\nset -e"


def _printed(output: str) -> dict[int, str]:
    """What each block has printed, by its line."""
    parts = re.split(rf"^{_MARK}(\d+)$", output, flags=re.MULTILINE)
    return {int(line): text for line, text in zip(parts[1::2], parts[2::2], strict=True)}


def _difference(expected: Block, output: str) -> str:
    """What of ``expected`` is not in ``output``; empty if all is."""
    if expected.language == "json":
        return _missing(json.loads(expected.text), _last_document(output))
    lines = [line.strip() for line in expected.text.splitlines()]
    absent = [line for line in lines if line not in ("", "...") and line not in output]
    if absent:
        return f"not printed: {absent}"
    if "whole" in expected.marks and output.strip() != expected.text.strip():
        return "more is printed, or in another order"
    return ""


def _last_document(output: str) -> Any:
    """The last JSON document that begins on a line of its own."""
    decoder = json.JSONDecoder()
    document, at = None, 0
    while found := re.compile(r"^(?=[{\[])", re.MULTILINE).search(output, at):
        try:
            document, at = decoder.raw_decode(output, found.start())
        except ValueError:
            at = found.start() + 1
    return document


def _missing(expected: Any, found: Any, where: str = "$") -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                return f"{where}.{key} is not there"
            if problem := _missing(value, found[key], f"{where}.{key}"):
                return problem
        return ""
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        problems = (_missing(*pair, f"{where}[]") for pair in zip(expected, found, strict=True))
        return next(filter(None, problems), "")
    return "" if expected in (found, "...") else f"{where} is {found!r}"
