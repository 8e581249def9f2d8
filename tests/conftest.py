"""What several suites share: the emulators, and the whole local cloud."""

import asyncio
import logging
import signal

import pytest
from hypothesis import settings

from local import emulators as local_emulators
from tests.running_cloud import RunningCloud

# Property tests have no deadline of their own: the machine may be busy.
settings.register_profile("moorage", deadline=None, max_examples=60)
settings.load_profile("moorage")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "nightly: takes minutes or gigabytes; targets that end in -nightly run it"
    )
    _heed_signals()


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
