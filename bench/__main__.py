"""`python -m bench [PART…]`: measure, print, and keep the figures in results/bench.json.

Parts: warm, start, cloud (throughput and pull), edge, push, stream, cli, copies, decisions, images. Those
that are not named keep their last figures.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    cli_push,
    cloud,
    copies,
    decisions,
    edge_pull,
    images,
    page,
    pull,
    push,
    start,
    streamed_push,
    throughput,
    warm,
)
from bench.figures import Figure, Report

Note = Callable[[str], None]


def main(arguments: Sequence[str]) -> int:
    """Measure the named parts, or all."""
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]}; parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in arguments or PARTS:
        figures += PARTS[name](functools.partial(_note, name))
    report = _merged(figures)
    report.save()
    for figure in report.figures:
        print(page.line(figure))
    page.write(report)
    return 0


def _on_a_cloud(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with cloud.running(folder / "state") as running:
            return throughput.measure(running, note) + pull.measure(running, folder, note)


def _pushes(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with cloud.running(folder / "state", TRAFFIC="1") as running:
            return push.measure(running, folder, note)


def _pulls_both_ways(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with (
            cloud.running(folder / "s3", PULLS="s3") as from_s3,
            cloud.running(folder / "edge", PULLS="edge") as from_edge,
        ):
            return edge_pull.measure(from_s3, from_edge, folder, note)


def _streamed_pushes(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with cloud.running(folder / "state", INGEST="on") as running:
            return streamed_push.measure(running, folder, note)


def _pushes_by_the_command(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with cloud.running(folder / "state", INGEST="on", TRAFFIC="1") as running:
            return cli_push.measure(running, folder, note)


def _copies(note: Note) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as name:
        folder = Path(name)
        with cloud.running(folder / "state", INGEST="on", TRAFFIC="1") as running:
            return copies.measure(running, folder, note)


PARTS: dict[str, Callable[[Note], list[Figure]]] = {
    "warm": warm.measure,
    "start": start.measure,
    "cloud": _on_a_cloud,
    "edge": _pulls_both_ways,
    "push": _pushes,
    "stream": _streamed_pushes,
    "cli": _pushes_by_the_command,
    "copies": _copies,
    "decisions": decisions.measure,
    "images": images.measure,
}


def _merged(figures: Sequence[Figure]) -> Report:
    """The new figures, and those of the last time that are of other parts."""
    try:
        before = Report.load()
    except FileNotFoundError:
        before = Report({}, ())
    machine = _machine()
    new = {figure.part: machine for figure in figures}
    kept = [figure for figure in before.figures if figure.part not in new]
    modules = (
        warm,
        start,
        throughput,
        pull,
        edge_pull,
        push,
        streamed_push,
        cli_push,
        copies,
        decisions,
        images,
    )
    order = [*(module.PART for module in modules)]
    return Report(
        {**before.machines, **new}, sorted([*figures, *kept], key=lambda figure: order.index(figure.part))
    )


def _machine() -> dict[str, str]:
    described = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": models[0] if models else platform.machine(),
        "processors": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
    }


def _note(part: str, text: str) -> None:
    print(f"{part}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
