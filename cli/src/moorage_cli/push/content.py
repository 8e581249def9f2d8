"""Content to push: bytes of a file that is not read before it is sent, and the digests that it goes by."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from moorage_cli.errors import Misused

PIECE = 1024 * 1024
# https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#registered-algorithms
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Content:
    """``size`` bytes of the file ``path``, from ``offset`` on; or ``data`` itself, where there is no file."""

    size: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> Content:
        """These bytes."""
        return cls(len(data), data=data)

    def open(self) -> IO[bytes]:
        """A file that stands where the content begins; it does not end where the content ends."""
        if self.path is None:
            return io.BytesIO(self.data)
        file = self.path.open("rb", buffering=0)
        file.seek(self.offset)
        return file

    def read(self, limit: int, what: str) -> bytes:
        """All of it.

        Raises:
            Misused: it is longer than ``limit``, or the file has become shorter meanwhile.
        """
        if self.size > limit:
            raise Misused(f"{what} has {self.size} bytes, and {limit} are the most that it can have")
        pieces, left = [], self.size
        with self.open() as file:
            while left and (piece := file.read(left)):
                pieces.append(piece)
                left -= len(piece)
        if left:
            raise Misused(f"{what} has become shorter while it was read")
        return b"".join(pieces)

    def starts_with(self, magic: bytes) -> bool:
        """Whether its first bytes are these."""
        if self.size < len(magic):
            return False
        with self.open() as file:
            return file.read(len(magic)) == magic


def parse_digest(text: object) -> str:
    """``text``, if it is a digest: nothing else may become a part of a path.

    Raises:
        Misused: it is none, or of an algorithm that no registry takes.
    """
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise Misused(f"{str(text)[:100]!r} is no digest of sha256 or sha512")
    return text


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of these bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def has_digest(data: bytes, digest: str) -> bool:
    """Whether these bytes have that digest, by its own algorithm."""
    return digest_of(data, digest.partition(":")[0]) == digest
