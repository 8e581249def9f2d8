"""A table of what the runs showed, for people."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.conformance import redirects
from tests.conformance.report import Report
from tests.conformance.tool import RESULTS, path

HEAD = (
    "| spec | API rows Pass | data rows Pass | cases | passed | failed | of these for the redirect | skipped "
    "| other | seconds |"
)
TABLE = RESULTS / "summary.md"


@dataclass(slots=True)
class Clock:
    """Wall time in seconds; 0 until the block has ended."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock = Clock()
    start = time.monotonic()
    yield clock
    clock.seconds = time.monotonic() - start


def begin() -> None:
    """An empty table, so that no line of an earlier run can be taken for one of this run."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    rule = "| --- |" + " ---: |" * (HEAD.count("|") - 2)
    tool = path().parent.name
    TABLE.write_text(f"# OCI conformance, tool {tool}\n\n{HEAD}\n{rule}\n", "utf-8")


def write(version: str, report: Report, seconds: float) -> None:
    """Add the line of one run."""
    statuses = Counter(case.status for case in report.cases)
    passed, failed, skipped = (statuses.pop(status, 0) for status in ("passed", "failure", "skipped"))
    excused = sum(times for name, times in report.names("failure").items() if name in redirects.CASES)
    cells = [
        version,
        _passing(report.apis.values()),
        _passing(report.data.values()),
        len(report.cases),
        passed,
        failed,
        excused,
        skipped,
        statuses.total(),
        f"{seconds:.0f}",
    ]
    with TABLE.open("a", encoding="utf-8") as table:
        table.write("| " + " | ".join(map(str, cells)) + " |\n")


def _passing(statuses: Iterable[str]) -> str:
    rows = Counter(statuses)
    return f"{rows['Pass']} of {rows.total()}"
