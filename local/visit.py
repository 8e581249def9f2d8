"""One request of CloudFront's client, and the answers that CloudFront gives by itself."""

from __future__ import annotations

import secrets
from http.client import responses
from typing import TYPE_CHECKING

from local.edge_events import Request, Response
from local.wire import Head, MalformedError, Wire

if TYPE_CHECKING:
    from local import limits
    from local.edge_events import Headers

VIA = "1.1 local.cloudfront.net (CloudFront)"
_ERROR_STATUSES = 400


class Visit:
    """One request of a client, and how it is answered."""

    def __init__(self, client: Wire, head: Head) -> None:
        self.client = client
        self.head = head
        self.identifier = secrets.token_urlsafe(42)
        method, target, version = head.line.decode("latin-1").split(" ", 2)
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in head.headers]
        if target.startswith("http://"):
            # Whoever takes this server for a proxy names the host there.
            # https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
            host, _, rest = target.removeprefix("http://").partition("/")
            target = f"/{rest}"
            headers = [pair for pair in headers if pair[0] != "host"] + [("host", host)]
        path, question, query = target.partition("?")
        if not path.startswith("/") or not version.startswith("HTTP/1."):
            raise MalformedError(head.line[:100])
        self.request = Request(method, path, query if question else None, headers)
        self.has_body = head.is_chunked or any(value != b"0" for value in head.values(b"content-length"))
        self.keep = version != "HTTP/1.0" and not any(
            "close" in value.lower() for name, value in headers if name == "connection"
        )

    @property
    def url_bytes(self) -> int:
        """The length of the URL that the client asked for."""
        host = dict(self.request.headers).get("host", "")
        return len(f"https://{host}{self.request.target}")

    async def refuse(self, refusal: limits.CdnRefusal, *, keep: bool = True) -> bool:
        """Answer with a page of CloudFront's own."""
        return await self.reply(
            Response(refusal.status, "", [("content-type", "text/html")], refusal.body), keep=keep
        )

    async def reply(self, response: Response, *, keep: bool = True, found: str | None = None) -> bool:
        """Answer without an origin; whether the connection can be used again. `found` is as in `answered`."""
        keep = keep and self.keep and not self.has_body
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        if not keep:
            headers.append(("connection", "close"))
        head = self.answered(Response(response.status, response.reason, headers), found)
        body = b"" if self.request.method == "HEAD" else response.body
        await self.client.send(head.encoded() + body)
        if not keep:
            await self.client.finish()
        return keep

    def answered(self, response: Response, found: str | None = None) -> Head:
        """The head that the client gets; `found` says where the answer is from if that is not the origin."""
        reason = response.reason or responses.get(response.status, "")
        found = found or ("Error" if response.status >= _ERROR_STATUSES else "Miss")
        headers = [pair for pair in response.headers if pair[0] not in {"via", "x-amz-cf-id", "x-cache"}]
        headers += [("via", VIA), ("x-amz-cf-id", self.identifier), ("x-cache", f"{found} from cloudfront")]
        return encode_head(f"HTTP/1.1 {response.status} {reason}", headers)


def encode_head(line: str, headers: Headers) -> Head:
    """The head for the wire."""
    return Head(
        line.encode("latin-1"), [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    )
