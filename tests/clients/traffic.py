"""What entered the registry function, as the local cloud has counted it on the way there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.clients.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Event:
    """A request that the function was given; ``size`` is the length of its body in bytes."""

    method: str
    path: str
    size: int

    @property
    def uploads(self) -> bool:
        """Whether it opens, feeds or ends the upload of a blob."""
        return "/blobs/uploads/" in self.path


@contextmanager
def noting(cloud: Cloud) -> Iterator[list[Event]]:
    """The requests of the block, complete when it has ended."""
    first, noted = len(_lines(cloud)), list[Event]()
    yield noted
    for line in _lines(cloud)[first:]:
        event = json.loads(line)
        noted.append(Event(event["method"], event["path"], event["body_bytes"]))


def _lines(cloud: Cloud) -> list[str]:
    journal = cloud.state / "traffic" / "RegistryFunction.jsonl"
    return journal.read_text("utf-8").splitlines() if journal.exists() else []
