"""Reads the chunks of an upload, several at a time.

One after the other, a thousand chunks would cost a thousand times the store's latency, and a request has 29
seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from moorage.ports import Storage

# Each holds at most one request's body, so that the largest take some 70 MB together.
READ_AHEAD = 16


def read_ahead(storage: Storage, keys: Sequence[str]) -> Generator[bytes | None, None, None]:
    """The content of each object in order, None for one that is not there.

    Raises:
        Unavailable: the store does not do its part.
    """
    if len(keys) <= 1:
        yield from (_content(storage, key) for key in keys)
        return
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        pending: deque[Future[bytes | None]] = deque()
        for key in keys:
            if len(pending) == READ_AHEAD:
                yield pending.popleft().result()
            pending.append(pool.submit(_content, storage, key))
        while pending:
            yield pending.popleft().result()


def _content(storage: Storage, key: str) -> bytes | None:
    pieces = storage.read(key)
    return None if pieces is None else b"".join(pieces)
