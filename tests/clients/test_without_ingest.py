"""What a deployment without ``ingest`` says to clients that send a layer as one PATCH: it ends, soon and in an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import bucket, image, recorder, registry
from tests.clients.absent import ABSENT
from tests.clients.cells import assert_refused, cell
from tests.clients.cloud import Cloud
from tests.clients.command import TIMED_OUT, Outcome
from tests.clients.drivers import Driver
from tests.clients.recorder import Recorder
from tests.clients.subject import Subject

pytestmark = pytest.mark.timeout(420)

# Over what one request to the API may carry, and under what the platform refuses before we see it.
LARGE_LAYER = 4_550_000
# Over what the platform takes.
LARGER_LAYER = 20_000_000
LARGE_UPLOAD = f"blobs/uploads/?digest={image.digest(b'')}"
# Clients that try again take most of a minute to give up.
AT_ONCE = 20.0
# Those that say beforehand how long the body is are told by the front door, all others by the platform.
OURS, PLATFORMS = "one request carries at most", "Request Entity Too Large"
SAYS = {"docker": PLATFORMS, "podman": PLATFORMS, "skopeo": OURS, "crane": OURS}


@pytest.fixture(scope="session")
def between(cloud_without_ingest: Cloud) -> Iterator[Recorder]:
    with recorder.between(cloud_without_ingest.endpoint) as between:
        yield between


@pytest.fixture
def stranger(subject: Subject, cloud_without_ingest: Cloud, between: Recorder) -> Driver:
    """The client with an empty store, logged in where there is no ingest."""
    driver = subject.another()
    assert driver.login(between.host, cloud_without_ingest.admin).exit_code == 0
    return driver


def push(
    subject: Subject, driver: Driver, between: Recorder, repository: str, folder: Path, size: int
) -> Outcome:
    large = subject.build(folder, repository.rpartition("/")[2], [size])
    return driver.push(large, f"{between.host}/{repository}:{image.TAG}")


def assert_nothing_stored(running: Cloud, repository: str) -> None:
    with pytest.raises(LookupError):
        registry.digest(running.endpoint, running.admin, repository, image.TAG)
    assert bucket.unfinished(running.state) == []
    # The configurations, which are small, are stored, or lie there as chunks if the client gave up in the middle of
    # one; of the layers there is nothing.
    assert [size for size in bucket.sizes(running.state) if size > LARGE_LAYER // 10] == []


def test_layer_over_the_limit_of_a_request_is_refused_in_words_and_at_once(
    subject: Subject, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case = "large layer, no ingest"
    if (subject.name, case) in ABSENT:
        return
    running: Cloud = request.getfixturevalue("cloud_without_ingest")
    driver: Driver = request.getfixturevalue("stranger")
    repository = f"{running.org}/{subject.name}-large"
    with cell(subject, case) as outcomes:
        between: Recorder = request.getfixturevalue("between")
        outcomes.append(push(subject, driver, between, repository, tmp_path, LARGE_LAYER))
        said = registry.ask(
            *(running.endpoint, running.admin, "POST", repository, LARGE_UPLOAD, "pull,push"),
            bytes(LARGE_LAYER),
        )
        assert (said.status, said.code) == (413, "UNSUPPORTED")
        assert_refused(outcomes[-1], subject.name, case, said)
        assert outcomes[-1].seconds < AT_ONCE
        assert_nothing_stored(running, repository)


def test_layer_over_the_limit_of_the_platform_ends_in_an_error_and_leaves_nothing(
    subject: Subject, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case = "20 MB layer, no ingest"
    if (subject.name, case) in ABSENT:
        return
    running: Cloud = request.getfixturevalue("cloud_without_ingest")
    driver: Driver = request.getfixturevalue("stranger")
    repository = f"{running.org}/{subject.name}-larger"
    with cell(subject, case) as outcomes:
        between: Recorder = request.getfixturevalue("between")
        outcomes.append(push(subject, driver, between, repository, tmp_path, LARGER_LAYER))
        assert outcomes[-1].exit_code not in (0, TIMED_OUT), outcomes[-1]
        assert SAYS[subject.name] in outcomes[-1].output, outcomes[-1]
        assert outcomes[-1].seconds < AT_ONCE, outcomes[-1]
        assert_nothing_stored(running, repository)
