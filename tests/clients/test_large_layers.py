"""Layers of any size, pushed by clients that send a blob as one PUT, and pulled again: no byte enters a function."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.clients import cloud, command, image, matrix, recorder, traffic
from tests.clients.absent import ABSENT
from tests.clients.cells import cell
from tests.clients.cloud import Cloud
from tests.clients.command import Outcome
from tests.clients.drivers import Driver
from tests.clients.roster import MAKERS, ONE_PUT
from tests.clients.subject import Subject, content

SIZES = {
    "60 MB layer": (5_000_000, 60_000_000),
    "700 MB layer": (5_000_000, 700_000_000),
    "3 GB layer": (5_000_000, 3_000_000_000),
}
NIGHTLY = [client for client in ONE_PUT if client != "helm"]
# How often the layers stand on the disk at once: as they were made, in an archive, in a client's store, unpacked
# there, in the registry; and once to spare.
COPIES = 6


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", ["60 MB layer", "700 MB layer"])
def test_layers_go_past_the_functions_and_come_back(
    subject: Subject, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if (subject.name, case) in ABSENT:
        return
    monkeypatch.setattr(command, "FINISHED_WITHIN", 400.0)
    with cell(subject, case) as outcomes:
        entered = carry(subject.name, subject.cloud, case, outcomes)
        tell(capsys, f"{subject.name}, {case}", outcomes, entered)
        assert entered == 0


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("client", NIGHTLY)
def test_layer_of_3_gb_goes_past_the_functions_and_comes_back(
    client: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "FINISHED_WITHIN", 1800.0)
    outcomes: list[Outcome] = []
    with place() as folder, cloud.running(folder) as running:
        entered = carry(client, running, "3 GB layer", outcomes)
    tell(capsys, f"{client}, 3 GB layer", outcomes, entered)
    assert entered == 0


def tell(capsys: pytest.CaptureFixture[str], what: str, outcomes: list[Outcome], entered: int) -> None:
    """Print a line, whether the test passes or not."""
    push, pull = outcomes
    with capsys.disabled():
        took = f"pushed in {push.seconds:.1f} s, pulled in {pull.seconds:.1f} s"
        print(f"\n{what}: {took}, {entered:,} bytes of blobs in the function", end=" ")


def carry(client: str, running: Cloud, case: str, outcomes: list[Outcome]) -> int:
    """Push layers of the case's sizes and pull them into an empty store; what is left of them on the disk is what
    the registry has. How many bytes of blobs have entered the registry function.
    """
    sizes = SIZES[case]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    assert free > COPIES * sum(sizes), f"{case}: {free:,} bytes are free, {COPIES * sum(sizes):,} are needed"
    with traffic.noting(running) as entered, recorder.between(running.endpoint) as between:
        name = f"{client}-{max(sizes)}"
        reference = f"{between.host}/{running.org}/{name}:{image.TAG}"
        with between.noting() as requests, client_at(client, running, between.host) as (driver, folder):
            made = content(client, folder, name, sizes)
            outcomes.append(driver.push(made, reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        with client_at(client, running, between.host) as (driver, _):
            outcome, pulled = driver.pull(reference)
            outcomes.append(outcome)
            assert outcome.exit_code == 0, outcome
            assert image.layers_of(pulled) == made.layers
    sent = [request for request in requests if request.uploads and request.size]
    assert [request for request in sent if not request.direct] == []
    assert len(sent) == len(made.layers) + 1
    assert sum(request.size for request in sent) > sum(sizes)
    # It has opened the uploads, so what it was given is known.
    given = [event for event in entered if event.uploads]
    assert len(given) >= len(sent)
    return sum(event.size for event in given)


@contextmanager
def client_at(client: str, running: Cloud, host: str) -> Iterator[tuple[Driver, Path]]:
    """A client with nothing in its store, logged in, and a folder; both are gone afterwards."""
    with place() as folder, ExitStack() as daemons:
        driver = MAKERS[client](folder, matrix.RESULTS / f"{client}-daemons.log", daemons)
        login = driver.login(host, running.admin)
        assert login.exit_code == 0, login
        yield driver, folder


@contextmanager
def place() -> Iterator[Path]:
    """A folder that is not kept, as pytest's own would be."""
    with tempfile.TemporaryDirectory(prefix="moorage-") as folder:
        yield Path(folder)
