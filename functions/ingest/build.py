"""Makes the package of the ingest function: `build.py FOLDER ZIP`.

The folder holds its own code and `node_modules` without development dependencies. The same files make the
same package, byte for byte.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

_NEVER_LOADED = {"dist-es", "dist-types", "test", ".bin"}
_SUFFIXES = {".js", ".cjs", ".mjs", ".json"}
# The first that a zip can say.
_TIME = (1980, 1, 1, 0, 0, 0)


def files(folder: Path) -> list[Path]:
    """What the function needs at run time, relative to the folder."""
    found = [*folder.glob("*.js"), folder / "package.json", *(folder / "node_modules").rglob("*")]
    relative = [path.relative_to(folder) for path in found if path.is_file()]
    return sorted(path for path in relative if _is_needed(path))


def _is_needed(path: Path) -> bool:
    if path.name.startswith("LICENSE"):
        return True
    is_code = path.suffix in _SUFFIXES and path.name != ".package-lock.json"
    return is_code and not _NEVER_LOADED & set(path.parts)


def write(folder: Path, target: Path) -> None:
    """Write the package."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.as_posix(), _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (folder / path).read_bytes())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
