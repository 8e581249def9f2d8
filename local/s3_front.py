"""The S3 front: passes requests on to SeaweedFS, and refuses what S3 refuses and SeaweedFS does not.

S3 takes one way of authentication: a presigned URL that comes with an `Authorization` header is an error, so
a client that carries its registry token to storage fails there. The front answers under every name of the
loopback interface; what was signed is its canonical name, and this is what SeaweedFS gets to see.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from local import ports

if TYPE_CHECKING:
    import socket

_BUFFER_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024
_PRESIGNED = {"X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "Signature", "AWSAccessKeyId"}


# What follows the last request on a connection: its refusal, or nothing.
_REFUSE, _END = b"", b"-"


class _MalformedError(Exception):
    """What came over a connection is no HTTP/1.1."""


@dataclass(frozen=True)
class _Head:
    """A request or status line with its headers."""

    line: bytes
    headers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        return [value for given, value in self.headers if given.lower() == name]

    def encoded(self) -> bytes:
        lines = [self.line, *(name + b": " + value for name, value in self.headers), b"", b""]
        return b"\r\n".join(lines)


class S3Front:
    """Relays connections to the S3 at `upstream`, one connection there for each one here."""

    def __init__(self, listener: socket.socket, upstream: int) -> None:
        self._listener = listener
        self._upstream = upstream
        self.canonical = f"{ports.LOOPBACK}:{ports.number(listener)}"
        """Host and port that requests are signed for."""
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to serve."""
        self._server = await asyncio.start_server(self._accept, sock=self._listener, limit=_BUFFER_BYTES)

    async def close(self) -> None:
        """Stop serving and drop what is under way."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, _MalformedError):
            # Either side has gone, or talks nonsense: the other one sees its connection end.
            pass
        finally:
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        storage_reader, storage_writer = await asyncio.open_connection(
            ports.LOOPBACK, self._upstream, limit=_BUFFER_BYTES
        )
        # Both directions at once: an answer may come before, or be needed for, the end of the request's body.
        methods: asyncio.Queue[bytes] = asyncio.Queue()
        requests = asyncio.ensure_future(self._requests(reader, storage_writer, methods))
        answers = asyncio.ensure_future(_answers(storage_reader, writer, methods))
        try:
            await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_EXCEPTION)
            for side in (requests, answers):
                if side.done():
                    side.result()
        finally:
            for side in (requests, answers):
                side.cancel()
            await asyncio.gather(requests, answers, return_exceptions=True)
            storage_writer.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        storage: asyncio.StreamWriter,
        methods: asyncio.Queue[bytes],
    ) -> None:
        while (head := await _read_head(reader)) is not None:
            method, target, _ = head.line.split(b" ", 2)
            if head.values(b"authorization") and _is_presigned(target):
                # The body, if any, is left unread, so nothing can follow on this connection.
                methods.put_nowait(_REFUSE)
                return
            headers = [
                (name, self.canonical.encode() if name.lower() == b"host" else value)
                for name, value in head.headers
            ]
            methods.put_nowait(method)
            storage.write(_Head(head.line, headers).encoded())
            await storage.drain()
            await _relay_body(head, reader, storage)
        methods.put_nowait(_END)


async def _answers(
    storage: asyncio.StreamReader, writer: asyncio.StreamWriter, methods: asyncio.Queue[bytes]
) -> None:
    while (method := await methods.get()) not in {_REFUSE, _END}:
        while (head := await _read_head(storage)) is not None:
            writer.write(head.encoded())
            status = head.line.split(b" ", 2)[1]
            if not status.startswith(b"1"):
                break
            await writer.drain()
        if head is None:
            raise _MalformedError("storage closed the connection")
        if method != b"HEAD" and status not in {b"204", b"304"}:
            await _relay_body(head, storage, writer, until_close=True)
        await writer.drain()
        if b"close" in b",".join(head.values(b"connection")).lower():
            raise _MalformedError("storage ends the connection")
    if method == _REFUSE:
        writer.write(_refusal())
        await writer.drain()


async def _read_head(reader: asyncio.StreamReader) -> _Head | None:
    """The next head, or None when the connection has ended between messages."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    line, *lines = raw[:-4].split(b"\r\n")
    if len(raw) > _HEAD_BYTES or line.count(b" ") < 2:  # noqa: PLR2004 - method, target, version
        raise _MalformedError(line[:100])
    headers = []
    for header in lines:
        name, colon, value = header.partition(b":")
        if not colon:
            raise _MalformedError(header[:100])
        headers.append((name, value.strip()))
    return _Head(line, headers)


async def _relay_body(
    head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, until_close: bool = False
) -> None:
    if b"chunked" in b",".join(head.values(b"transfer-encoding")).lower():
        await _relay_chunks(reader, writer)
    elif lengths := head.values(b"content-length"):
        await _relay_bytes(int(lengths[0]), reader, writer)
    elif until_close:
        while part := await reader.read(_BUFFER_BYTES):
            writer.write(part)
            await writer.drain()
        raise _MalformedError("the body ended with the connection")


async def _relay_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
        size = int(line.partition(b";")[0], 16)
        if size:
            await _relay_bytes(size + 2, reader, writer)
    # Trailers, if any, and the empty line after them.
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
    await writer.drain()


async def _relay_bytes(count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while count:
        part = await reader.read(min(count, _BUFFER_BYTES))
        if not part:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(part)
        writer.write(part)
        await writer.drain()


def _is_presigned(target: bytes) -> bool:
    query = target.partition(b"?")[2].decode("latin-1")
    return any(name in _PRESIGNED for name, _ in parse_qsl(query, keep_blank_values=True))


def _refusal() -> bytes:
    """S3's answer to two ways of authentication at once."""
    request_id = uuid.uuid4().hex[:16].upper()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; only the "
        "X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header "
        "should be specified</Message>"
        f"<ArgumentName>Authorization</ArgumentName><RequestId>{request_id}</RequestId></Error>"
    ).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\n"
        f"x-amz-request-id: {request_id}\r\n"
        "Content-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return head + body
