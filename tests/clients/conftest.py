"""One local cloud for all clients; for each client a recorder, an image and stores of its own."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.clients import accounts, cloud, helm, image, matrix, recorder
from tests.clients.cloud import Account, Cloud
from tests.clients.drivers import Driver
from tests.clients.roster import MAKERS, parsed_version
from tests.clients.subject import Pushed, Subject, content


def pytest_configure(config: pytest.Config) -> None:
    """Let a polite end of the run stop what the run has started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def cells() -> None:
    matrix.begin()


@pytest.fixture(scope="session")
def registry_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with _running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="session")
def edge_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud whose front door serves blobs itself."""
    with _running(tmp_path_factory.mktemp("edge"), pulls="edge") as running:
        yield running


@pytest.fixture(scope="session")
def cloud_without_ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with _running(tmp_path_factory.mktemp("no-ingest"), ingest=False) as running:
        yield running


@contextmanager
def _running(folder: Path, *, pulls: str = "s3", ingest: bool = True) -> Iterator[Cloud]:
    with cloud.running(folder, pulls=pulls, ingest=ingest) as running:
        yield running
    # Layers, of which pytest would keep those of three runs; the logs may stay.
    shutil.rmtree(running.state / "emulators")
    shutil.rmtree(running.state / "edge-cache", ignore_errors=True)


@pytest.fixture(scope="session")
def viewer(registry_cloud: Cloud) -> Account:
    return accounts.viewer(registry_cloud)


@pytest.fixture(scope="session")
def rival(registry_cloud: Cloud) -> Account:
    return accounts.rival(registry_cloud)


@pytest.fixture(scope="session", params=matrix.CLIENTS)
def subject(
    request: pytest.FixtureRequest,
    cells: None,
    registry_cloud: Cloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Subject]:
    name: str = request.param
    log = matrix.RESULTS / f"{name}-daemons.log"
    with ExitStack() as stack:

        def driver() -> Driver:
            return MAKERS[name](tmp_path_factory.mktemp(name), log, stack)

        first = driver()
        version = first.version()
        yield Subject(
            first,
            parsed_version(version),
            registry_cloud,
            stack.enter_context(recorder.between(registry_cloud.endpoint)),
            content(
                name,
                tmp_path_factory.mktemp("image"),
                name,
                image.LAYER_SIZES if name != "helm" else [helm.CHART_SIZE],
            ),
            driver,
        )


@pytest.fixture(scope="session")
def pushed(subject: Subject) -> Pushed:
    login = subject.driver.login(subject.recorder.host, subject.cloud.admin)
    with subject.recorder.noting() as requests:
        push = subject.driver.push(subject.image, subject.reference())
    return Pushed(login, push, requests)
