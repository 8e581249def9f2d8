"""What several suites share: the emulators, and the whole local cloud."""

import asyncio
import logging
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from local import emulators as local_emulators
from tests.running_cloud import RunningCloud

_LOCAL = Path(__file__).parent / "local"

# Property tests have no deadline of their own: the machine may be busy.
settings.register_profile("moorage", deadline=None, max_examples=60)
settings.load_profile("moorage")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "nightly: takes minutes or gigabytes; targets that end in -nightly run it"
    )
    _heed_signals()


def pytest_collection_modifyitems(items):
    """Side by side, files with tests of the local cloud, which mostly wait, are spread among those that compute."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if _LOCAL in path.parents]
    computing = [path for path in files if _LOCAL not in path.parents]
    # None of those that take longest begins last.
    places = [(index / max(1, len(waiting)) * 0.8, path) for index, path in enumerate(waiting)]
    places += [(index / max(1, len(computing)), path) for index, path in enumerate(computing)]
    items[:] = [item for _, path in sorted(places) for item in files[path]]


def _heed_signals():
    """Whoever started the tests in the background may ignore signals, and so would all that the tests start."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # What is started has the signal's default then; the tests themselves ignore it as before.
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="module", autouse=True)
def log_of_the_process():
    """Functions take over the log of the process that they are in, which is that of all tests."""
    log = logging.getLogger("moorage")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="session")
def emulators(tmp_path_factory):
    """SeaweedFS and ministack, empty: endpoints and credentials of a `local.emulators.Emulators`."""
    with local_emulators.running(tmp_path_factory.mktemp("emulators"), keep=False) as running:
        yield running


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory):
    """All that `make run` starts: a `RunningCloud` with `endpoint`, `credentials` and `state`."""
    cloud = RunningCloud(tmp_path_factory.mktemp("cloud") / "state")
    try:
        yield cloud.await_ready()
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def event_loop():
    """For modules that make handlers: those take the thread's event loop, or make one that nobody would close."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
