"""HTTP/1.1 over raw sockets, as much of it as a relay needs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

Copy = Callable[[bytes | memoryview], None]

_BLOCK_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024
_MANY_BYTES = 256 * 1024
_LINGER_SECONDS = 5


class MalformedError(Exception):
    """What came over a connection is no HTTP/1.1."""


class BrokenOffError(Exception):
    """A connection ended in the middle of a message."""


class Wire:
    """A connected socket; bodies are moved block by block through one buffer, without further copies."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)  # noqa: FBT003 - positional only
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._block = bytearray()
        self._unread = b""

    async def until(self, mark: bytes) -> bytes:
        """What comes up to this mark and with it; nothing when the connection has ended before."""
        while mark not in self._unread:
            if len(self._unread) > _HEAD_BYTES:
                raise MalformedError("no end of a line or head")
            part = await self._loop.sock_recv(self._socket, _HEAD_BYTES)
            if not part:
                if self._unread:
                    raise BrokenOffError
                return b""
            self._unread += part
        found, _, self._unread = self._unread.partition(mark)
        return found + mark

    async def first(self) -> bytes:
        """The next byte, which stays where it is; nothing when the connection has ended."""
        if not self._unread:
            self._unread = await self._loop.sock_recv(self._socket, _HEAD_BYTES)
        return self._unread[:1]

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._socket, data)

    async def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        """Send so many bytes of a file."""
        if count:
            await self._loop.sock_sendfile(self._socket, file, start, count)

    async def relay(self, count: int, to: Wire, copy: Copy | None = None) -> None:
        """Pass on exactly so many bytes; `copy` gets them as well, before."""
        part, self._unread = self._unread[:count], self._unread[count:]
        if copy:
            copy(part)
        await to.send(part)
        count -= len(part)
        if count and not self._block:
            self._block = bytearray(_BLOCK_BYTES)
        view = memoryview(self._block)
        while count:
            size = await self._loop.sock_recv_into(self._socket, view[:count])
            if not size:
                raise BrokenOffError
            if copy:
                copy(view[:size])
            await self._loop.sock_sendall(to._socket, view[:size])
            count -= size

    async def relay_chunks(self, to: Wire) -> None:
        """Pass on a chunked body, of small chunks as many at once as have come."""
        chunks = _Chunks()
        while True:
            passed = chunks.read(self._unread)
            await to.send(self._unread[:passed])
            self._unread = self._unread[passed:]
            if chunks.ended:
                return
            if chunks.left >= _MANY_BYTES:
                await self.relay(chunks.left, to)
                chunks.left = 0
                continue
            part = await self._loop.sock_recv(self._socket, _MANY_BYTES)
            if not part:
                raise BrokenOffError
            self._unread += part

    async def relay_rest(self, to: Wire) -> None:
        """Pass on everything until the connection ends."""
        await to.send(self._unread)
        self._unread = b""
        while part := await self._loop.sock_recv(self._socket, _BLOCK_BYTES):
            await to.send(part)

    async def finish(self) -> None:
        """Say that nothing more will be sent, and wait a while for the other side to have done the same.

        A connection that is closed while its other side still sends is reset, and the last answer lost.
        """
        self._socket.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._loop.sock_recv(self._socket, _BLOCK_BYTES):
                    pass

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@dataclass(frozen=True)
class Head:
    """A request or status line with its headers."""

    line: bytes
    headers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        """What a header was given, each time that it came."""
        return [value for given, value in self.headers if given.lower() == name]

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return b"chunked" in b",".join(self.values(b"transfer-encoding")).lower()

    @property
    def is_framed(self) -> bool:
        """Whether the head says where the body ends."""
        return self.is_chunked or bool(self.values(b"content-length"))

    def encoded(self) -> bytes:
        """The head as it goes over the wire."""
        lines = [self.line, *(name + b": " + value for name, value in self.headers), b"", b""]
        return b"\r\n".join(lines)


async def read_head(wire: Wire) -> Head | None:
    """The next head, or None when the connection has ended between messages."""
    raw = await wire.until(b"\r\n\r\n")
    if not raw:
        return None
    line, *lines = raw[:-4].split(b"\r\n")
    if line.count(b" ") < 2:  # noqa: PLR2004 - method, target, version
        raise MalformedError(line[:100])
    headers = []
    for header in lines:
        name, colon, value = header.partition(b":")
        if not colon:
            raise MalformedError(header[:100])
        headers.append((name, value.strip()))
    return Head(line, headers)


async def relay_body(head: Head, source: Wire, to: Wire, copy: Copy | None = None) -> None:
    """Pass on the body that follows a head, in the framing that the head gives."""
    if head.is_chunked:
        await source.relay_chunks(to)
    elif lengths := head.values(b"content-length"):
        await source.relay(_number(lengths[0], 10), to, copy)


class _Chunks:
    """Finds the end of a chunked body."""

    def __init__(self) -> None:
        self.left = 0
        """Bytes of the present chunk that have not come yet, its line end included."""
        self.ended = False
        self._last = False

    def read(self, data: bytes) -> int:
        """Read on where `data` goes on; how much of it belongs to the body and is understood."""
        at = 0
        while True:
            there = min(self.left, len(data) - at)
            at += there
            self.left -= there
            end = -1 if self.left else data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > _HEAD_BYTES:
                    raise MalformedError("no end of a line")
                return at
            line, at = data[at:end], end + 2
            if not self._last:
                size = _number(line.partition(b";")[0].strip(), 16)
                self.left = size + 2 if size else 0
                self._last = not size
            elif not line:
                # After the trailers, if there were any.
                self.ended = True
                return at


def _number(text: bytes, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        raise MalformedError(text[:100]) from None
    if number < 0:
        raise MalformedError(text[:100])
    return number
