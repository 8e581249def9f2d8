"""The local cloud as a whole: what it is told, and its start."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local import emulators, ports
from local.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a local cloud."""

    root: Path
    """The folder of the template."""
    state: Path
    port: int = 5000
    s3_port: int | None = None
    """The port of the S3 front; one that is free when it is None."""
    save_seconds: float = 30.0
    domain: str = ""
    """The registry domain, below which each organisation has a host; none when it is empty."""


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGHUP or ctrl-C; `announce` gets one line when everything is ready.

    Raises:
        StateInUseError: another local cloud uses the state folder.
        PortTakenError: another process listens on a port that was asked for.
        StartError: something did not start, or ended while it was needed.
        TemplateError: the template cannot be carried out.
    """
    # Until the loop takes over: the clean-up of everything that was started must run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        StateFolder(settings.state) as state,
        # Ports before anything is started: they are what fails most often.
        ports.listen(settings.port) as listener,
        ports.listen(settings.s3_port or 0) as s3_listener,
        emulators.starting(state.folder("emulators"), save_seconds=settings.save_seconds) as await_ready,
        suppress(asyncio.CancelledError),
    ):
        # The import takes seconds, in which the emulators can start.
        from local import service  # noqa: PLC0415

        stack = service.declared(settings.root, settings.domain)
        running = service.Service(settings.root, stack, state, await_ready())
        asyncio.run(running.serve(listener, s3_listener, announce))
