"""A registry's place on loopback: a real HTTP server that answers what a test says, and what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = "0.1.0"


@dataclass(frozen=True)
class Asked:
    """A request: what came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    content: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Answer:
    """``body`` is sent as JSON unless it is bytes; ``broken`` closes the connection in place of an answer."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    broken: bool = False


Responder = Callable[[Asked], Answer]


class StandIn:
    """``on`` says what is answered; what nothing was said for is 404 as the management API has it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []
        self.fallback: Responder | None = None
        self._answers: dict[tuple[str, str], list[Answer | Responder]] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, *answers: Answer | Responder | Any) -> None:
        """What to answer there, one after the other, the last again and again; plain values are bodies of 200."""
        known = [each if isinstance(each, Answer) or callable(each) else Answer(each) for each in answers]
        self._answers[method, path] = known

    def paths(self) -> list[str]:
        """``METHOD PATH`` of each request so far."""
        return [f"{each.method} {each.path}" for each in self.asked]

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answers = self._answers.get((asked.method, asked.path))
        if answers is None:
            return (
                self.fallback(asked) if self.fallback else refusal(404, "NotFound", "there is no such thing")
            )
        chosen = answers[0] if len(answers) == 1 else answers.pop(0)
        return chosen(asked) if callable(chosen) else chosen


def refusal(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Answer:
    """An error of the management API; ``details`` may be given."""
    body = {"status": status, "code": code, "message": message, "details": {}, "id": "request-1", **more}
    return Answer(body, status, headers or {})


def listed(kind: str, items: list[Any], following: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    links = [{"rel": "next", "href": following}] if following else []
    return {"kind": "list", "itemKind": kind, "items": items, "links": links}


def resource(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """A resource of the organisation ``acme``."""
    return {
        "kind": kind,
        "id": "11111111-2222-4333-8444-555555555555",
        "name": name,
        "version": 3,
        "description": "",
        "tags": {},
        "created": "2026-01-02T03:04:05.000Z",
        "lastModified": "2026-01-02T03:04:05.000Z",
        "links": [{"rel": "self", "href": f"/org/acme/{kind}/{name}"}, {"rel": "org", "href": "/org/acme"}],
        **fields,
    }


@contextmanager
def serving() -> Iterator[StandIn]:
    """A ``StandIn`` on a free port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = stand_in.answer(Asked(self.command, self.path, dict(self.headers), content))
            if answer.broken:
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            body = b"" if answer.body is None else body
            # A client may have gone away, and some tests have it do so.
            with suppress(ConnectionError):
                self.send_response(answer.status)
                headers = {"Content-Type": "application/json", "Moorage-Version": VERSION, **answer.headers}
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Nothing: the test has the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in = StandIn(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
