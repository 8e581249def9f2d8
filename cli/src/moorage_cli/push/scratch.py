"""Temporary files, which are gone when the command ends, and what is said when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from moorage_cli.errors import CliError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# That much of what was free is left to others, or a tenth of it where there is less.
_LEFT_FREE = 1024**3
_LEFT_SHARE = 10
_LOOK_BYTES = 16 * 1024 * 1024


class Scratch:
    """A folder for temporary files that only its owner can read; it is made when the first is wanted. Any
    thread may ask for one.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def file(self) -> Path:
        """The path of a file that is not there yet.

        Raises:
            CliError: there is no room.
        """
        with self._lock:
            if self._folder is None:
                with telling_of_space(Path(tempfile.gettempdir())):
                    self._folder = Path(tempfile.mkdtemp(prefix="moorage-"))
            return self._folder / str(next(self._numbers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class Output:
    """A temporary file that is being written, of any length that leaves some room on its disk."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._left_free = min(self._free() // _LEFT_SHARE, _LEFT_FREE)
        self._unlooked = 0
        self.size = 0
        """How many bytes were written."""

    def write(self, piece: bytes) -> int:
        """Write so many bytes.

        Raises:
            CliError: there would be no room left for anybody.
        """
        self._unlooked += len(piece)
        if self._unlooked >= _LOOK_BYTES:
            self._unlooked = 0
            if self._free() - len(piece) < self._left_free:
                raise no_space(self._path)
        self.size += len(piece)
        return self._file.write(piece)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def _free(self) -> int:
        return shutil.disk_usage(self._path.parent).free


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Output]:
    """A temporary file to write.

    Raises:
        CliError: the disk is full, or nearly so.
    """
    with telling_of_space(path), path.open("wb") as file:
        yield Output(file, path)


@contextlib.contextmanager
def telling_of_space(path: Path) -> Iterator[None]:
    """What writes to ``path`` within fails with ``CliError`` if the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_space(path) from error
        raise


def no_space(path: Path) -> CliError:
    """The error that says that there is no room."""
    return CliError(
        f"no space is left for temporary files in {path.parent}", "set TMPDIR to a folder with more room"
    )
