"""What each client showed in each case: kept as cells in a file, and read back as a table.

Run as a program it prints the table, and fails when a cell is missing or did not pass: a case that was never
tried must not look like one that passed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from tests.clients.cloud import ROOT

RESULTS = ROOT / "results" / "clients"
CELLS = RESULTS / "cells.json"
TABLE = RESULTS / "summary.md"

CLIENTS = ("docker", "ctr", "skopeo", "crane")
CASES = (
    "login",
    "wrong password",
    "push",
    "second push",
    "pull by tag",
    "pull by digest",
    "denied push",
    "denied pull",
    "large layer",
)
# ctr has no login to test: it is given the account with each command.
WITHOUT = {("ctr", "login")}


@dataclass(frozen=True, slots=True)
class Cell:
    """One client in one case: the exit code of the command that the case is about, and whether all held."""

    client: str
    version: str
    case: str
    exit_code: int
    passed: bool
    seconds: float


def begin() -> None:
    """Forget earlier runs."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.iterdir():
        old.unlink()
    CELLS.write_text("[]", "utf-8")


def record(cell: Cell) -> None:
    """Add a cell to the file."""
    cells = json.loads(CELLS.read_text("utf-8"))
    CELLS.write_text(json.dumps([*cells, asdict(cell)], indent=1), "utf-8")


def read() -> list[Cell]:
    """The cells of the last run, none when there was none."""
    if not CELLS.exists():
        return []
    found: list[dict[str, Any]] = json.loads(CELLS.read_text("utf-8"))
    return [Cell(**cell) for cell in found]


def table(cells: list[Cell]) -> str:
    """The cells as a Markdown table, client by case."""
    by_place = {(cell.client, cell.case): cell for cell in cells}
    versions = {cell.client: cell.version for cell in cells}
    lines = ["| client | version | " + " | ".join(CASES) + " |", "|" + " --- |" * (len(CASES) + 2)]
    for client in CLIENTS:
        shown = [_shown(by_place.get((client, case)), (client, case) in WITHOUT) for case in CASES]
        lines.append(f"| {client} | {versions.get(client, '')} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def faults(cells: list[Cell]) -> list[str]:
    """What is wrong with the table, as sentences."""
    passed: dict[tuple[str, str], bool] = {}
    for cell in cells:
        place = (cell.client, cell.case)
        passed[place] = passed.get(place, True) and cell.passed
    found = []
    for client in CLIENTS:
        for case in CASES:
            if (client, case) not in WITHOUT and not passed.get((client, case)):
                state = "failed" if (client, case) in passed else "was not tried"
                found.append(f"{client}: {case} {state}")
    found.extend(f"{cell.client}: no version in {cell.case}" for cell in cells if not cell.version)
    return found


def _shown(cell: Cell | None, absent: bool) -> str:
    if cell is None:
        return "-" if absent else ""
    return f"{'ok' if cell.passed else '**FAILED**'} (exit {cell.exit_code}, {cell.seconds:.1f} s)"


def main() -> int:
    """Print the table; 1 when it has an empty or failing cell."""
    cells = read()
    wrong = faults(cells)
    text = table(cells) + "".join(f"\n{fault}" for fault in wrong)
    if RESULTS.exists():
        TABLE.write_text(text, "utf-8")
    print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
