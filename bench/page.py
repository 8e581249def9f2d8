"""The tables in docs/performance.md, made from the last figures: `python -m bench.page [--check]`."""

from __future__ import annotations

import re
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


def tables(report: Report) -> dict[str, str]:
    """The figures of each part as Markdown, by their heading."""
    made = {}
    for part, figures in groupby(report.figures, key=lambda figure: figure.part):
        machine = report.machines[part]
        place = (
            f"{machine['processors']} processors ({machine['processor']}) under a load of {machine['load']}"
        )
        heading = f"**{part[0].upper()}{part[1:]}**"
        lines = [heading, "", f"Measured {machine['date']} on {place}, with Python {machine['python']}.", ""]
        lines += ["| figure | median | runs: least to most | bound by |", "| --- | --: | --- | --- |"]
        lines += [
            f"| {figure.name} | {_number(figure.median)} {figure.unit} | {_spread(figure)} | {figure.bound} |"
            for figure in figures
        ]
        made[heading] = "\n".join(lines)
    return made


def write(report: Report) -> None:
    """Put the tables into the page; those of parts that the report does not have stay as they are."""
    PAGE.write_text(_with(PAGE.read_text("utf-8"), tables(report)), "utf-8")


def is_current(report: Report) -> bool:
    """Whether the page has the tables that the figures make."""
    text = PAGE.read_text("utf-8")
    return text == _with(text, tables(report))


def _with(text: str, made: dict[str, str]) -> str:
    before, begin, rest = text.partition(BEGIN)
    found, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost the marks around its tables")
    standing = re.findall(r"^\*\*.*?(?=\s*(?:^\*\*|\Z))", found, re.DOTALL | re.MULTILINE)
    sections = {section.partition("\n")[0]: section for section in standing} | made
    return "\n\n".join([f"{before}{BEGIN}", *sections.values(), f"{END}{after}"])


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004


def _spread(figure: Figure) -> str:
    return f"{len(figure.runs)}: {_number(min(figure.runs))} to {_number(max(figure.runs))}"


def main(arguments: Sequence[str]) -> int:
    """Write the tables, or with ``--check`` only say whether it is current."""
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
