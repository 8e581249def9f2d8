"""Figures: what was measured, how often, and what bounds it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "results" / "bench.json"


@dataclass(frozen=True)
class Figure:
    """The runs of one measurement in ``unit``; ``bound`` says what it cannot be better than, and why."""

    part: str
    name: str
    unit: str
    runs: tuple[float, ...]
    bound: str = ""

    @property
    def median(self) -> float:
        """The middle run."""
        return statistics.median(self.runs)


@dataclass(frozen=True)
class Report:
    """All figures, and for each part the machine and time that they are of."""

    machines: Mapping[str, Mapping[str, str]]
    figures: Sequence[Figure]

    def save(self) -> None:
        """Write the file that the page is made from."""
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls) -> Report:
        """The report that was saved last.

        Raises:
            FileNotFoundError: none was.
        """
        stored = json.loads(FILE.read_text("utf-8"))
        figures = [Figure(**{**each, "runs": tuple(each["runs"])}) for each in stored["figures"]]
        return cls(stored["machines"], figures)


def alternating(
    contestants: Mapping[str, Callable[[], float]], rounds: int, note: Callable[[str], None]
) -> dict[str, tuple[float, ...]]:
    """The runs of each contestant; every round runs all of them, each time in another order.

    What else the machine does then falls on all of them alike.
    """
    runs: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        for name in names[number % len(names) :] + names[: number % len(names)]:
            runs[name].append(contestants[name]())
    return {name: tuple(each) for name, each in runs.items()}


def ratio(part: str, name: str, one: Sequence[float], other: Sequence[float], bound: str) -> Figure:
    """Of each pair of runs of a round, the one by the other."""
    return Figure(part, name, "times", tuple(a / b for a, b in zip(one, other, strict=True)), bound)
