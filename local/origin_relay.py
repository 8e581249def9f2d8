"""One request and its answer between a client and an origin, the bodies block by block."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local import ports
from local.wire import BrokenOffError, Head, MalformedError, Wire, read_head, relay_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local.wire import Copy

_LAST_ANSWER_SECONDS = 1
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class OriginError(Exception):
    """The origin gave no answer."""


class OriginTimeoutError(OriginError):
    """The origin did not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    head: Head
    has_body: bool
    copy: Copy | None = None
    """What gets the body as well, if it has a length."""


async def connect(port: int) -> Wire:
    """A connection to an origin on this machine.

    Raises:
        OriginError: nothing listens there.
    """
    connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    wire = Wire(connected)
    try:
        await asyncio.get_running_loop().sock_connect(connected, (ports.LOOPBACK, port))
    except OSError as error:
        wire.close()
        raise OriginError(str(error)) from error
    return wire


class Exchange:
    """What goes to an origin and comes back.

    The client's body is passed on while the answer is awaited: an origin that refuses answers before it has
    read everything. A client that goes away ends the connection to the origin, which then keeps nothing.
    """

    def __init__(
        self,
        client: Wire,
        request: Head,
        origin: Wire,
        *,
        half_duplex: bool = False,
        longest: float | None = None,
    ) -> None:
        """`request` is the head as it came from the client.

        Between the client and an origin that is `half_duplex` stands something that passes no answer before
        it has got all of the body, unless the origin ends the connection with it. The body and the answer
        together take `longest` seconds, if that is given.
        """
        self._client = client
        self._request = request
        self._origin = origin
        self._half_duplex = half_duplex
        self._longest = longest

    async def run(self, sent: Head, seconds: float, answer: Callable[[Head], Awaitable[Answer]]) -> bool:
        """Send this head and the body; whether the connection to the client can be used again.

        `answer` makes of the origin's head what the client gets.

        Raises:
            OriginError: there is no answer, and the client has got none.
            BrokenOffError, MalformedError, OSError: the client's side has failed, or the answer's body.
        """
        upload = asyncio.create_task(self._upload(sent))
        reading = asyncio.create_task(self._final_head())
        try:
            head = await self._await_head(upload, reading, seconds)
            whole = upload.done()
            made = await answer(head)
            if not whole or (made.has_body and not head.is_framed):
                made.head.headers.append((b"connection", b"close"))
            await self._client.send(made.head.encoded())
            if made.has_body and head.is_framed:
                await relay_body(head, self._origin, self._client, made.copy)
            elif made.has_body:
                await self._origin.relay_rest(self._client)
        finally:
            for task in (upload, reading):
                task.cancel()
            await asyncio.gather(upload, reading, return_exceptions=True)
        if not whole:
            await self._client.finish()
        return whole and (head.is_framed or not made.has_body)

    async def _upload(self, sent: Head) -> None:
        await self._origin.send(sent.encoded())
        if b"100-continue" in b",".join(self._request.values(b"expect")).lower():
            await self._client.send(_CONTINUE)
        await relay_body(self._request, self._client, self._origin)

    async def _final_head(self) -> Head:
        while (head := await read_head(self._origin)) is not None:
            if not head.line.split(b" ", 2)[1].startswith(b"1"):
                return head
        raise BrokenOffError

    async def _await_head(
        self, upload: asyncio.Task[None], reading: asyncio.Task[Head], seconds: float
    ) -> Head:
        deadline = None if self._longest is None else time.monotonic() + self._longest
        await asyncio.wait({upload, reading}, timeout=self._longest, return_when=asyncio.FIRST_COMPLETED)
        if self._half_duplex and not upload.done() and reading.done() and not _ends(reading):
            await asyncio.wait({upload}, timeout=deadline and deadline - time.monotonic())
            if not upload.done():
                raise OriginTimeoutError
        if not upload.done() and not reading.done():
            raise OriginTimeoutError
        if not reading.done():
            error = upload.exception()
            if isinstance(error, BrokenOffError | MalformedError):
                raise error
            # An origin that stopped reading may have answered before.
            patience = _LAST_ANSWER_SECONDS if error else seconds
            if deadline is not None:
                patience = min(patience, deadline - time.monotonic())
            await asyncio.wait({reading}, timeout=patience)
            if not reading.done():
                raise OriginError(str(error)) if error else OriginTimeoutError
        try:
            return reading.result()
        except (BrokenOffError, MalformedError, OSError) as error:
            # A client that has gone is no fault of the origin, and gets no answer.
            with suppress(asyncio.InvalidStateError):
                if isinstance(upload.exception(), BrokenOffError | MalformedError):
                    raise BrokenOffError from error
            raise OriginError(str(error)) from error


def _ends(reading: asyncio.Task[Head]) -> bool:
    """Whether no more of the body is wanted: the origin has closed the connection, or says that it will."""
    if reading.exception():
        return True
    return b"close" in b",".join(reading.result().values(b"connection")).lower()
