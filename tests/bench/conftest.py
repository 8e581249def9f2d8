"""The bench runs the handlers in its own process."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def handlers_have_a_loop(event_loop):
    pass
