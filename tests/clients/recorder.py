"""A proxy on the loopback interface that forwards bytes untouched and notes the requests among them.

It stands between a client and the registry, so that what a client asked for is known without trusting either.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httptools

WAYS = ("direct", "stream")

_TLS_HANDSHAKE = 0x16
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the client sent it; ``size`` is the length of its body in bytes."""

    method: str
    target: str
    size: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def uploads(self) -> bool:
        """Whether it opens, feeds or ends the upload of a blob."""
        return "/blobs/uploads/" in self.path

    @property
    def way(self) -> str:
        """By which way past the API it sends a blob, ``direct`` or ``stream``; empty when it does neither."""
        return next((way for way in WAYS if f"/blobs/uploads/_{way}/" in self.path), "")

    @property
    def mounts(self) -> bool:
        """Whether it asks for a blob of another repository."""
        return self.uploads and self.method == "POST" and "mount=" in self.target

    @property
    def downloads(self) -> bool:
        """Whether it asks for the content of a blob."""
        return self.method == "GET" and "/blobs/sha256:" in self.path

    @property
    def edge(self) -> bool:
        """Whether it asks the front door for the content of a blob that the registry has sent it for."""
        return self.method == "GET" and "/blobs/_edge/" in self.path


class Recorder(socketserver.ThreadingTCPServer):
    """The proxy; ``requests`` grows as clients talk."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = upstream
        self.requests: list[Request] = []

    @property
    def host(self) -> str:
        """Host and port for an image name."""
        return f"127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def noting(self) -> Iterator[list[Request]]:
        """The requests of the block, complete when it has ended."""
        first, noted = len(self.requests), list[Request]()
        yield noted
        noted.extend(self.requests[first:])


@contextmanager
def between(endpoint: str) -> Iterator[Recorder]:
    """A recorder in front of a registry at ``http://host:port``."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with Recorder((host, int(port))) as recorder:
        thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()


class _Connection(socketserver.BaseRequestHandler):
    server: Recorder
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream) as upstream:
            back = threading.Thread(target=_pump, args=(upstream, self.request, None), daemon=True)
            back.start()
            _pump(self.request, upstream, _Reader(self.server.requests))
            back.join()


class _Reader:
    """Reads the requests of one connection as they pass."""

    def __init__(self, requests: list[Request]) -> None:
        self._requests = requests
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._target = b""
        self._size = 0

    def feed(self, piece: bytes) -> None:
        # Clients try TLS first, on the same port; such a connection is passed on and holds no request.
        if self._parser is not None and not self._target and piece[0] == _TLS_HANDSHAKE:
            self._parser = None
        if self._parser is not None:
            self._parser.feed_data(piece)

    def on_message_begin(self) -> None:
        self._target, self._size = b"", 0

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        method = self._parser.get_method().decode("ascii")
        self._requests.append(Request(method, self._target.decode("ascii"), self._size))


def _pump(source: socket.socket, sink: socket.socket, reader: _Reader | None) -> None:
    # A peer may reset a connection that it is done with; the other side learns it from the shutdown.
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            if reader is not None:
                reader.feed(piece)
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
