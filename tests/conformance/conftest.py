"""One local cloud for both runs, and a foreign registry that the runs must not be able to pass against."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from local import ports
from tests.clients import cloud
from tests.conformance import summary
from tests.conformance.tool import Target

REPOSITORIES = ("conformance1", "conformance2")
OWN_REPOSITORIES = ("conformance3", "conformance4")
DOMAIN = "moorage.test"


def pytest_configure() -> None:
    """Let a polite end of the run stop what the run has started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def table() -> None:
    summary.begin()


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cloud.Cloud]:
    with cloud.running(tmp_path_factory.mktemp("cloud"), domain=DOMAIN) as running:
        yield running


@pytest.fixture(scope="session")
def shared_host(local_cloud: cloud.Cloud) -> Target:
    """The host where every organisation's repositories are, by HOST/ORG/IMAGE."""
    first, second = (f"{local_cloud.org}/{name}" for name in REPOSITORIES)
    return Target(local_cloud.endpoint, local_cloud.admin, (first, second))


@pytest.fixture(scope="session")
def api_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The shared host without a front door: the HTTP API itself, and no direct uploads."""
    with cloud.running(tmp_path_factory.mktemp("api"), front_door=False) as running:
        first, second = (f"{running.org}/{name}" for name in REPOSITORIES)
        yield Target(running.endpoint, running.admin, (first, second))


@pytest.fixture(scope="session")
def without_ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The shared host whose front door streams nothing: clients that it does not know go through the API."""
    with cloud.running(tmp_path_factory.mktemp("no-ingest"), ingest=False) as running:
        first, second = (f"{running.org}/{name}" for name in REPOSITORIES)
        yield Target(running.endpoint, running.admin, (first, second))


@pytest.fixture(scope="session")
def edge_pulls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The shared host whose front door serves blobs itself, so that a redirect leads to the same host."""
    with cloud.running(tmp_path_factory.mktemp("edge"), pulls="edge") as running:
        first, second = (f"{running.org}/{name}" for name in REPOSITORIES)
        yield Target(running.endpoint, running.admin, (first, second))


@pytest.fixture(scope="session")
def own_host(local_cloud: cloud.Cloud) -> Target:
    """The organisation's own host, by ORG.DOMAIN/IMAGE. No name server knows it: the front door is its own proxy."""
    port = local_cloud.host.rpartition(":")[2]
    endpoint = f"http://{local_cloud.org}.{DOMAIN}:{port}"
    return Target(endpoint, local_cloud.admin, OWN_REPOSITORIES, proxy=local_cloud.endpoint)


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """ministack as it comes, whose own registry emulation answers on /v2."""
    folder = tmp_path_factory.mktemp("ministack")
    (port,) = ports.free(1)
    settings = {
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    endpoint = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [cloud.ROOT / ".venv-emulators" / "bin" / "ministack"],
            cwd=folder,
            env={**inherited, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_health(f"{endpoint}/_ministack/health", process)
        yield Target(
            endpoint, cloud.Account("anyone", "anything"), ("demo/conformance1", "demo/conformance2")
        )
    finally:
        cloud.stop(process, 30)


def _await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not cloud.answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"{url} does not answer")
        time.sleep(0.2)
