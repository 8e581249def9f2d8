"""What an edge function is shown, and what it may change: CloudFront's rules around its functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Headers = list[tuple[str, str]]
"""Names in lower case."""

_READ_ONLY = {
    "viewer-request": {"content-length", "host", "transfer-encoding", "via"},
    "viewer-response": {"content-encoding", "content-length", "transfer-encoding", "warning", "via"},
}
# Neither shown to a function nor taken from it.
_DISALLOWED = re.compile(
    r"connection|expect|keep-alive|proxy-authenticate|proxy-authorization|proxy-connection|trailer|upgrade"
    r"|x-accel-(buffering|charset|limit-rate|redirect)|x-amz-cf-.*"
    r"|x-amzn-(auth|cf-billing|cf-id|cf-xff|errortype|fle-profile|header-count|header-order"
    r"|lambda-integration-tag|requestid)|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip"
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_TARGET = re.compile(r"/[!-~]*")
_STATUSES = range(200, 600)
_BODY_BYTES = 40 * 1024


class InvalidChangeError(Exception):
    """A function returned what CloudFront does not accept."""


@dataclass(frozen=True)
class Request:
    """A request on its way through the distribution."""

    method: str
    path: str
    query: str | None
    """Without the question mark; None when there is none."""
    headers: Headers

    @property
    def target(self) -> str:
        """Path and query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"


@dataclass(frozen=True)
class Response:
    """The head of a response; `body` only when a function made it."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""


def event(kind: str, request: Request, response: Response | None, identifier: str) -> dict[str, Any]:
    """The event of a function; `rawQueryString` is made a method by the engine."""
    shown: dict[str, Any] = {
        "version": "1.0",
        "context": {
            "distributionDomainName": "local.cloudfront.net",
            "distributionId": "ELOCAL",
            "eventType": kind,
            "requestId": identifier,
        },
        "viewer": {"ip": "127.0.0.1"},
        "request": {
            "method": request.method,
            "uri": request.path,
            "rawQueryString": request.query,
            "querystring": _grouped(_pairs(request.query or "", "&")),
            "headers": _shown(request.headers),
            "cookies": _cookies(request.headers),
        },
    }
    if response is not None:
        shown["response"] = {
            "statusCode": response.status,
            "statusDescription": response.reason,
            "headers": _shown(response.headers),
            "cookies": {},
        }
    return shown


def after_request(before: Request, shown: Mapping[str, Any], result: Any) -> Request | Response:
    """The request to go on with, or the response that the function has given itself.

    Raises:
        InvalidChangeError: it is neither.
    """
    if not isinstance(result, dict):
        raise InvalidChangeError("neither a request nor a response")
    if "statusCode" in result:
        return _made(result)
    if result.get("method") != before.method:
        raise InvalidChangeError("the method was changed")
    path = result.get("uri")
    if not isinstance(path, str) or not _TARGET.fullmatch(path) or "?" in path:
        raise InvalidChangeError(f"{path!r} is no path")
    query = before.query
    if result.get("querystring") != shown["request"]["querystring"]:
        query = _joined(result.get("querystring") or {}, "&") or None
    headers = _changed("viewer-request", before.headers, result.get("headers"))
    cookies = result.get("cookies") or {}
    if cookies == shown["request"]["cookies"]:
        headers += [pair for pair in before.headers if pair[0] == "cookie"]
    elif cookies:
        headers.append(("cookie", _joined(cookies, "; ")))
    return replace(before, path=path, query=query, headers=headers)


def after_response(before: Response, result: Any) -> Response:
    """The head of the response to go on with.

    Raises:
        InvalidChangeError: the function returned none.
    """
    if not isinstance(result, dict) or "body" in result:
        raise InvalidChangeError("no response, or one with a body, which the local cloud does not know here")
    headers = _changed("viewer-response", before.headers, result.get("headers"))
    headers += [pair for pair in before.headers if pair[0] == "set-cookie"]
    return Response(_status(result), str(result.get("statusDescription") or ""), headers)


def _made(result: Mapping[str, Any]) -> Response:
    headers = _changed("", [], result.get("headers") or {})
    if any(name in {"content-length", "transfer-encoding", "via"} for name, _ in headers):
        raise InvalidChangeError("a response that a function made has no framing of its own")
    body = result.get("body") or ""
    if isinstance(body, dict):
        if body.get("encoding") != "text":
            raise InvalidChangeError("a body that is not text")
        body = body["data"]
    content = body.encode()
    if len(content) > _BODY_BYTES:
        raise InvalidChangeError(f"a body of {len(content)} bytes")
    return Response(_status(result), str(result.get("statusDescription") or ""), headers, content)


def _status(result: Mapping[str, Any]) -> int:
    status = result.get("statusCode")
    if not isinstance(status, int) or status not in _STATUSES:
        raise InvalidChangeError(f"{status!r} is no status")
    return status


def _changed(kind: str, before: Headers, given: Any) -> Headers:
    """The headers that a function returned, with those that it was not shown."""
    if not isinstance(given, dict):
        raise InvalidChangeError("no headers")
    headers: Headers = []
    for name, content in given.items():
        if not _TOKEN.fullmatch(name) or _DISALLOWED.fullmatch(name):
            raise InvalidChangeError(f"{name!r} is no header that a function may set")
        values = content.get("multiValue") or [content]
        headers += [(name, _value(name, value)) for value in values]
    for name in _READ_ONLY.get(kind, ()):
        if _values(before, name) != _values(headers, name):
            raise InvalidChangeError(f"{name} is read-only")
    return headers + [pair for pair in before if _DISALLOWED.fullmatch(pair[0])]


def _value(name: str, content: Mapping[str, Any]) -> str:
    value = content.get("value")
    if not isinstance(value, str) or not value.isascii() or not (value.isprintable() or "\t" in value):
        raise InvalidChangeError(f"{value!r} is no value of {name}")
    return value


def _values(headers: Headers, name: str) -> list[str]:
    return [value for given, value in headers if given == name]


def _shown(headers: Headers) -> dict[str, Any]:
    return _grouped(
        (name, value)
        for name, value in headers
        if name not in {"cookie", "set-cookie"} and not _DISALLOWED.fullmatch(name)
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {
        name: {"value": several[0]}
        | ({"multiValue": [{"value": value} for value in several]} if len(several) > 1 else {})
        for name, several in values.items()
    }


def _cookies(headers: Headers) -> dict[str, Any]:
    return _grouped(_pairs(";".join(_values(headers, "cookie")), ";"))


def _pairs(text: str, separator: str) -> Iterable[tuple[str, str]]:
    parts = (part.strip() for part in text.split(separator))
    return ((name, value) for name, _, value in (part.partition("=") for part in parts if part))


def _joined(grouped: Mapping[str, Any], separator: str) -> str:
    return separator.join(
        f"{name}={quote(str(value['value']), safe='%-._~!$()*,:;@/?+')}"
        for name, content in grouped.items()
        for value in content.get("multiValue") or [content]
    )
