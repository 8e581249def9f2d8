"""PUTs to presigned addresses: over connections that are kept, and with no byte passing through Python where
the system can send a file itself. An HTTP library would read and copy each piece.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO
from urllib.parse import SplitResult, urlsplit

from moorage_cli.errors import CliError, NotARegistry
from moorage_cli.proxies import Proxy, find_proxy
from moorage_cli.push.content import Content

_CONNECT_SECONDS = 10
_IDLE_SECONDS = 60
# The store may look at all of a large object before it answers.
_ANSWER_SECONDS = 300
_STEP = 4 * 1024 * 1024
_BUFFER = 256 * 1024
_ERROR_MAX = 64 * 1024
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,100})</Code>")

Sent = Callable[[int], None]


class Interrupted(Exception):
    """Nothing more is to be sent."""


class Broken(Exception):
    """There was no answer; ``reason`` says why, in a few words, and ``final`` that it stays so."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said: ``code`` is its own word for an error."""

    status: int
    code: str = ""


class Store:
    """Whatever is behind presigned addresses. Any thread may send; ``stop`` ends what others are sending.

    ``tls`` makes what is needed for https, ``trace`` takes a line per request, without its address.
    """

    def __init__(
        self,
        tls: Callable[[], ssl.SSLContext],
        *,
        https_only: bool,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self._tls = tls
        self._https_only = https_only
        self._trace = trace
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._busy: set[http.client.HTTPConnection] = set()
        self._stopped = False

    def put(
        self, url: str, headers: Mapping[str, str], content: Content, offset: int, size: int, sent: Sent
    ) -> Answer:
        """Send ``size`` bytes of the content from ``offset`` on; the answer, whatever it is. ``sent`` is told
        how many more bytes are on their way.

        Raises:
            Broken: there is no answer.
            Interrupted: ``stop`` was called.
            CliError: the content has become shorter meanwhile.
        """
        place = urlsplit(url)
        if place.scheme not in {"http", "https"} or not place.hostname:
            raise NotARegistry("the registry gave an address that is none", "tell its operator")
        if self._https_only and place.scheme != "https":
            raise NotARegistry("the registry would have the image sent in clear text", "tell its operator")
        started = time.monotonic()
        connection = self._taken(place)
        said = "broken"
        try:
            answer, again = self._exchanged(connection, place, headers, content, offset, size, sent)
            said = str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            again = False
            if self._stopped:
                raise Interrupted from error
            raise Broken(_reason(error)) from error
        except BaseException:
            again = False
            raise
        finally:
            self._given_back(connection, place, again=again)
            if self._trace is not None:
                self._trace(f"PUT {place.netloc}/... {said} {(time.monotonic() - started) * 1000:.0f} ms")
        return answer

    def stop(self) -> None:
        """End all connections, whatever they are doing."""
        with self._lock:
            self._stopped = True
            busy, idle = [*self._busy], [each for kept in self._idle.values() for each in kept]
            self._idle.clear()
        for connection in busy:
            # Whoever uses it finds out, and closes it.
            _shut(connection)
        for connection in idle:
            connection.close()

    def _exchanged(
        self,
        connection: http.client.HTTPConnection,
        place: SplitResult,
        headers: Mapping[str, str],
        content: Content,
        offset: int,
        size: int,
        sent: Sent,
    ) -> tuple[Answer, bool]:
        """The answer, and whether the connection can be used again."""
        target = f"{place.path or '/'}?{place.query}" if place.query else place.path or "/"
        if getattr(connection, "absolute", False):
            target = f"{place.scheme}://{place.netloc}{target}"
        connection.putrequest("PUT", target, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            connection.putheader(name, value)
        complete = True
        try:
            connection.endheaders()
            self._send_body(connection, content, offset, size, sent)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # A refusal may come before the whole body is there, and the connection end with it.
            if connection.sock is None:
                raise
            complete = False
        connection.sock.settimeout(_ANSWER_SECONDS)
        with connection.getresponse() as response:
            said = response.read(_ERROR_MAX)
            found = _CODE.search(said)
            code = found[1].decode() if found else ""
            again = complete and not response.will_close and response.isclosed()
            return Answer(response.status, code), again

    def _send_body(
        self, connection: http.client.HTTPConnection, content: Content, offset: int, size: int, sent: Sent
    ) -> None:
        left = size
        with content.open() as file:
            file.seek(offset, os.SEEK_CUR)
            step = _steps(connection.sock, file)
            while left:
                if self._stopped:
                    raise Interrupted
                count = step(min(left, _STEP))
                if not count:
                    raise CliError(f"{content.path} has become shorter while it was pushed", "push it again")
                left -= count
                sent(count)

    def _taken(self, place: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            if self._stopped:
                raise Interrupted
            idle = self._idle.get((place.scheme, place.netloc), [])
            while idle:
                connection = idle.pop()
                if _is_alive(connection):
                    self._busy.add(connection)
                    return connection
                connection.close()
        connection = self._connection(place)
        with self._lock:
            self._busy.add(connection)
        return connection

    def _given_back(self, connection: http.client.HTTPConnection, place: SplitResult, *, again: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if again and not self._stopped:
                connection.sock.settimeout(_IDLE_SECONDS)
                self._idle.setdefault((place.scheme, place.netloc), []).append(connection)
                return
        connection.close()

    def _connection(self, place: SplitResult) -> http.client.HTTPConnection:
        """A connection that is open, except for its first bytes."""
        host = place.hostname or ""
        port = place.port or {"http": 80, "https": 443}[place.scheme]
        proxy = find_proxy(place.scheme, place.netloc)
        try:
            connection = self._made(place.scheme, host, port, proxy)
            connection.connect()
            connection.sock.settimeout(_IDLE_SECONDS)
        except (OSError, http.client.HTTPException) as error:
            final = isinstance(error, ssl.SSLCertVerificationError)
            raise Broken(_reason(error), final=final) from error
        return connection

    def _made(self, scheme: str, host: str, port: int, proxy: Proxy | None) -> http.client.HTTPConnection:
        there = (proxy.host, proxy.port) if proxy else (host, port)
        if scheme == "http":
            connection = http.client.HTTPConnection(*there, timeout=_CONNECT_SECONDS)
            # A proxy is asked for the whole address where there is no TLS.
            connection.absolute = proxy is not None  # type: ignore[attr-defined]
            return connection
        with self._lock:
            self._context = self._context or self._tls()
        secure = http.client.HTTPSConnection(*there, timeout=_CONNECT_SECONDS, context=self._context)
        if proxy is not None:
            secure.set_tunnel(host, port, dict(proxy.headers))
        return secure


def _steps(sock: socket.socket, file: IO[bytes]) -> Callable[[int], int]:
    """What sends up to so many bytes of a file, and says how many it has sent; none at the file's end."""
    if not isinstance(sock, ssl.SSLSocket) and hasattr(os, "sendfile") and not isinstance(file, io.BytesIO):
        return lambda count: sock.sendfile(file, file.tell(), count)
    buffer = memoryview(bytearray(_BUFFER))

    def step(count: int) -> int:
        # Files of ours are unbuffered, and give what there is at once.
        size = file.readinto(buffer[: min(count, _BUFFER)])  # type: ignore[attr-defined]
        sock.sendall(buffer[:size])
        return int(size)

    return step


def _is_alive(connection: http.client.HTTPConnection) -> bool:
    """Whether nobody has ended a connection on which nothing is to come."""
    if connection.sock is None:
        return False
    if isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
        return False
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return not readable


def _shut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    try:
        if sock is not None:
            # Whoever sends or waits on it is woken by this, and not by closing it.
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, socket.gaierror):
        return "its host is not found"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "it cannot be connected to"
    return "the connection broke"


def tls(*, insecure: bool) -> ssl.SSLContext:
    """What is needed for https, with the authorities that the registry itself is verified by."""
    import httpx2  # noqa: PLC0415 - it is there already, and where all is local nothing of this is wanted

    return httpx2.create_ssl_context(verify=not insecure)
