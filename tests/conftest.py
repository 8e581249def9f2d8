"""What several suites share: the emulators, and the whole local cloud."""

import pytest

from local import emulators as local_emulators


@pytest.fixture(scope="session")
def emulators(tmp_path_factory):
    """SeaweedFS and ministack, empty: endpoints and credentials of a `local.emulators.Emulators`."""
    with local_emulators.running(tmp_path_factory.mktemp("emulators"), keep=False) as running:
        yield running
