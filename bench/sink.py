"""A registry that keeps nothing: what a client takes to push to it is the client's own."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from local import ports

_BLOCK_BYTES = 1024 * 1024


class Sink(ThreadingHTTPServer):
    """Keeps nothing but lengths, takes everything, and counts the bytes of all bodies."""

    def __init__(self) -> None:
        super().__init__((ports.LOOPBACK, 0), _Handler)
        self.received = 0
        self.numbers = itertools.count(1)
        self.taken: dict[str, int] = {}
        """How much came in by a PATCH, by the path of its upload."""
        self.known: dict[str, int] = {}
        """Lengths of whole blobs by their digests: docker asks for its blob once it has sent it."""

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
        digest = self.path.rpartition("/")[2]
        if digest not in self.server.known:
            return self._answer(HTTPStatus.NOT_FOUND)
        given = {"Content-Length": str(self.server.known[digest]), "Docker-Content-Digest": digest}
        return self._answer(HTTPStatus.OK, **given)

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK)

    def do_POST(self) -> None:
        self._answer(HTTPStatus.ACCEPTED, Location=f"{self.path}{next(self.server.numbers)}")

    def do_PATCH(self) -> None:
        size = sum(map(len, self._body()))
        self.server.taken[self.path] = size
        self._answer(HTTPStatus.ACCEPTED, Location=self.path, Range=f"0-{max(size - 1, 0)}")

    def do_PUT(self) -> None:
        place = urlsplit(self.path)
        announced = parse_qs(place.query).get("digest")
        manifest = hashlib.sha256()
        size = self.server.taken.pop(place.path, 0)
        for block in self._body():
            size += len(block)
            if announced is None:
                manifest.update(block)
        digest = announced[0] if announced else f"sha256:{manifest.hexdigest()}"
        if announced:
            self.server.known[digest] = size
        self._answer(HTTPStatus.CREATED, **{"Docker-Content-Digest": digest})

    def _body(self) -> Iterator[memoryview]:
        """The body, block by block, of which each is gone when the next one comes."""
        block = memoryview(bytearray(_BLOCK_BYTES))
        for length in self._lengths():
            left = length
            while left and (size := self.rfile.readinto(block[:left])):
                left -= size
                self.server.received += size
                yield block[:size]

    def _lengths(self) -> Iterator[int]:
        """How many bytes follow, chunk by chunk where the body comes in chunks."""
        if "Content-Length" in self.headers:
            yield int(self.headers["Content-Length"])
            return
        while size := int(self.rfile.readline(), 16):
            yield size
            self.rfile.readline()
        self.rfile.readline()

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
