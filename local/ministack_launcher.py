"""Starts ministack the way the local cloud needs it; runs with the interpreter of the emulators.

Two things differ from its own command. Its registry emulation answers `/v2` on every host, before
anything that was deployed, so that a test could pass against the wrong registry: here it is off. And
it saves its state at shutdown only: here it is also saved at an interval, each file atomically.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import hypercorn.asyncio  # type: ignore[import-not-found,unused-ignore]
from ministack import app as ministack  # type: ignore[import-not-found,unused-ignore]

_serve = hypercorn.asyncio.serve
_INTERVAL_SECONDS = float(os.environ.get("MOORAGE_SAVE_SECONDS", "30"))


class _Counted:
    """The ASGI application, counting what may have changed the state."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.application(scope, receive, send)
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack/"):
            self.requests += 1


async def _save_regularly(counted: _Counted) -> None:
    saved = 0
    while True:
        await asyncio.sleep(_INTERVAL_SECONDS)
        if counted.requests != saved:
            saved = counted.requests
            # In the loop, not in a thread: the stores must not change while they are written.
            ministack.save_all(ministack._build_persistence_save_dict())  # noqa: SLF001 - it has no other hook


async def _serve_and_save(application: Any, config: Any) -> None:
    counted = _Counted(application)
    saver = asyncio.create_task(_save_regularly(counted))
    try:
        await _serve(counted, config)
    finally:
        saver.cancel()


def main() -> None:
    """Serve until SIGTERM."""
    ministack._is_ecr_registry_path = lambda _: False  # noqa: SLF001
    hypercorn.asyncio.serve = _serve_and_save
    ministack.main()


if __name__ == "__main__":
    main()
