"""A page below ``docs`` whose commands a shell runs, block after block."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
WITHIN = 240.0
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, of which some text may be replaced by that of a test: an address, an organisation."""

    name: str
    replaced: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The page."""
        text = (DOCS / self.name).read_text("utf-8")
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def blocks(self) -> Iterator[tuple[int, str, str, str]]:
        """The line that each block begins at, its language, what it is marked with, and what it holds."""
        text = self.text
        for found in _BLOCK.finditer(text):
            yield text.count("\n", 0, found.start()) + 2, found[1], found[2].strip(), found[3]


def run(parts: Sequence[str], home: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run parts of a script one after another in one shell, in the folder ``home``; the first that fails ends
    it.
    """
    return subprocess.run(
        ["bash", "-c", "\n".join(["set -eo pipefail", "exec 2>&1", *parts])],
        cwd=home,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
