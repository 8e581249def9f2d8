"""A connection that was kept while the function was frozen looks alive until something is sent on it."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from moorage.adapters import aws, s3
from moorage.adapters.aws import Patience
from moorage.adapters.s3 import connect_storage

_ANSWER = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n'
# Close with RST, as whoever has forgotten a connection answers on it.
_RESET = struct.pack("ii", 1, 0)


@dataclass
class ForgetfulStore:
    """Takes one request on each connection, leaves it open, and resets it at the first byte of another."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    resets: int = 0

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            headers = {}
            for line in iter(stream.readline, b"\r\n"):
                if not line:
                    return
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            self.bodies.append(stream.read(int(headers[b"content-length"])))
            connection.sendall(_ANSWER)
            if stream.read(1):
                self.resets += 1
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@contextmanager
def forgetful_store() -> Iterator[ForgetfulStore]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        store = ForgetfulStore(f"http://127.0.0.1:{listening.getsockname()[1]}")
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                connection, _ = listening.accept()
                connection.settimeout(10)
                if done.is_set():
                    connection.close()
                    return
                threads.append(threading.Thread(target=store.serve, args=(connection,)))
                threads[-1].start()

        done = threading.Event()
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield store
        finally:
            done.set()
            socket.create_connection(listening.getsockname(), timeout=10).close()
            for thread in (accepting, *threads):
                thread.join()


@pytest.fixture
def store(monkeypatch):
    aws._session.cache_clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with forgetful_store() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield running
    aws._session.cache_clear()


@pytest.mark.parametrize("content", [b"", b"abc"], ids=["empty", "not empty"])
def test_upload_after_a_pause_is_not_begun_on_the_connection_of_the_last(store, content):
    storage = connect_storage("a-bucket", "path", Patience(connect_seconds=2, upload_seconds=2))
    for number in range(3):
        pieces = iter([content])
        assert storage.put_once(f"api/{number}", pieces, len(content), hashlib.sha256(content).hexdigest())
    assert store.bodies == [content] * 3
    assert store.resets == 0


def test_certificates_are_read_once_and_verify_the_store():
    context = s3._tls("https://a-bucket.s3.us-east-1.amazonaws.com/")
    assert context is s3._tls("https://another.s3.us-east-1.amazonaws.com/")
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert s3._tls("http://127.0.0.1:1/") is None
