"""A registry that keeps nothing: what a client takes to push to it is the client's own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from local import ports

_BLOCK_BYTES = 1024 * 1024


class Sink(ThreadingHTTPServer):
    """Holds nothing, takes everything, and counts the bytes of all bodies."""

    def __init__(self) -> None:
        super().__init__((ports.LOOPBACK, 0), _Handler)
        self.received = 0

    @property
    def host(self) -> str:
        """Host and port."""
        return f"{ports.LOOPBACK}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    """What a push asks: is it there, where to upload, take this."""

    protocol_version = "HTTP/1.1"
    # Nagle's algorithm would hold answers back.
    disable_nagle_algorithm = True
    server: Sink

    def do_HEAD(self) -> None:
        self._answer(HTTPStatus.NOT_FOUND)

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK)

    def do_POST(self) -> None:
        self._answer(HTTPStatus.ACCEPTED, Location=f"{self.path}1")

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        announced = parse_qs(urlsplit(self.path).query).get("digest")
        block = memoryview(bytearray(_BLOCK_BYTES))
        manifest = hashlib.sha256()
        while left and (size := self.rfile.readinto(block[:left])):
            if announced is None:
                manifest.update(block[:size])
            left -= size
            self.server.received += size
        digest = announced[0] if announced else f"sha256:{manifest.hexdigest()}"
        self._answer(HTTPStatus.CREATED, **{"Docker-Content-Digest": digest})

    def _answer(self, status: HTTPStatus, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def sink() -> Iterator[Sink]:
    """A sink in a thread of its own; it is stopped on the way out."""
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
