"""Layers of any size through a registry and back: which way they took, and what of them entered a function."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients import folders, image, recorder, traffic
from tests.clients.cloud import Cloud
from tests.clients.command import Outcome
from tests.clients.drivers import Driver
from tests.clients.recorder import Request
from tests.clients.roster import MAKERS, way
from tests.clients.subject import content

# How often the layers stand on the disk at once: as they were made, in an archive, in a client's store, unpacked
# there, in the registry; and once to spare.
_COPIES = 6


@dataclass(frozen=True, slots=True)
class Carried:
    """What was seen of layers on their way in and out."""

    entered: int
    """How many bytes of blobs the registry function was given."""
    edge: int
    """How many blobs the front door was asked for, after the registry had sent the client there."""


def carry(
    client: str, running: Cloud, sizes: Sequence[int], logs: Path, outcomes: list[Outcome], *, repository: str
) -> Carried:
    """Push layers of these sizes and pull them into an empty store; what is left of them on the disk is what the
    registry has. ``outcomes`` gets the push and the pull, ``logs`` what daemons print.

    Raises:
        AssertionError: the client failed, what came back is something else, or a blob took another way than the
            client's.
    """
    needed = _COPIES * sum(sizes)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    assert free > needed, f"{repository}: {free:,} bytes are free, {needed:,} are needed"
    with traffic.noting(running) as entered, recorder.between(running.endpoint) as between:
        reference = f"{between.host}/{running.org}/{repository}:{image.TAG}"
        with between.noting() as pushing, _at(client, running, between.host, logs) as (driver, folder):
            made = content(client, folder, repository, sizes)
            outcomes.append(driver.push(made, reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        with between.noting() as pulling, _at(client, running, between.host, logs) as (driver, _):
            outcome, pulled = driver.pull(reference)
            outcomes.append(outcome)
            assert outcome.exit_code == 0, outcome
            assert image.layers_of(pulled) == made.layers
    sent = [request for request in pushing if request.uploads and request.size]
    assert {request.way for request in sent} == {way(client)}
    assert len(sent) == len(made.layers) + 1
    assert sum(request.size for request in sent) > sum(sizes)
    # It has opened the uploads, so what it was given is known.
    given = [event for event in entered if event.uploads]
    assert len(given) >= len(sent)
    return Carried(sum(event.size for event in given), _blobs(pulling))


def _blobs(requests: list[Request]) -> int:
    return len({request.path for request in requests if request.edge})


@contextmanager
def _at(client: str, running: Cloud, host: str, logs: Path) -> Iterator[tuple[Driver, Path]]:
    """A client with nothing in its store, logged in, and a folder; both are gone afterwards."""
    with folders.named_for_clients() as folder, ExitStack() as daemons:
        driver = MAKERS[client](folder, logs / f"{client}-daemons.log", daemons)
        login = driver.login(host, running.admin)
        assert login.exit_code == 0, login
        yield driver, folder
