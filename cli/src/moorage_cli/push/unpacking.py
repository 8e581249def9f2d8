"""What is compressed, as the bytes that it stands for: piece by piece, and never more than can be honest."""

from __future__ import annotations

import gzip
import importlib
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from moorage_cli.errors import Misused
from moorage_cli.push.content import PIECE

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# A few bytes can stand for any number of zeros. Layers of files stay far below this.
_ALWAYS_BYTES = 64 * 1024**3
_MOST_TIMES = 100
# The first is there from Python 3.14 on, and the second is the same for those before.
_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


class Damaged(Exception):
    """It is cut off, or no such format."""


def unpacked(file: IO[bytes], magic: bytes, size: int) -> Iterator[bytes]:
    """Pieces of what a file of so many bytes stands for. It begins with ``magic``, and is read to its end.

    Raises:
        Damaged: it stands for nothing.
        Misused: it stands for far more than any layer, or there is nothing here that can read it.
    """
    most = max(_ALWAYS_BYTES, _MOST_TIMES * size)
    reading: IO[bytes]
    if magic == GZIP:
        reading, damaged = cast("IO[bytes]", gzip.GzipFile(fileobj=file)), (gzip.BadGzipFile, zlib.error)
    else:
        zstd = _zstd()
        reading, damaged = zstd.ZstdFile(file), (zstd.ZstdError, zstd.ZstdError)
    try:
        with reading:
            while piece := reading.read(PIECE):
                most -= len(piece)
                if most < 0:
                    raise Misused("a compressed file stands for far more than any layer has", "make it anew")
                yield piece
    except (EOFError, *damaged) as error:
        raise Damaged from error


def _zstd() -> Any:
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise Misused(
        "a layer is compressed by zstd, and nothing here can tell whether it is what it is called",
        "run the command on Python 3.14, or with the package backports.zstd",
    )
