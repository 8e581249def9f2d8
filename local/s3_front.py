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
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local import ports
from local.acceptor import Acceptor
from local.wire import BrokenOffError, Head, MalformedError, Wire, read_head, relay_body

if TYPE_CHECKING:
    from local.traffic import Traffic

_PRESIGNED = {"X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "Signature", "AWSAccessKeyId"}
# What follows the last request on a connection: its refusal, or nothing.
_REFUSE, _END = b"", b"-"
_LAST_ANSWER_SECONDS = 1


class S3Front(Acceptor):
    """Relays connections to the S3 at `upstream`, one connection there for each one here.

    With `traffic`, each request that is passed on is noted there: all that functions and clients ask of S3.
    """

    def __init__(self, listener: socket.socket, upstream: int, traffic: Traffic | None = None) -> None:
        super().__init__(listener)
        self._upstream = upstream
        self._traffic = traffic
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
        sent: asyncio.Queue[Head | bytes] = asyncio.Queue()
        requests = asyncio.create_task(self._requests(client, storage, sent))
        answers = asyncio.create_task(self._answers(storage, client, sent))
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

    async def _requests(self, client: Wire, storage: Wire, sent: asyncio.Queue[Head | bytes]) -> None:
        while (head := await read_head(client)) is not None:
            if head.values(b"authorization") and _is_presigned(head):
                # The body, if any, is left unread, so nothing can follow on this connection.
                sent.put_nowait(_REFUSE)
                return
            headers = [
                (name, self.canonical.encode() if name.lower() == b"host" else value)
                for name, value in head.headers
            ]
            sent.put_nowait(head)
            await storage.send(Head(head.line, headers).encoded())
            await relay_body(head, client, storage)
        sent.put_nowait(_END)

    async def _answers(self, storage: Wire, client: Wire, sent: asyncio.Queue[Head | bytes]) -> None:
        while isinstance(request := await sent.get(), Head):
            head = await _next_answer(storage, client)
            if self._traffic:
                # Before the answer arrives: whoever has it finds its line.
                self._traffic.note(line(request, head))
            await client.send(head.encoded())
            if not _has_body(request, head):
                pass
            elif head.is_framed:
                await relay_body(head, storage, client)
            else:
                await storage.relay_rest(client)
                return
            if b"close" in b",".join(head.values(b"connection")).lower():
                return
        if request == _REFUSE:
            await client.send(_refusal())
            await client.finish()


def line(request: Head, answer: Head) -> dict[str, Any]:
    """What is noted of a request: no query, which may be a permission, but of which kind it is by its names.

    The sizes of bodies are those that were announced; None where there is a body and nothing was.
    """
    path, query = _target(request)
    copied = b",".join(request.values(b"x-amz-copy-source")).decode("latin-1")
    return {
        "method": _method(request).decode("latin-1"),
        "path": path,
        "about": sorted(name for name, _ in query if not name.lower().startswith("x-")),
        **({"copy_source": copied} if copied else {}),
        "request_bytes": _announced(request) if request.is_framed else 0,
        "status": int(_status(answer)),
        "answer_bytes": _announced(answer) if _has_body(request, answer) else 0,
    }


async def _next_answer(storage: Wire, client: Wire) -> Head:
    """Pass on interim answers; the head of the final one behind them."""
    while (head := await read_head(storage)) is not None:
        if not _status(head).startswith(b"1"):
            return head
        await client.send(head.encoded())
    raise BrokenOffError


def _has_body(request: Head, answer: Head) -> bool:
    return _method(request) != b"HEAD" and _status(answer) not in {b"204", b"304"}


def _announced(head: Head) -> int | None:
    lengths = head.values(b"content-length")
    return int(lengths[0]) if lengths and not head.is_chunked else None


def _method(head: Head) -> bytes:
    return head.line.split(b" ", 2)[0]


def _status(head: Head) -> bytes:
    return head.line.split(b" ", 2)[1]


def _is_presigned(head: Head) -> bool:
    return any(name in _PRESIGNED for name, _ in _target(head)[1])


def _target(head: Head) -> tuple[str, list[tuple[str, str]]]:
    """Path and query of a request."""
    path, _, query = head.line.split(b" ", 2)[1].decode("latin-1").partition("?")
    return path, parse_qsl(query, keep_blank_values=True)


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
