"""The functions of the edge in the engine that the local cloud runs them in."""

import asyncio

import pytest

from local.edge import EdgeFunction

pytest.register_assert_rewrite("tests.edge.suite")


class Keys:
    def __init__(self, keys):
        self._keys = keys

    async def get(self, key):
        if self._keys is None:
            raise OSError("the store is away")
        return self._keys.get(key)

    async def count(self):
        return len(self._keys)


class QuickJs:
    def call(self, file, event, keys):
        from tests.edge.suite import EDGE  # noqa: PLC0415 - after its assertions are to be rewritten

        function = EdgeFunction(file, (EDGE / file).read_text("utf-8"), Keys(keys))
        return asyncio.run(function.call(event))


@pytest.fixture(scope="session")
def engine():
    return QuickJs()
