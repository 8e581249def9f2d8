"""What enters a function, counted where it goes through the pipe, and what is asked of S3: a test can show
that no blob does either.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Traffic:
    """One line of JSON for each event that a function was given, or request that S3 was sent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def count(self, payload: bytes) -> None:
        """Note an event, as it is sent."""
        self.note(line(payload))

    def note(self, entry: dict[str, Any]) -> None:
        """Write one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def line(payload: bytes) -> dict[str, Any]:
    """What is noted of an event: the body's size for one of the HTTP API, the whole size for any other."""
    event = json.loads(payload)
    http = event.get("requestContext", {}).get("http")
    if http is None:
        return {"event": _source(event), "payload_bytes": len(payload)}
    body: str = event.get("body", "")
    decoded = base64.b64decode(body) if event["isBase64Encoded"] else body.encode("utf-8", "surrogatepass")
    return {"method": http["method"], "path": event["rawPath"], "body_bytes": len(decoded)}


def _source(event: dict[str, Any]) -> str:
    if records := event.get("Records"):
        source: str = records[0]["eventSource"]
    elif "ResponseURL" in event:
        source = "aws:cloudformation"
    else:
        source = event.get("source", "")
    return source
