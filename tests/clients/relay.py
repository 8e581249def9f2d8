"""A proxy on the loopback interface that passes on whole messages, and knows the answers as well as the requests.

The recorder forwards bytes and touches none; this one takes messages apart, so that a test can keep them, delay an
answer or change it. A body that came in pieces goes on as one of known length; all else is as it was sent.
"""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httptools

_TLS_HANDSHAKE = 0x16
_PIECE = 1 << 16
_ANSWERED_WITHIN = 60.0
# They belong to a connection or to the form of a body, which are the relay's own on either side.
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_WITHOUT_BODY = frozenset({204, 304})

Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """The value of a header, those of a repeated one joined by commas."""
    found = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(found) if found else None


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as the client sent it, its body in one piece."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Answered:
    """What was said to it."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    sent: Sent
    answered: Answered


Change = Callable[[Exchange], Answered]


class Relay(socketserver.ThreadingTCPServer):
    """The proxy; ``exchanges`` grows, in the order of the requests' ends, and holds what the registry said."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: tuple[str, int], change: Change) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = upstream
        self.change = change
        self.exchanges: list[Exchange] = []

    @property
    def host(self) -> str:
        """Host and port for an image name."""
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def between(endpoint: str, change: Change = lambda exchange: exchange.answered) -> Iterator[Relay]:
    """A relay in front of a registry at ``http://host:port``; what ``change`` makes of an answer is sent on.

    ``change`` is called in the thread of the connection, so it may wait.
    """
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with Relay((host, int(port)), change) as relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        # A client may go away at any time, and does when it is done.
        with suppress(ConnectionError):
            while (sent := self._next()) is not None:
                answered = self._forward(sent)
                exchange = Exchange(sent, answered)
                self.server.exchanges.append(exchange)
                self.request.sendall(_as_bytes(sent, self.server.change(exchange)))
                if (header(sent.headers, "Connection") or "").lower() == "close":
                    return

    def _next(self) -> Sent | None:
        message = _Message()
        while not message.complete:
            piece = self.request.recv(_PIECE)
            if not piece:
                return None
            if message.empty and piece[0] == _TLS_HANDSHAKE:
                # The same as the registry's own port says to clients that try TLS first.
                self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return None
            message.feed(piece)
        return message.sent()

    def _forward(self, sent: Sent) -> Answered:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=_ANSWERED_WITHIN)
        try:
            upstream.putrequest(sent.method, sent.target, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.headers:
                if name.lower() not in _OF_THE_CONNECTION:
                    upstream.putheader(name, value)
            if sent.body or sent.method not in {"GET", "HEAD", "DELETE"}:
                upstream.putheader("Content-Length", str(len(sent.body)))
            upstream.endheaders(sent.body)
            response = upstream.getresponse()
            return Answered(response.status, tuple(response.getheaders()), response.read())
        finally:
            upstream.close()


class _Message:
    """One request, growing as its pieces come."""

    def __init__(self) -> None:
        self.empty = True
        self.complete = False
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = b""

    def feed(self, piece: bytes) -> None:
        self.empty = False
        self._parser.feed_data(piece)

    def sent(self) -> Sent:
        method = self._parser.get_method().decode("ascii")
        return Sent(method, self._target.decode("ascii"), tuple(self._headers), self._body)

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("ascii"), value.decode("latin-1")))

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self.complete = True


def _as_bytes(sent: Sent, answered: Answered) -> bytes:
    lines = [f"HTTP/1.1 {answered.status} {http.client.responses.get(answered.status, 'Unknown')}"]
    for name, value in answered.headers:
        if name.lower() not in _OF_THE_CONNECTION:
            lines.append(f"{name}: {value}")
    if sent.method == "HEAD":
        lines.append(f"Content-Length: {header(answered.headers, 'Content-Length') or 0}")
    elif answered.status not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {len(answered.body)}")
    body = b"" if sent.method == "HEAD" else answered.body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
