"""An HTTP API: which route a request takes, the event made of it, and the response made of the answer.

Payload format 2.0, as AWS_PROXY integrations get it. What AWS documents is followed; where its documents are
silent, the comment names the source.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
# An HTTP API folds these into `Forwarded` and sets them anew.
_REWRITTEN = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "forwarded"}
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_STATUSES = range(200, 600)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class AnswerError(Exception):
    """A function's answer is no response."""


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    method: str
    target: str
    """Path and query, undecoded."""
    protocol: str
    headers: Sequence[tuple[str, str]]
    """Names in lower case, in the order they came."""
    body: bytes
    source_ip: str
    port: int
    """The port of the front door."""
    request_id: str

    @property
    def path(self) -> str:
        """The path as routes and functions see it.

        An HTTP API decodes it, and ends it at a `?` that was hidden in an escape (so say published captures
        of live APIs; AWS documents neither).
        """
        return unquote(self.target.partition("?")[0]).partition("?")[0]

    @property
    def query(self) -> str:
        """The query as it came, without the question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; empty when it is absent."""
        return ",".join(value for given, value in self.headers if given == name)

    @property
    def head_bytes(self) -> int:
        """The size of request line and headers on the wire."""
        line = f"{self.method} {self.target} {self.protocol}\r\n"
        return len(line) + sum(len(f"{name}: {value}\r\n") for name, value in self.headers)


@dataclass(frozen=True)
class Response:
    """What goes back to the client."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


Rank = tuple[int, int, int]
"""How specific a match is: a whole path before a greedy variable, more literal text, a method before ANY."""


@dataclass(frozen=True)
class Route:
    """A route key and the ARN of the function behind it."""

    key: str
    function_arn: str
    timeout: float
    """Seconds that the gateway waits for the function."""

    def match(self, method: str, path: str) -> tuple[Rank, dict[str, str]] | None:
        """How specific the route is for a request, and its path parameters; None when it does not match."""
        if self.key == "$default":
            return (0, 0, 0), {}
        wanted, _, pattern = self.key.partition(" ")
        # A greedy variable needs something to hold: `/v2/{proxy+}` does not take `/v2/`.
        names = re.findall(r"\{([^}+]+)\+?\}", pattern)
        expression = re.sub(r"\\\{[^}]+\\\+\\\}", "(.+)", re.escape(pattern))
        expression = re.sub(r"\\\{[^}]+\\\}", "([^/]+)", expression)
        found = re.fullmatch(expression, path, re.DOTALL)
        if found is None or wanted not in {method, "ANY"}:
            return None
        rank = (1 if "+}" in pattern else 2, len(re.sub(r"\{[^}]+\}", "", pattern)), int(wanted == method))
        return rank, dict(zip(names, found.groups(), strict=True))


def choose(routes: Iterable[Route], request: Request) -> tuple[Route, dict[str, str]] | None:
    """The most specific route for a request, with its path parameters; None when no route matches."""
    matches = [(route, match) for route in routes if (match := route.match(request.method, request.path))]
    if not matches:
        return None
    route, (_, parameters) = max(matches, key=lambda candidate: candidate[1][0])
    return route, parameters


def event(
    request: Request, route: Route, parameters: dict[str, str], place: dict[str, str]
) -> dict[str, Any]:
    """The event of payload format 2.0; `place` holds `accountId` and `apiId`."""
    headers, cookies = _headers(request)
    domain = without_port(headers.get("host", ""))
    now = time.time()
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            **place,
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.protocol,
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request.request_id,
            "routeKey": route.key,
            "stage": "$default",
            "time": _clf_time(now),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        made["cookies"] = cookies
    if request.query:
        made["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if parameters:
        made["pathParameters"] = parameters
    if request.body:
        made["body"], made["isBase64Encoded"] = _body(request.body, headers)
    return made


def response(answer: bytes) -> Response:
    """The response that a function's answer stands for.

    Raises:
        AnswerError: it stands for none.
    """
    value = json.loads(answer)
    if not isinstance(value, dict) or "statusCode" not in value:
        # Anything without a status is the body of a 200.
        return Response(200, [("content-type", "application/json")], json.dumps(value).encode())
    try:
        status = _status(value["statusCode"])
        headers = [
            (_name(name), _text(content))
            for name, content in (value.get("headers") or {}).items()
            if name.lower() not in _HOP_BY_HOP
        ]
        headers += [("set-cookie", cookie) for cookie in value.get("cookies") or []]
        text = value.get("body") or ""
        body = base64.b64decode(text, validate=True) if value.get("isBase64Encoded") else text.encode()
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise AnswerError(str(error)) from error
    return Response(status, headers, body)


def without_port(host: str) -> str:
    """The host name, or address, of a `Host` header."""
    return re.sub(r":\d*$", "", host)


def _headers(request: Request) -> tuple[dict[str, str], list[str]]:
    pairs = [
        (name, value) for name, value in request.headers if name not in _REWRITTEN | _HOP_BY_HOP | {"cookie"}
    ]
    headers = _joined(pairs)
    if not request.body:
        headers.setdefault("content-length", "0")
        if request.method not in {"GET", "HEAD"}:
            # AWS adds a type to a request without a body; which one, it does not say.
            headers.setdefault("content-type", "application/octet-stream")
    else:
        headers["content-length"] = str(len(request.body))
    headers["x-amzn-trace-id"] = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    headers["x-forwarded-for"] = request.source_ip
    headers["x-forwarded-port"] = str(request.port)
    headers["x-forwarded-proto"] = "http"
    cookies = ";".join(value for name, value in request.headers if name == "cookie")
    return headers, [cookie.strip() for cookie in cookies.split(";") if cookie.strip()]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    kind = headers.get("content-type", "").lower()
    if kind.startswith(_TEXT_TYPES) and "content-encoding" not in headers:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _status(value: Any) -> int:
    status = int(value)
    if status not in _STATUSES:
        raise ValueError(f"{status} is no status")
    return status


def _name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    return name.lower()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise TypeError(f"a header cannot be {value!r}")
    text = str(value)
    text.encode("latin-1")
    if "\r" in text or "\n" in text:
        raise ValueError("a header cannot span lines")
    return text


def _clf_time(seconds: float) -> str:
    moment = time.gmtime(seconds)
    return time.strftime(f"%d/{_MONTHS[moment.tm_mon - 1]}/%Y:%H:%M:%S +0000", moment)
