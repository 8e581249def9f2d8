"""The table in docs/performance.md, made from the last figures: `python -m bench.page [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby

from bench.figures import Figure, Report
from bench.functions import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- figures: written by `make bench` -->"
END = "<!-- end of figures -->"


def line(figure: Figure) -> str:
    """One figure for a terminal."""
    value = f"{_number(figure.median)} {figure.unit}"
    return f"{figure.part:22} {figure.name:62} {value:>12}   {_spread(figure):19} {figure.bound}"


def table(report: Report) -> str:
    """All figures as Markdown."""
    machine = report.machine
    place = f"{machine['processors']} processors ({machine['processor']}) under a load of {machine['load']}"
    lines = [f"Measured {machine['date']} on {place}, with Python {machine['python']}."]
    for part, figures in groupby(report.figures, key=lambda figure: figure.part):
        lines += ["", f"**{part[0].upper()}{part[1:]}**", ""]
        lines += ["| figure | median | runs: least to most | bound by |", "| --- | --: | --- | --- |"]
        lines += [
            f"| {figure.name} | {_number(figure.median)} {figure.unit} | {_spread(figure)} | {figure.bound} |"
            for figure in figures
        ]
    return "\n".join(lines)


def write(report: Report) -> None:
    """Put the table into the page."""
    PAGE.write_text(_with(PAGE.read_text("utf-8"), table(report)), "utf-8")


def is_current(report: Report) -> bool:
    """Whether the page has the table that the figures make."""
    text = PAGE.read_text("utf-8")
    return text == _with(text, table(report))


def _with(text: str, made: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost the marks around its table")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004


def _spread(figure: Figure) -> str:
    return f"{len(figure.runs)}: {_number(min(figure.runs))} to {_number(max(figure.runs))}"


def main(arguments: Sequence[str]) -> int:
    """Write the table, or with ``--check`` only say whether it is current."""
    report = Report.load()
    if "--check" in arguments:
        if is_current(report):
            return 0
        print(f"{PAGE} does not show the figures of results/bench.json", file=sys.stderr)
        return 1
    write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
