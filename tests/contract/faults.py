"""A server on the loopback interface that does everything wrong that a dependency can do."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What comes back: ``announced`` bytes of a body of which only ``body`` is sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None


@dataclass
class FaultyServer:
    """``answers`` are given in turn, the last one again and again. A function makes the answer when it is
    due; None, from it or instead of it, closes the connection without one.
    """

    url: str
    answers: list[Answer | Callable[[], Answer | None] | None]
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    def next_answer(self) -> Answer | Callable[[], Answer | None] | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        faulty: FaultyServer = self.server.faulty  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        faulty.requests.append((self.command, self.path, body))
        answer = faulty.next_answer()
        if callable(answer):
            answer = answer()
        if answer is None:
            return
        self.send_response(answer.status)
        announced = len(answer.body) if answer.announced is None else answer.announced
        for name, value in {
            "Content-Length": str(announced),
            "Connection": "close",
            **answer.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what matters."""


@contextmanager
def faulty_server(tls: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """A running server; what hangs in it is let go at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{server.server_port}"
    faulty = FaultyServer(url, [None])
    server.faulty = faulty  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hang_until(let_go: threading.Event) -> Callable[[], None]:
    """An answer that does not come."""

    def hang() -> None:
        let_go.wait(5)

    return hang


def dynamodb_error(code: str, status: int = 400, **more: object) -> Answer:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "as told", **more}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})


def cancelled(*codes: str) -> Answer:
    """A transaction that DynamoDB did not carry out, with its reasons."""
    reasons = [{"Code": code} for code in codes]
    return dynamodb_error("TransactionCanceledException", CancellationReasons=reasons)


def dynamodb_answer(content: dict[str, object]) -> Answer:
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.0"})


def s3_error(code: str, status: int) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>as told</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})
