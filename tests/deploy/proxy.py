"""An HTTP proxy before the deployed API.

An API of the emulator is told by its host name, which no resolver knows: a client that is given this proxy
needs none. Requests pass unchanged but for the scheme, which the gateway would report; each is recorded.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "upgrade"}
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Exchange:
    """What a client asked and what it was answered."""

    method: str
    path: str
    status: int
    headers: dict[str, str] = field(repr=False)


class Proxy(ThreadingHTTPServer):
    """Listens on a free port of the loopback interface; knows one upstream."""

    daemon_threads = True

    def __init__(self, upstream_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream_port = upstream_port
        self.exchanges: list[Exchange] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def recorded(self) -> list[Exchange]:
        """The exchanges since the last call."""
        exchanges, self.exchanges = self.exchanges, []
        return exchanges


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        target = urlsplit(self.path)
        path = target.path + (f"?{target.query}" if target.query else "")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        body = self._body()
        headers |= {"X-Forwarded-Proto": "http", "Content-Length": str(len(body))}
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self.server.upstream_port, timeout=_TIMEOUT_SECONDS
        )
        try:
            upstream.request(self.command, path, body=body, headers=headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        self.server.exchanges.append(
            Exchange(self.command, path, answer.status, {k.lower(): v for k, v in answer.getheaders()})
        )
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _pass_on  # noqa: N815

    def _body(self) -> bytes:
        """The whole body: a gateway hands a function nothing less."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """A trailer, which nobody asked for."""
        return bytes(body)

    def do_CONNECT(self) -> None:
        """There is no TLS here: a client that tries it first falls back to plain HTTP."""
        self.close_connection = True
        self.send_error(502)

    def log_message(self, *arguments: object) -> None:
        """Silence."""
