"""Byte ranges: of uploads (``Content-Range: a-b``) and of pulls (``Range: bytes=a-b``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moorage.domain.errors import BlobRangeNotSatisfiable, BlobUploadInvalid

_CHUNK = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
# As long as Python reads numbers: one far beyond the end is refused, not passed on as unintelligible.
_SINGLE = re.compile(r"bytes=\s*(\d{0,600})\s*-\s*(\d{0,600})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """Where a chunk lies in its blob: offsets of its first and last byte."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> ChunkRange:
        """The range of a chunk.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks

        Raises:
            BlobUploadInvalid: not ``first-last``, or inverted.

        """
        match = _CHUNK.fullmatch(text.strip())
        if not match:
            raise BlobUploadInvalid("Content-Range of a chunk has the form FIRST-LAST, without a unit")
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise BlobUploadInvalid("Content-Range ends before it begins")
        return cls(first, last)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.last - self.first + 1


def require_satisfiable(header: str, size: int) -> None:
    """Refuse a single ``Range`` that no byte of a blob of ``size`` bytes lies in.

    The storage behind a redirect answers an inverted range with the whole object, so that must not be
    left to it. Several ranges, other units and what is not a range at all are ignored by whoever serves
    the bytes, as https://www.rfc-editor.org/rfc/rfc9110#section-14.2 allows.

    Raises:
        BlobRangeNotSatisfiable: inverted, or wholly beyond the end.

    """
    match = _SINGLE.fullmatch(header)
    if not match or not (match[1] or match[2]):
        return
    if not match[1]:
        unsatisfiable = int(match[2]) == 0 or size == 0
    else:
        first = int(match[1])
        unsatisfiable = first >= size or (bool(match[2]) and int(match[2]) < first)
    if unsatisfiable:
        raise BlobRangeNotSatisfiable(f"the blob has {size} bytes; no byte lies in that range", size=size)
