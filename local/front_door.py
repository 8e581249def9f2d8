"""The front door: an HTTP API on the loopback interface that enforces the platform's limits."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvicorn

from local import http_api, limits
from local.functions import EventTooLargeError, FunctionError
from local.http_api import AnswerError, Request, Response

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from local.functions import Pool
    from local.http_api import Route

_STOP_SECONDS = 5
_POLL_SECONDS = 0.01
_KEEP_ALIVE_SECONDS = 75
_LOOPBACK_NAMES = {"127.0.0.1": "localhost"}


class FrontDoor:
    """The ASGI application: one request in, one invocation, one response out."""

    def __init__(
        self,
        routes: Sequence[Route],
        pools: Mapping[str, Pool],
        place: dict[str, str],
        storage: str,
        *,
        host_header: str = "host",
    ) -> None:
        """`pools` are by function ARN; `storage` is host and port of the S3 that redirects lead to.

        `host_header` holds the host that the client named.
        """
        self._routes = routes
        self._pools = pools
        self._place = place
        self._storage = storage
        self._host_header = host_header

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one HTTP request, as ASGI wants it."""
        request_id = str(uuid.uuid4())
        incoming = _Body(receive)
        try:
            response = await self._answer(scope, incoming, request_id)
        except _GoneError:
            return
        method = scope["method"]
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        named = {name for name, _ in headers}
        if method != "HEAD" or b"content-length" not in named:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            if response.status not in {204, 304}:
                headers.append((b"content-length", str(len(response.body)).encode()))
        headers.append((b"apigw-requestid", request_id.encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if method == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await incoming.discard()
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: MutableMapping[str, Any], incoming: _Body, request_id: str) -> Response:
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        request = Request(
            method=scope["method"],
            target=target.decode("latin-1"),
            protocol=f"HTTP/{scope['http_version']}",
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            body=b"",
            source_ip=scope["client"][0],
            port=scope["server"][1],
            request_id=request_id,
        )
        if request.head_bytes > limits.GATEWAY_HEAD_BYTES:
            return _refused(limits.HEAD_TOO_LARGE)
        declared = request.header("content-length")
        if declared.isdecimal() and int(declared) > limits.GATEWAY_BODY_BYTES:
            return _refused(limits.BODY_TOO_LARGE)
        body = await incoming.read()
        if body is None:
            return _refused(limits.BODY_TOO_LARGE)
        return await self._invoke(replace(request, body=body))

    async def _invoke(self, request: Request) -> Response:
        chosen = http_api.choose(self._routes, request)
        if chosen is None:
            return _refused(limits.NOT_FOUND)
        route, parameters = chosen
        event = http_api.event(request, route, parameters, self._place)
        pool = self._pools[route.function_arn]
        # The function goes on when the gateway has given up, as it does in Lambda.
        invocation = asyncio.ensure_future(pool.invoke(event))
        try:
            answer = await asyncio.wait_for(asyncio.shield(invocation), route.timeout)
            response = http_api.response(answer)
        except TimeoutError:
            invocation.add_done_callback(_forget)
            return _refused(limits.GATEWAY_TIMEOUT)
        except EventTooLargeError:
            return _refused(limits.EVENT_TOO_LARGE)
        except (FunctionError, AnswerError):
            return _refused(limits.FUNCTION_FAILED)
        return self._away_from_here(request, response)

    def _away_from_here(self, request: Request, response: Response) -> Response:
        """The response with a redirect to storage that leads to another host name than the request came to.

        Clients keep their token on a redirect within one host name, whatever the ports; on AWS, storage has a
        host name of its own.
        """
        here = http_api.without_port(request.header(self._host_header)).lower()
        name, _, port = self._storage.rpartition(":")
        if here != name:
            return response
        headers = [
            (key, value.replace(f"//{self._storage}/", f"//{_LOOPBACK_NAMES[name]}:{port}/", 1))
            if key == "location"
            else (key, value)
            for key, value in response.headers
        ]
        return Response(response.status, headers, response.body)


class Server(uvicorn.Server):
    """Serves an ASGI application until it is told to stop; signals are left to the local cloud."""

    def __init__(self, application: Any) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                # A client that tries TLS first is no warning: docker does so before every command.
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: who stops the local cloud stops this server first."""
        yield

    async def start(self, listener: socket.socket) -> None:
        """Begin to serve on this socket."""
        self._serving = asyncio.create_task(self.serve(sockets=[listener]))
        while not self.started:
            await asyncio.sleep(_POLL_SECONDS)
            if self._serving.done():
                self._serving.result()

    async def stop(self) -> None:
        """End, after the requests that are being answered or a few seconds."""
        self.should_exit = True
        await self._serving


class _GoneError(Exception):
    """The client went away before its request was whole; no function gets to see it."""


class _Body:
    """The body of one request, as it comes in."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._more = True

    async def read(self) -> bytes | None:
        """The whole body, or None when it exceeds what the gateway takes."""
        parts: list[bytes] = []
        size = 0
        while self._more:
            parts.append(await self._part())
            size += len(parts[-1])
            if size > limits.GATEWAY_BODY_BYTES:
                return None
        return b"".join(parts)

    async def discard(self) -> None:
        """Read what is left of it: a connection that is closed before would be reset, and the answer lost."""
        with suppress(_GoneError):
            while self._more:
                await self._part()

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._more = False
            raise _GoneError
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def _refused(refusal: limits.Refusal) -> Response:
    return Response(refusal.status, [("content-type", "application/json")], refusal.body)


def _forget(invocation: asyncio.Future[bytes]) -> None:
    """Take note of a late answer that nobody waits for any more."""
    if not invocation.cancelled():
        invocation.exception()
