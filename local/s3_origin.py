"""A bucket as an origin: requests signed as an origin access control signs them, and what S3 refuses."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local import limits

if TYPE_CHECKING:
    from local.edge_events import Headers

_CHECKSUM = "x-amz-checksum-"
_SAFE = "/-._~%"


class _UnsignedPayload(S3SigV4Auth):
    def payload(self, _: AWSRequest) -> str:
        """A body of gigabytes is not read before it is sent."""
        return "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class S3Origin:
    """Signs for the S3 at `host`, which takes buckets in the path."""

    host: str
    access_key: str
    secret_key: str
    region: str
    drop_checksum: bool = False
    """Whether the checksum is lost on the way, as an origin access control might have it."""

    def target(self, bucket: str, target: str) -> str:
        """Where a path of the bucket's own host is found here."""
        path, question, query = target.partition("?")
        return f"/{bucket}{quote(path, safe=_SAFE)}{question}{query}"

    def signed(self, method: str, target: str, headers: Headers) -> Headers:
        """The headers of a request with its signature, which covers `host` and all `x-amz-*` headers."""
        kept = [
            (name, value)
            for name, value in headers
            if name not in {"authorization", "host"}
            and not (self.drop_checksum and name.startswith(_CHECKSUM))
        ]
        request = AWSRequest(method, f"http://{self.host}{target}")
        request.headers["host"] = self.host
        for name, value in kept:
            if name.startswith("x-amz-"):
                request.headers[name] = value
        credentials = Credentials(self.access_key, self.secret_key)
        _UnsignedPayload(credentials, "s3", self.region).add_auth(request)
        signed = [(name.lower(), value) for name, value in request.headers.items()]
        return [*signed, *(pair for pair in kept if not pair[0].startswith("x-amz-"))]


def refusal(method: str, headers: Headers) -> tuple[int, bytes] | None:
    """Status and body with which S3, unlike its stand-in, refuses a request; None when it does not."""
    given = dict(headers)
    if method == "PUT" and "transfer-encoding" in given:
        return 411, _error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    length = given.get("content-length", "0")
    if method == "PUT" and length.isdecimal() and int(length) > limits.OBJECT_BYTES:
        return 400, _error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    return None


def _error(code: str, message: str) -> bytes:
    identifier = uuid.uuid4().hex[:16].upper()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{identifier}</RequestId></Error>"
    ).encode()
