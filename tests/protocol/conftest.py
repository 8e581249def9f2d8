"""A registry of its own for each test."""

from collections.abc import Iterator

import pytest

from tests.protocol.world import World, registry_in_memory


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory() as world:
        yield world
