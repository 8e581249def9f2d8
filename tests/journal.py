"""Reads the files that the local cloud's processes are still writing: their logs, and what counts requests."""

import json
from pathlib import Path
from typing import Any


def entries(file: Path, mark: str = "") -> list[dict[str, Any]]:
    """The entries of a file of JSON lines that begin with a mark, none if there is no such file.

    What else a process has printed is left out, and so is a line of which only the beginning is written yet.
    """
    if not file.exists():
        return []
    whole, _, _unfinished = file.read_text("utf-8").rpartition("\n")
    return [json.loads(line.removeprefix(mark)) for line in whole.split("\n") if line.startswith(mark + "{")]
