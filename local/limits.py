"""What the platform refuses, and with which words. The emulators enforce none of it.

The numbers are AWS's published quotas. Where AWS does not publish the answer, the comment says so: such a
status or body is what the service is reported or expected to send, and is to be compared with a live stack.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

GATEWAY_BODY_BYTES = 10 * 1024 * 1024
"""The largest request body that an HTTP API takes ("10 MB"; that it means MiB is inferred)."""

GATEWAY_HEAD_BYTES = 10_240
"""The largest request line and headers of an HTTP API, counted here as they are on the wire."""

GATEWAY_SECONDS = 30.0
"""The longest that an HTTP API waits for a function."""

FUNCTION_PAYLOAD_BYTES = 6_291_456
"""The largest event, and the largest answer, of a synchronous invocation, as serialized JSON."""

CDN_HEAD_BYTES = 20_480
"""The largest request line and headers that CloudFront takes, counted here as they are on the wire."""

CDN_URL_BYTES = 8192
"""The largest URL that CloudFront takes, counted here as scheme, host, path and query."""

EDGE_CODE_BYTES = 10 * 1024
"""The largest code of a CloudFront function ("10 KB")."""

OBJECT_BYTES = 5 * 1024**3
"""The largest object that S3 takes in one PUT."""


@dataclass(frozen=True)
class Refusal:
    """An answer of the platform itself. It is no OCI error, and clients must cope with that."""

    status: int
    message: str

    @property
    def body(self) -> bytes:
        """The JSON body that goes with the status."""
        return json.dumps({"message": self.message}, separators=(",", ":")).encode()


NOT_FOUND = Refusal(404, "Not Found")
"""No route matches."""

BODY_TOO_LARGE = Refusal(413, "Request Entity Too Large")
"""The request body exceeds the gateway's limit. Wording unverified."""

EVENT_TOO_LARGE = Refusal(413, "Request Entity Too Large")
"""The event made of the request exceeds the function's limit. Status and wording unverified."""

HEAD_TOO_LARGE = Refusal(431, "Request Header Fields Too Large")
"""Request line and headers exceed the gateway's limit. Status and wording unverified."""

FUNCTION_FAILED = Refusal(500, "Internal Server Error")
"""The function raised, ended, ran out of time, or answered with too much or with what is no answer."""

GATEWAY_TIMEOUT = Refusal(503, "Service Unavailable")
"""The function did not answer in time."""


@dataclass(frozen=True)
class CdnRefusal:
    """An answer of CloudFront itself, a page for people. AWS does not publish its wording."""

    status: int
    message: str

    @property
    def body(self) -> bytes:
        """The page that goes with the status."""
        title = "ERROR: The request could not be satisfied"
        return (
            f"<HTML><HEAD><TITLE>{title}</TITLE></HEAD><BODY><H1>{self.status} ERROR</H1>"
            f"{self.message}</BODY></HTML>\n"
        ).encode()


CDN_MALFORMED = CdnRefusal(400, "Bad request")
"""What came is no HTTP/1.1, a TLS handshake among others."""

CDN_METHOD = CdnRefusal(403, "The distribution does not allow this HTTP method")
"""The behaviour does not allow the method."""

CDN_BODY_OF_GET = CdnRefusal(403, "A GET must not have a body")
"""Documented for GET."""

CDN_TOO_LONG = CdnRefusal(413, "The request or its URL is too long")
"""The request head or the URL exceeds the limit: documented as 413, while 494 and 414 have been reported."""

CDN_FUNCTION_INVALID = CdnRefusal(502, "The function changed what it must not change")
"""An edge function returned what does not pass the validation. Status documented."""

CDN_FUNCTION_FAILED = CdnRefusal(503, "The function failed")
"""An edge function threw. Status documented."""

CDN_ORIGIN_UNREACHABLE = CdnRefusal(502, "The origin could not be reached, or broke off")
"""The origin gave no HTTP answer. Status documented."""

CDN_ORIGIN_TIMEOUT = CdnRefusal(504, "The origin did not answer in time")
"""The origin did not answer within its read timeout. Status documented."""
