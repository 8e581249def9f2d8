"""CloudFront on the loopback interface: the distribution's behaviours, functions, origins and cache."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack, closing, suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from local import limits, s3_origin, web_functions
from local.acceptor import Acceptor
from local.edge import EdgeError
from local.edge_events import InvalidChangeError, Request, Response, after_request, after_response, event
from local.origin_relay import Answer, Exchange, OriginError, OriginTimeoutError, connect
from local.visit import VIA, Visit, encode_head
from local.wire import BrokenOffError, Head, MalformedError, Wire, read_head

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from local.distribution import Behavior, Distribution, Forwarding
    from local.edge import EdgeFunction
    from local.edge_cache import EdgeCache, Kept, Key
    from local.edge_events import Headers
    from local.s3_origin import S3Origin
    from local.web_functions import WebFunction

_TLS_HANDSHAKE = b"\x16"
_HOP_BY_HOP = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
}
# What goes to every origin, because it belongs to the body.
_OF_THE_BODY = {"content-length", "content-type", "transfer-encoding"}
# What a request for an object says about the object, which goes to the origin whatever the policies say.
_OF_THE_OBJECT = {
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
}
_CONDITIONS = _OF_THE_OBJECT - {"range"}
_READ = {"GET", "HEAD"}
_ERROR_STATUSES = 400
_BY_A_FUNCTION = "FunctionGeneratedResponse"


class CloudFront(Acceptor):
    """Serves one distribution."""

    def __init__(
        self,
        listener: socket.socket,
        distribution: Distribution,
        functions: Mapping[str, EdgeFunction],
        *,
        api_port: int,
        storage: S3Origin,
        cache: EdgeCache,
        web_functions: Mapping[str, WebFunction] = MappingProxyType({}),
    ) -> None:
        """`functions` are by ARN, `web_functions` by endpoint; `api_port` is where the HTTP API listens."""
        super().__init__(listener)
        self._distribution = distribution
        self._functions = functions
        self._api_port = api_port
        self._storage = storage
        self._web_functions = web_functions
        self._cache = cache

    async def close(self) -> None:
        """Stop serving, drop what is under way, and forget what is kept."""
        await super().close()
        self._cache.close()

    async def serve(self, client: Wire) -> None:
        """Answer requests until either side has had enough."""
        with closing(client), suppress(OSError, BrokenOffError):
            try:
                if await client.first() == _TLS_HANDSHAKE:
                    raise MalformedError  # noqa: TRY301 - answered as any other nonsense
                while (head := await read_head(client)) is not None and await self._answer(client, head):
                    pass
            except MalformedError:
                await Visit(client, Head(b"GET / HTTP/1.1", [])).refuse(limits.CDN_MALFORMED, keep=False)

    async def _answer(self, client: Wire, head: Head) -> bool:
        visit = Visit(client, head)
        behavior = self._distribution.behavior(visit.request.path)
        if refusal := _refusal(visit, behavior):
            return await visit.refuse(refusal)
        try:
            passed = await self._viewer_request(visit, behavior)
            if isinstance(passed, Response):
                return await visit.reply(passed, found=_BY_A_FUNCTION)
            key = _key(visit, behavior, passed)
            byte_range = _range(passed)
            if key and (kept := self._cache.find(key)) and (span := kept.span(byte_range)):
                return await self._serve_kept(visit, behavior, kept, span, partial=byte_range is not None)
            return await self._forward(visit, behavior, passed, key)
        except EdgeError:
            refusal = limits.CDN_FUNCTION_FAILED
        except InvalidChangeError:
            refusal = limits.CDN_FUNCTION_INVALID
        except OriginTimeoutError:
            refusal = limits.CDN_ORIGIN_TIMEOUT
        except OriginError:
            refusal = limits.CDN_ORIGIN_UNREACHABLE
        return await visit.refuse(refusal, keep=False)

    async def _viewer_request(self, visit: Visit, behavior: Behavior) -> Request | Response:
        arn = behavior.functions.get("viewer-request")
        if arn is None:
            return visit.request
        shown = event("viewer-request", visit.request, None, visit.identifier)
        return after_request(visit.request, shown, await self._functions[arn].call(shown))

    async def _serve_kept(
        self, visit: Visit, behavior: Behavior, kept: Kept, span: tuple[int, int], *, partial: bool
    ) -> bool:
        with kept.path.open("rb") as file:
            found = kept.answer(span, self._cache.age(kept), partial=partial)
            response = await self._viewer_response(visit, behavior, found)
            await visit.client.send(visit.answered(response, "Hit").encoded())
            if visit.request.method != "HEAD":
                await visit.client.send_file(file, *span)
        return visit.keep

    async def _forward(self, visit: Visit, behavior: Behavior, request: Request, key: Key | None) -> bool:
        origin = behavior.origin
        target = origin.path + (request.target if behavior.forwarding.query else request.path)
        headers = _forwarded(request, behavior.forwarding)
        own = {
            "via": VIA,
            "x-amz-cf-id": visit.identifier,
            "x-forwarded-for": "127.0.0.1",
            **dict(origin.headers),
        }
        if origin.bucket is None:
            own["host"] = origin.domain
        headers = [pair for pair in headers if pair[0] not in own] + list(own.items())
        if "user-agent" not in dict(headers):
            headers.append(("user-agent", "Amazon CloudFront"))
        port = self._api_port
        if origin.bucket is not None:
            if refused := s3_origin.refusal(request.method, headers):
                status, body = refused
                return await visit.reply(Response(status, "", [("content-type", "application/xml")], body))
            target = self._storage.target(origin.bucket, target)
            headers = self._storage.signed(request.method, target, headers)
            port = int(self._storage.host.rpartition(":")[2])
        function = self._web_functions[origin.endpoint] if origin.endpoint is not None else None
        if function:
            headers = web_functions.passed(headers)
        headers.append(("connection", "close"))

        async def answer(head: Head) -> Answer:
            given = _response(head)
            response = await self._viewer_response(visit, behavior, given)
            body = request.method != "HEAD" and response.status not in {204, 304}
            fill = None
            if key and behavior.caching and request.method == "GET" and given.status == HTTPStatus.OK:
                fill = self._cache.fill(key, behavior.caching, given.headers)
            if fill:
                filling.callback(fill.end)
            return Answer(visit.answered(response), body, fill.take if fill else None)

        async with AsyncExitStack() as held:
            if function:
                await held.enter_async_context(function.free)
                port = function.port
            upstream = held.enter_context(closing(await connect(port)))
            filling = held.enter_context(ExitStack())
            sent = encode_head(f"{request.method} {target} HTTP/1.1", headers)
            exchange = Exchange(
                *(visit.client, visit.head, upstream),
                half_duplex=function is not None,
                longest=function.seconds if function else None,
            )
            return await exchange.run(sent, origin.read_seconds, answer) and visit.keep

    async def _viewer_response(self, visit: Visit, behavior: Behavior, response: Response) -> Response:
        arn = behavior.functions.get("viewer-response")
        if arn is None or response.status >= _ERROR_STATUSES:
            return response
        # Shown is the client's request, as it is documented; that it is the rewritten one has been reported.
        shown = event("viewer-response", visit.request, response, visit.identifier)
        return after_response(response, await self._functions[arn].call(shown))


def _refusal(visit: Visit, behavior: Behavior) -> limits.CdnRefusal | None:
    """What CloudFront does not even show to a function."""
    if len(visit.head.encoded()) > limits.CDN_HEAD_BYTES or visit.url_bytes > limits.CDN_URL_BYTES:
        return limits.CDN_TOO_LONG
    if visit.request.method not in behavior.methods:
        return limits.CDN_METHOD
    if visit.request.method == "GET" and visit.has_body:
        return limits.CDN_BODY_OF_GET
    return None


def _key(visit: Visit, behavior: Behavior, request: Request) -> Key | None:
    """Under which the answer is kept; None where it is not, or where only the origin can give it."""
    given = dict(request.headers)
    if (
        behavior.caching is None
        or request.method not in _READ
        or visit.has_body
        or _CONDITIONS & given.keys()
    ):
        return None
    return (request.path, *(f"{name}:{given.get(name, '')}" for name in behavior.caching.headers))


def _range(request: Request) -> str | None:
    return dict(request.headers).get("range")


def _forwarded(request: Request, forwarding: Forwarding) -> Headers:
    def passes(name: str) -> bool:
        if name in _OF_THE_BODY or (name in _OF_THE_OBJECT and request.method in _READ):
            return True
        if name in _HOP_BY_HOP or name == "host":
            return False
        if name == "cookie":
            return forwarding.cookies
        return forwarding.headers is None or name in forwarding.headers

    return [pair for pair in request.headers if passes(pair[0])]


def _response(head: Head) -> Response:
    _, status, reason = head.line.decode("latin-1").split(" ", 2)
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in head.headers]
    try:
        number = int(status)
    except ValueError:
        raise OriginError(f"{status!r} is no status") from None
    return Response(number, reason, [pair for pair in headers if pair[0] not in _HOP_BY_HOP])
