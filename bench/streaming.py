"""A client of the streaming way that costs next to nothing, and the memory of the function behind it."""

from __future__ import annotations

import http.client
import json
import re
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3

from bench.cloud import Cloud, checked

FUNCTION = "IngestFunction"
_SECONDS = 300
# Of a chunk of a body of unknown length. Those of real clients are shorter, and cost each process more.
_CHUNK_BYTES = 1024 * 1024
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def stream(cloud: Cloud, repository: str, blob: Path, digest: str) -> None:
    """Upload a file as one PATCH of unknown length, and close the upload; the kernel moves the bytes.

    Raises:
        RuntimeError: it was not taken, or not sent past the API.
    """
    headers = {"Authorization": f"Bearer {cloud.token(repository)}"}
    uploads = f"{cloud.endpoint}/v2/{repository}/blobs/uploads/"
    location = checked(urllib3.request("POST", uploads, headers=headers), 202).headers["Location"]
    if "/_stream/" not in location:
        raise RuntimeError(f"not sent to {FUNCTION}: {location}")
    place = urljoin(uploads, patch(urljoin(uploads, location), blob, headers))
    mark = "&" if "?" in place else "?"
    checked(urllib3.request("PUT", f"{place}{mark}digest={digest}", headers=headers), 201)


def patch(url: str, blob: Path, headers: dict[str, str]) -> str:
    """Send a file as a body of unknown length; where to go on.

    Raises:
        RuntimeError: it was not taken.
    """
    place = urlsplit(url)
    size = blob.stat().st_size
    with closing(http.client.HTTPConnection(str(place.hostname), place.port, timeout=_SECONDS)) as connection:
        connection.putrequest("PATCH", f"{place.path}?{place.query}" if place.query else place.path)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        # Who refuses need not read on; the answer says why.
        with blob.open("rb") as file, suppress(BrokenPipeError, ConnectionResetError):
            for offset in range(0, size, _CHUNK_BYTES):
                count = min(_CHUNK_BYTES, size - offset)
                connection.sock.sendall(b"%x\r\n" % count)
                connection.sock.sendfile(file, offset, count)
                connection.sock.sendall(b"\r\n")
            connection.sock.sendall(b"0\r\n\r\n")
        with connection.getresponse() as answer:
            said = answer.read(500)
    if answer.status != http.client.ACCEPTED:
        raise RuntimeError(f"{answer.status} {said!r}")
    return str(answer.headers["Location"])


@dataclass(frozen=True)
class Memory:
    """What a process has had of memory at most since this was last reset."""

    pid: int

    @classmethod
    def of_the_function(cls, state: Path) -> Memory:
        """That of the function of a cloud with this state."""
        record: dict[str, Any] = json.loads((state / "web-functions" / f"{FUNCTION}.pid").read_text("utf-8"))
        return cls(record["pid"])

    def reset(self) -> None:
        """Begin anew, with what it has now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", "ascii")

    def peak_megabytes(self) -> float:
        """Its peak, in MB of 1000 kB."""
        found = _PEAK.search(Path(f"/proc/{self.pid}/status").read_text("ascii"))
        if found is None:
            raise RuntimeError(f"process {self.pid} has no memory")
        return int(found[1]) / 1000
