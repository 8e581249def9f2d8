"""The filer's webhook: how SeaweedFS tells what was stored.

The socket listens before SeaweedFS is started, so that nothing it tells is lost: what comes before somebody
takes it waits in the socket's queue. The filer gives an event up after a few attempts.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Self

from local import ports
from local.state import write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FILE = "notification.toml"
_HEAD_BYTES = 64 * 1024
# As long as the start of everything else may take: the first events wait for it.
_PATIENCE_SECONDS = 120
_SETTINGS = """\
[notification.webhook]
enabled = true
endpoint = "http://{host}:{port}/"
bearer_token = "{token}"
timeout_seconds = {seconds}
max_retries = 3
workers = 20
event_types = ["create", "update"]
path_prefixes = ["/buckets"]
"""


class Webhook:
    """Receives the events of one filer."""

    def __init__(self) -> None:
        self._listener = ports.listen(0)
        # Any program on this machine can reach the port.
        self._token = secrets.token_urlsafe(24)
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def configure(self, folder: Path) -> None:
        """Have a SeaweedFS that is started in this folder send its events here."""
        settings = _SETTINGS.format(
            host=ports.LOOPBACK,
            port=ports.number(self._listener),
            token=self._token,
            seconds=_PATIENCE_SECONDS,
        )
        write_private(folder / _FILE, settings)

    async def start(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Give each event to `take`, those that already wait among them."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if (task := asyncio.current_task()) is not None:
                self._connections[writer] = task
            with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    status = await self._receive(reader, take)
                    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
            self._connections.pop(writer, None)

        self._server = await asyncio.start_server(serve, sock=self._listener, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """Stop receiving."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections.values())
        for writer in self._connections:
            # Its task finds the end of the connection, and ends: cancelled, asyncio would report it.
            writer.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, reader: asyncio.StreamReader, take: Callable[[dict[str, Any]], None]) -> bytes:
        """Read one request; the status of its answer."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if not hmac.compare_digest(
            headers.get("authorization", "").encode(), f"Bearer {self._token}".encode()
        ):
            return b"403 Forbidden"
        take(json.loads(body))
        return b"200 OK"
