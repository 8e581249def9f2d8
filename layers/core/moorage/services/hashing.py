"""The content of stored objects, in order, read ahead from several places at once.

A hash takes the bytes one after the other, but waiting for each of them would take as long as the store's
latency times their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from moorage.domain.errors import Unavailable
from moorage.ports import Storage

Result = TypeVar("Result")

# Each holds at most one request's body or one range, so that the largest take some 130 MB together.
READ_AHEAD = 16
_RANGE = 8 * 1024 * 1024


def content_of(storage: Storage, key: str, size: int) -> Generator[bytes, None, None]:
    """The content of an object of ``size`` bytes.

    Raises:
        Unavailable: the store does not do its part, or the object is gone.
    """
    if size <= _RANGE:
        pieces = storage.read(key)
        if pieces is None:
            raise _gone()
        yield from pieces
        return
    starts = range(0, size, _RANGE)
    reads = [_range_reader(storage, key, start, min(_RANGE, size - start)) for start in starts]
    yield from in_order(reads)


def contents(storage: Storage, keys: Iterable[str]) -> Generator[bytes | None, None, None]:
    """The content of each object in order, None for one that is not there.

    Raises:
        Unavailable: the store does not do its part.
    """
    yield from in_order([_reader(storage, key) for key in keys])


def in_order(reads: Iterable[Callable[[], Result]]) -> Generator[Result, None, None]:
    """What each call gives, in order, several of them being made at a time."""
    reads = list(reads)
    if len(reads) <= 1:
        yield from (read() for read in reads)
        return
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for read in reads:
                if len(pending) == READ_AHEAD:
                    yield pending.popleft().result()
                pending.append(pool.submit(read))
            while pending:
                yield pending.popleft().result()
        finally:
            # Whoever stops listening, because the content is wrong, does not wait for the rest.
            for future in pending:
                future.cancel()


def _range_reader(storage: Storage, key: str, start: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        content = storage.read_range(key, start, size)
        if content is None:
            raise _gone()
        return content

    return read


def _reader(storage: Storage, key: str) -> Callable[[], bytes | None]:
    def read() -> bytes | None:
        pieces = storage.read(key)
        return None if pieces is None else b"".join(pieces)

    return read


def _gone() -> Unavailable:
    return Unavailable("what was stored has been removed meanwhile; try again")
