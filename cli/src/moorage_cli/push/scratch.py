"""Temporary files, which are gone when the command ends, and what is said when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from moorage_cli.errors import CliError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Scratch:
    """A folder for temporary files that only its owner can read; it is made when the first is wanted."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()

    def file(self) -> Path:
        """The path of a file that is not there yet.

        Raises:
            CliError: there is no room.
        """
        if self._folder is None:
            with telling_of_space(Path(tempfile.gettempdir())):
                self._folder = Path(tempfile.mkdtemp(prefix="moorage-"))
        return self._folder / str(next(self._numbers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


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
