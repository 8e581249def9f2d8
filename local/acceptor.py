"""Serves raw connections of a listening socket, each in a task of its own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from local.wire import Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

_RETRY_SECONDS = 0.1


class Acceptor(ABC):
    """Takes connections until it is closed."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def serve(self, client: Wire) -> None:
        """Answer what comes over one connection, and close it."""

    async def start(self) -> None:
        """Begin to serve."""
        self._spawn(self._accept())

    async def close(self) -> None:
        """Stop serving and drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            try:
                connected, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError:
                # Too many open files: some will be closed.
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._spawn(self.serve(Wire(connected)))
