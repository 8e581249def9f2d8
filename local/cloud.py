"""The local cloud as a whole: what it is told, and its start."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local import emulators, ports
from local.disturbance import Disturbance
from local.state import StateFolder
from local.webhook import Webhook

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
    front_door: str = "on"
    """Whether CloudFront stands before the HTTP API, "on" or "off"."""
    pulls: str = "s3"
    """Where blobs are pulled from, "s3" or, with CloudFront, "edge"."""
    ingest: str = "off"
    """Whether layers are streamed into a web function, "on" (with CloudFront) or "off"."""
    second_store: str = "second"
    """The name of a second store; none when it is empty."""
    drop_checksum: bool = False
    """Whether CloudFront loses the checksum of an upload on the way to S3."""
    s3_events: Disturbance = field(default_factory=Disturbance)
    """How the events of S3 are disturbed."""
    traffic: bool = False
    """Whether what enters the functions, and what is asked of S3, is counted."""


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
        Webhook() as webhook,
        emulators.starting(
            state.folder("emulators"), save_seconds=settings.save_seconds, webhook=webhook
        ) as await_ready,
        suppress(asyncio.CancelledError),
    ):
        # The import takes seconds, in which the emulators can start.
        from local import service  # noqa: PLC0415

        stack = service.declared(
            settings.root,
            settings.domain,
            settings.front_door,
            settings.pulls,
            settings.ingest,
            settings.second_store,
        )
        running = service.Service(settings, stack, state, await_ready(), webhook)
        asyncio.run(running.serve(listener, s3_listener, announce))
