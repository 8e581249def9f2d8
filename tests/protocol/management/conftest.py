"""A management API of its own for each test."""

from collections.abc import Iterator

import pytest

from tests.protocol.management.world import Management, management_in_memory


@pytest.fixture
def management() -> Iterator[Management]:
    with management_in_memory() as management:
        yield management
