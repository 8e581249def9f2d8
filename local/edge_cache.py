"""CloudFront's cache: whole objects in files, bounded, those that were asked for last."""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

from local.edge_events import Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local.distribution import Caching
    from local.edge_events import Headers

Key = tuple[str, ...]
"""A path as the functions left it, and the values of the headers that tell answers apart."""

CACHE_BYTES = 2 * 1024**3
_MAX_AGE = re.compile(r"(s-maxage|max-age)=(\d{1,10})")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True)
class Kept:
    """An answer of the origin, with its body in a file."""

    headers: Headers
    path: Path
    size: int
    since: float
    until: float

    def span(self, byte_range: str | None) -> tuple[int, int] | None:
        """Start and length of what a `Range` header asks for; None when only the origin can answer."""
        if byte_range is None:
            return 0, self.size
        found = _RANGE.fullmatch(byte_range)
        if found is None or found[1] + found[2] == "":
            return None
        if found[1]:
            start, end = int(found[1]), int(found[2]) if found[2] else self.size - 1
            if end < start:
                return None
        else:
            start, end = max(self.size - int(found[2]), 0), self.size - 1
        end = min(end, self.size - 1)
        return (start, end - start + 1) if start <= end else None

    def answer(self, span: tuple[int, int], age: int, *, partial: bool) -> Response:
        """The head of the answer that carries this span."""
        start, count = span
        headers = [pair for pair in self.headers if pair[0] not in {"age", "content-length"}]
        headers += [("content-length", str(count)), ("age", str(age))]
        if not partial:
            return Response(HTTPStatus.OK, "", headers)
        headers.append(("content-range", f"bytes {start}-{start + count - 1}/{self.size}"))
        return Response(HTTPStatus.PARTIAL_CONTENT, "", headers)


class EdgeCache:
    """Answers by their keys. A file that was opened before it is removed can be read to its end."""

    def __init__(
        self, folder: Path, *, most_bytes: int = CACHE_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        """Begins empty: nobody else uses `folder`."""
        for left in folder.iterdir():
            left.unlink()
        self._folder = folder
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._fills: dict[Key, Fill] = {}

    def find(self, key: Key) -> Kept | None:
        """What is kept under this key, unless its time is over."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept.until:
            self._remove(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def age(self, kept: Kept) -> int:
        """How many seconds an answer has been kept."""
        return int(self._clock() - kept.since)

    def fill(self, key: Key, caching: Caching, headers: Headers) -> Fill | None:
        """What takes the body of this answer; None for one that is not kept, or that is on its way here."""
        given = dict(headers)
        length = given.get("content-length", "")
        seconds = _lifetime(given.get("cache-control", ""), caching)
        if not length.isdecimal() or seconds <= 0 or key in self._fills or not self._has_room(int(length)):
            return None
        path = self._folder / secrets.token_hex(16)
        try:
            file = path.open("xb", buffering=0)
        except OSError:
            return None
        self._fills[key] = Fill(self, key, headers, path, file, int(length), seconds)
        return self._fills[key]

    def ended(self, fill: Fill, *, whole: bool) -> None:
        """Take what was filled, or forget it."""
        del self._fills[fill.key]
        if not whole:
            fill.path.unlink()
            return
        self._remove(fill.key)
        now = self._clock()
        self._kept[fill.key] = Kept(fill.headers, fill.path, fill.size, now, now + fill.seconds)

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._kept):
            self._remove(key)

    def _has_room(self, size: int) -> bool:
        """Whether there is room for so many bytes, after what was asked for longest ago has been removed."""
        size += sum(fill.size for fill in self._fills.values())
        if size > self._most_bytes:
            return False
        while size + sum(kept.size for kept in self._kept.values()) > self._most_bytes:
            self._remove(next(iter(self._kept)))
        return True

    def _remove(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.path.unlink(missing_ok=True)


class Fill:
    """The body of an answer on its way into the cache; what cannot be written is not kept."""

    def __init__(
        self,
        cache: EdgeCache,
        key: Key,
        headers: Headers,
        path: Path,
        file: IO[bytes],
        size: int,
        seconds: float,
    ) -> None:
        self.key, self.headers, self.path, self.size, self.seconds = key, headers, path, size, seconds
        self._cache = cache
        self._file = file
        self._taken = 0

    def take(self, part: bytes | memoryview) -> None:
        """The next bytes."""
        with suppress(OSError):
            self._taken += self._file.write(part)

    def end(self) -> None:
        """No more bytes come, because that was all or because something broke."""
        self._file.close()
        self._cache.ended(self, whole=self._taken == self.size)


def _lifetime(cache_control: str, caching: Caching) -> float:
    directives = cache_control.lower()
    if any(word in directives for word in ("no-store", "no-cache", "private")):
        return caching.least_seconds
    ages = dict(_MAX_AGE.findall(directives))
    asked = ages.get("s-maxage", ages.get("max-age"))
    if asked is None:
        return caching.default_seconds
    return min(max(float(asked), caching.least_seconds), caching.most_seconds)
