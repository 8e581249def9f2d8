"""JSON documents from servers that somebody else has named.

The registry fetches what an organisation's administrator writes down, from inside AWS. So the address that a
name stands for is checked and then connected to, without a second look-up that could answer otherwise;
redirects are answers of the wrong status; and neither a large nor a slow answer costs more than a small one.
No proxy is used, which would look the name up itself.
"""

from __future__ import annotations

import http.client
import io
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore

from moorage.adapters.aws import lazy
from moorage.adapters.public_addresses import is_public
from moorage.domain.issuers import HttpsUrl

_OK = 200
_REDIRECTS = range(300, 400)
_HEADERS_MAX = 32 * 1024
_CONNECT_SECONDS = 1.0
_ADDRESSES_TRIED = 4

Endpoint = tuple[str, int]


class DocumentRefusedError(Exception):
    """There is no document, or not one that can be taken; ``reason`` says why to whoever runs the server."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object, and what its server says about keeping it."""

    content: dict[str, Any]
    cache_control: str


def look_up(host: str) -> list[Endpoint]:
    """The addresses of a host, with the port of HTTPS."""
    found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for *_, address in found]


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(Path(botocore.__file__).with_name("cacert.pem")))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class HttpsDocuments:
    """Fetches documents. ``look_up`` makes addresses of a name, ``permitted`` says to which of them a
    connection may go, and ``trusted`` whose certificates are believed.
    """

    def __init__(
        self,
        look_up: Callable[[str], Sequence[Endpoint]] = look_up,
        permitted: Callable[[str], bool] = is_public,
        trusted: Callable[[], ssl.SSLContext] = _trusted,
    ) -> None:
        self._look_up = look_up
        self._permitted = permitted
        self._trusted = lazy(trusted)

    def fetch(self, url: HttpsUrl, *, most: int, deadline: float) -> Document:
        """The JSON object at ``url``, of at most ``most`` bytes; ``deadline`` is one of ``time.monotonic()``.

        Raises:
            DocumentRefusedError: there is none, or it would take longer.
        """
        try:
            with closing(self._connect(url.host, deadline)) as connection:
                return _read(connection, url, most, deadline)
        except TimeoutError:
            raise DocumentRefusedError("its server does not answer in time") from None
        except ssl.SSLError:
            raise DocumentRefusedError("its server has no valid certificate, or no TLS of today") from None
        except (OSError, http.client.HTTPException, ValueError):
            # A length below zero, for one, is a ValueError of ``http.client``.
            raise DocumentRefusedError("its server cannot be reached") from None

    def _connect(self, host: str, deadline: float) -> ssl.SSLSocket:
        endpoints = self._endpoints(host, deadline)
        trusted: ssl.SSLContext = self._trusted()
        failure: OSError = TimeoutError()
        for endpoint in endpoints[:_ADDRESSES_TRIED]:
            try:
                plain = socket.create_connection(endpoint, min(_CONNECT_SECONDS, _left(deadline)))
            except OSError as error:
                failure = error
                continue
            try:
                plain.settimeout(_left(deadline))
                return trusted.wrap_socket(plain, server_hostname=host)
            except BaseException:
                plain.close()
                raise
        raise failure

    def _endpoints(self, host: str, deadline: float) -> list[Endpoint]:
        """Where the host is, IPv4 first; every address is permitted, or none is used."""
        found = self._looked_up(host, deadline)
        if not found:
            raise DocumentRefusedError("its host name cannot be looked up")
        if not all(self._permitted(address) for address, _ in found):
            raise DocumentRefusedError("its host name stands for an address that is not public")
        return sorted(found, key=lambda endpoint: ":" in endpoint[0])

    def _looked_up(self, host: str, deadline: float) -> list[Endpoint]:
        answers: queue.SimpleQueue[Sequence[Endpoint]] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put(self._look_up(host))
            except (OSError, UnicodeError):
                answers.put([])

        # The system's resolver has no time limit that a call could set; a thread is left behind instead.
        threading.Thread(target=answer, daemon=True).start()
        try:
            return list(answers.get(timeout=_left(deadline)))
        except queue.Empty:
            raise DocumentRefusedError("its host name cannot be looked up in time") from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Limited(io.RawIOBase):
    """What comes over a connection, until there was too much of it or the time is over."""

    def __init__(self, connection: ssl.SSLSocket, most: int, deadline: float) -> None:
        self._connection = connection
        self._most = most
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._most <= 0:
            raise DocumentRefusedError("it is too long")
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._most])
        self._most -= count
        return count

    def makefile(self, _: str) -> io.BufferedReader:
        """Itself, as ``http.client`` asks a socket for what can be read from it."""
        return io.BufferedReader(self)


def _read(connection: ssl.SSLSocket, url: HttpsUrl, most: int, deadline: float) -> Document:
    request = (
        f"GET {url.target} HTTP/1.1\r\nHost: {url.host}\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: moorage\r\nConnection: close\r\n\r\n"
    )
    connection.settimeout(_left(deadline))
    connection.sendall(request.encode("ascii"))
    limited: Any = _Limited(connection, most + _HEADERS_MAX, deadline)
    with http.client.HTTPResponse(limited, method="GET") as response:
        response.begin()
        _check_headers(response)
        body = response.read(most + 1)
        if len(body) > most:
            raise DocumentRefusedError("it is too long")
        return Document(_json_object(body), response.getheader("cache-control", ""))


def _check_headers(response: http.client.HTTPResponse) -> None:
    if response.status in _REDIRECTS:
        raise DocumentRefusedError("its server redirects, which is not followed")
    if response.status != _OK:
        raise DocumentRefusedError(f"its server answers with status {response.status}")
    kind = response.getheader("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise DocumentRefusedError("its content type is not JSON's")
    if response.getheader("content-encoding", "identity").strip().lower() != "identity":
        raise DocumentRefusedError("it is compressed, which was not asked for")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DocumentRefusedError("it is no JSON object")
    return content
