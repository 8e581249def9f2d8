"""What each client showed in each case: kept as cells in a file, and read back as a table.

Run as a program it prints the table, and fails when a cell is missing or did not pass: a case that was never
tried must not look like one that passed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.clients.absent import ABSENT
from tests.clients.cloud import ROOT

RESULTS = ROOT / "results" / "clients"
CELLS = RESULTS / "cells.json"
TABLE = RESULTS / "summary.md"
PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- written by make clients -->", "<!-- until here -->"

CLIENTS = (
    "docker",
    "docker-containerd",
    "ctr",
    "ctr-1.7",
    "podman",
    "buildah",
    "skopeo",
    "crane",
    "oras",
    "regctl",
    "helm",
)
CASES = (
    "login",
    "wrong password",
    "push",
    "second push",
    "pull by tag",
    "pull by digest",
    "mount",
    "mount denied",
    "index",
    "referrers",
    "chart",
    "list tags",
    "delete",
    "denied push",
    "denied pull",
    "wrong tag",
    "large layer",
    "large layer, no ingest",
    "20 MB layer, no ingest",
    "60 MB layer",
    "60 MB layer, edge",
    "700 MB layer",
    "expired token, push",
    "expired token, pull",
)
# What the exit code alone does not tell.
REMARKS = {
    (
        "ctr",
        "expired token, pull",
    ): "stops, because it asks for no second token; the cell is the next try",
}


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
    """Forget the last run."""
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
    """The cells as a Markdown table, case by client, with what has to be known to read it."""
    return _table(cells, _shown)


def page(text: str, cells: list[Cell]) -> str:
    """A page with the table, without what differs from run to run, between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"the page has no markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{_table(cells, _briefly)}{END}{after}"


def _table(cells: list[Cell], show: Callable[[Cell], str]) -> str:
    by_place = {(cell.client, cell.case): show(cell) for cell in cells}
    versions = {cell.client: cell.version for cell in cells}
    heads = [f"{client} {versions.get(client, '')}".rstrip() for client in CLIENTS]
    lines = [f"| case | {' | '.join(heads)} |", "| --- |" + " --- |" * len(CLIENTS)]
    for case in CASES:
        shown = ["—" if (client, case) in ABSENT else by_place.get((client, case), "") for client in CLIENTS]
        lines.append(f"| {case} | {' | '.join(shown)} |")
    lines += ["", *(f"* {client}, {case}: {remark}" for (client, case), remark in REMARKS.items())]
    lines += [f"* {client}, {case}: —, it {absent.reason}" for (client, case), absent in ABSENT.items()]
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
            if (client, case) not in ABSENT and not passed.get((client, case)):
                state = "failed" if (client, case) in passed else "was not tried"
                found.append(f"{client}: {case} {state}")
    found.extend(f"{cell.client}: no version in {cell.case}" for cell in cells if not cell.version)
    return found


def _shown(cell: Cell) -> str:
    return f"{'ok' if cell.passed else '**FAILED**'} (exit {cell.exit_code}, {cell.seconds:.1f} s)"


def _briefly(cell: Cell) -> str:
    return "ok" if cell.passed else "**FAILED**"


def main() -> int:
    """Print the table, and put it into the page when it is whole; 1 when it has an empty or failing cell."""
    cells = read()
    wrong = faults(cells)
    text = table(cells) + "".join(f"\n{fault}" for fault in wrong)
    if RESULTS.exists():
        TABLE.write_text(text, "utf-8")
    if not wrong:
        PAGE.write_text(page(PAGE.read_text("utf-8"), cells), "utf-8")
    print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
