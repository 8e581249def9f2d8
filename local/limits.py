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
