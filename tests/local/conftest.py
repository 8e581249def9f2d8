"""A front door with toy functions behind it, served in this process."""

import asyncio
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import ports
from local.front_door import FrontDoor, Server
from local.functions import Function, Pool
from local.http_api import Route

DATA = Path(__file__).parent / "data"
STORAGE = "127.0.0.1:39999"
FUNCTION_SECONDS = 4.0
GATEWAY_SECONDS = 1.0


def toy_function(**changes: Any) -> Function:
    settings: dict[str, Any] = {
        "name": "toy",
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:toy",
        "handler": "handler.handler",
        "folder": DATA / "toy",
        "path": [],
        "environment": {"TABLE_NAME": "table"},
        "timeout": FUNCTION_SECONDS,
        "memory_mb": 512,
        "log_group": "/toy",
    }
    return Function(**(settings | changes))


@dataclass(frozen=True)
class Toy:
    host: str
    port: int
    log: Path

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"


class Background:
    """An event loop in a thread, for servers that a test talks to."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine, seconds=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture(scope="session")
def background():
    background = Background()
    yield background
    background.close()


@pytest.fixture(scope="session")
def toy(background, tmp_path_factory):
    """`/patient` waits longer for its function than the function may take; there is no `$default`."""
    log = tmp_path_factory.mktemp("toy") / "toy.log"
    listener = ports.listen(0)
    function = toy_function()

    async def start(cleanup):
        pool = Pool(function, log, 3)
        cleanup.push_async_callback(pool.close)
        routes = [
            Route("ANY /{action}", function.arn, 30),
            Route("ANY /{action}/{rest+}", function.arn, 30),
            Route("GET /sleep", function.arn, GATEWAY_SECONDS),
        ]
        place = {"accountId": "000000000000", "apiId": "abc123"}
        server = Server(FrontDoor(routes, {function.arn: pool}, place, STORAGE))
        await server.start(listener)
        cleanup.push_async_callback(server.stop)

    cleanup = AsyncExitStack()
    with listener:
        background.run(start(cleanup))
        yield Toy("127.0.0.1", ports.number(listener), log)
        background.run(cleanup.aclose())
