"""What entered the registry function, as the local cloud has counted it on the way there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests import journal
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
    first, noted = len(_entries(cloud)), list[Event]()
    yield noted
    for event in _entries(cloud)[first:]:
        noted.append(Event(event["method"], event["path"], event["body_bytes"]))


def _entries(cloud: Cloud) -> list[dict[str, Any]]:
    return journal.entries(cloud.state / "traffic" / "RegistryFunction.jsonl")
