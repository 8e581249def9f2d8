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
_SAVE_PATH = "/_moorage/save"
_INTERVAL_SECONDS = float(os.environ.get("MOORAGE_SAVE_SECONDS", "30"))


class _Saving:
    """The ASGI application, with one more path that saves the state at once."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._changed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == _SAVE_PATH:
            self.save()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._application(scope, receive, send)
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack/"):
            self._changed = True

    def save(self) -> None:
        """Save what may have changed; in the loop, not in a thread: the stores must not change meanwhile."""
        if self._changed:
            self._changed = False
            ministack.save_all(ministack._build_persistence_save_dict())  # noqa: SLF001 - it has no other hook

    async def save_regularly(self) -> None:
        """Save at the interval, for ever."""
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            self.save()


async def _serve_and_save(application: Any, config: Any) -> None:
    saving = _Saving(application)
    saver = asyncio.create_task(saving.save_regularly())
    try:
        await _serve(saving, config)
    finally:
        saver.cancel()


def main() -> None:
    """Serve until SIGTERM."""
    ministack._is_ecr_registry_path = lambda _: False  # noqa: SLF001
    hypercorn.asyncio.serve = _serve_and_save
    ministack.main()


if __name__ == "__main__":
    main()
