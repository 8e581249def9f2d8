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


def link(root: Path, folder: Path) -> Path:
    """Fill a folder with links to what the lock file says the project depends on; the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lock = tomllib.loads((root / "uv.lock").read_text("utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    for name in sorted(_closure(lock["package"], project)):
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


def _closure(packages: list[dict[str, Any]], project: str) -> set[str]:
    """The names of all packages that the project needs, itself left out."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(package["name"], []).append(package)
    found: set[tuple[str, str]] = set()
    open_ends = [(project, "")]
    while open_ends:
        name, extra = open_ends.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for package in by_name[name]:
            declared = package.get("optional-dependencies", {}).get(extra, []) if extra else _needs(package)
            for dependency in declared:
                open_ends.append((dependency["name"], ""))
                open_ends += [(dependency["name"], wanted) for wanted in dependency.get("extra", [])]
    return {name for name, _ in found} - {project}


def _needs(package: dict[str, Any]) -> list[dict[str, Any]]:
    needs: list[dict[str, Any]] = package.get("dependencies", [])
    return needs


def _top_level(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """The files and folders of a distribution beside which nothing else of it lies."""
    tops = {file.parts[0] for file in distribution.files or []}
    return (top for top in sorted(tops) if not re.fullmatch(r"\.\.|bin|__pycache__", top))
