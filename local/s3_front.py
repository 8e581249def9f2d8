"""The S3 front: passes requests on to SeaweedFS, and refuses what S3 refuses and SeaweedFS does not.

S3 takes one way of authentication: a presigned URL that comes with an `Authorization` header is an error, so
a client that carries its registry token to storage fails there. The front answers under every name of the
loopback interface; what was signed is its canonical name, and this is what SeaweedFS gets to see.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from contextlib import closing, suppress
from urllib.parse import parse_qsl

from local import ports
from local.acceptor import Acceptor
from local.wire import BrokenOffError, Head, MalformedError, Wire, read_head, relay_body

_PRESIGNED = {"X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "Signature", "AWSAccessKeyId"}
# What follows the last request on a connection: its refusal, or nothing.
_REFUSE, _END = b"", b"-"
_LAST_ANSWER_SECONDS = 1


class S3Front(Acceptor):
    """Relays connections to the S3 at `upstream`, one connection there for each one here."""

    def __init__(self, listener: socket.socket, upstream: int) -> None:
        super().__init__(listener)
        self._upstream = upstream
        self.canonical = f"{ports.LOOPBACK}:{ports.number(listener)}"
        """Host and port that requests are signed for."""

    async def serve(self, client: Wire) -> None:
        """Pass on requests and answers until either side ends."""
        # Either side may go, or talk nonsense: the other one sees its connection end.
        with closing(client), suppress(OSError, BrokenOffError, MalformedError):
            connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            with closing(Wire(connected)) as storage:
                await asyncio.get_running_loop().sock_connect(connected, (ports.LOOPBACK, self._upstream))
                await self._relay(client, storage)

    async def _relay(self, client: Wire, storage: Wire) -> None:
        # Both directions at once: an answer may come before, or be needed for, the end of the request's body.
        methods: asyncio.Queue[bytes] = asyncio.Queue()
        requests = asyncio.create_task(self._requests(client, storage, methods))
        answers = asyncio.create_task(_answers(storage, client, methods))
        try:
            await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
            if requests.done() and isinstance(requests.exception(), OSError):
                # Storage may have answered before it stopped listening.
                await asyncio.wait({answers}, timeout=_LAST_ANSWER_SECONDS)
            if requests.done():
                requests.result()
            await answers
        finally:
            for side in (requests, answers):
                side.cancel()
            await asyncio.gather(requests, answers, return_exceptions=True)

    async def _requests(self, client: Wire, storage: Wire, methods: asyncio.Queue[bytes]) -> None:
        while (head := await read_head(client)) is not None:
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
            await storage.send(Head(head.line, headers).encoded())
            await relay_body(head, client, storage)
        methods.put_nowait(_END)


async def _answers(storage: Wire, client: Wire, methods: asyncio.Queue[bytes]) -> None:
    while (method := await methods.get()) not in {_REFUSE, _END}:
        head, status = await _next_answer(storage, client)
        if method == b"HEAD" or status in {b"204", b"304"}:
            pass
        elif head.is_framed:
            await relay_body(head, storage, client)
        else:
            await storage.relay_rest(client)
            return
        if b"close" in b",".join(head.values(b"connection")).lower():
            return
    if method == _REFUSE:
        await client.send(_refusal())
        await client.finish()


async def _next_answer(storage: Wire, client: Wire) -> tuple[Head, bytes]:
    """Pass on the head of the next final answer, and the interim ones before it; the head and its status."""
    while (head := await read_head(storage)) is not None:
        await client.send(head.encoded())
        status = head.line.split(b" ", 2)[1]
        if not status.startswith(b"1"):
            return head, status
    raise BrokenOffError


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
