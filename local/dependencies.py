"""The third-party packages that functions may import: what the project declares, and what that needs.

The project's environment also holds the tools of the local cloud and of the tests. A function that imports
one of those would work here and fail in Lambda, so workers see a folder of links to the declared packages.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def link(root: Path, folder: Path, group: str | None = None) -> Path:
    """Fill a folder with links to what the lock file says the project depends on, or what one of its
    dependency groups adds to that; the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lock = tomllib.loads((root / "uv.lock").read_text("utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    packages = _Packages(lock["package"])
    ours = packages.closure(packages.needs(project))
    wanted = packages.closure(packages.needs(project, group)) - ours if group else ours
    for name in sorted(wanted):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            # Locked for another platform or Python.
            continue
        for top in _top_level(distribution):
            place = folder / top
            if not place.exists():
                place.symlink_to(str(distribution.locate_file(top)))
    return folder


class _Packages:
    """The packages of the lock file."""

    def __init__(self, locked: list[dict[str, Any]]) -> None:
        self._by_name: dict[str, list[dict[str, Any]]] = {}
        for package in locked:
            self._by_name.setdefault(package["name"], []).append(package)

    def needs(self, project: str, group: str | None = None) -> list[dict[str, Any]]:
        """What the project depends on, or one of its dependency groups."""
        (package,) = self._by_name[project]
        needs: list[dict[str, Any]] = (
            package["dev-dependencies"][group] if group else package.get("dependencies", [])
        )
        return needs

    def closure(self, needs: list[dict[str, Any]]) -> set[str]:
        """The names of all packages that these need, and theirs."""
        found: set[tuple[str, str]] = set()
        open_ends = list(_wanted(needs))
        while open_ends:
            name, extra = open_ends.pop()
            if (name, extra) in found:
                continue
            found.add((name, extra))
            for package in self._by_name[name]:
                optional = package.get("optional-dependencies", {}).get(extra, [])
                open_ends += _wanted(optional if extra else package.get("dependencies", []))
        return {name for name, _ in found}


def _wanted(needs: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The packages, and their extras, that a list of dependencies names."""
    for dependency in needs:
        yield dependency["name"], ""
        yield from ((dependency["name"], extra) for extra in dependency.get("extra", []))


def _top_level(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """The files and folders of a distribution beside which nothing else of it lies."""
    tops = {file.parts[0] for file in distribution.files or []}
    return (top for top in sorted(tops) if not re.fullmatch(r"\.\.|bin|__pycache__", top))
