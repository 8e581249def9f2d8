"""The local cloud as a whole: everything in its order, up and down."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import aws, demo, emulators, ports, template
from local.deployment import Deployment
from local.front_door import FrontDoor, Server
from local.identities import Place
from local.s3_front import S3Front
from local.state import StateFolder, write_private

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from local.emulators import Emulators
    from local.template import Stack

CREDENTIALS = "credentials.json"
PASSWORD = "password"  # noqa: S105 - the name of a file
ADMIN_ENVIRONMENT = "admin-environment.json"

_STACK = "moorage-local"
_WATCH_SECONDS = 1.0


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
    with StateFolder(settings.state) as state:
        # Ports first: they are what fails most often, and fails at once.
        listener = ports.listen(settings.port)
        s3_listener = ports.listen(settings.s3_port or 0)
        folder = state.folder("emulators")
        with (
            listener,
            s3_listener,
            emulators.running(folder, save_seconds=settings.save_seconds) as running,
            suppress(asyncio.CancelledError),
        ):
            asyncio.run(_Cloud(settings, state, running).serve(listener, s3_listener, announce))


class _Cloud:
    """What runs while the emulators do."""

    def __init__(self, settings: Settings, state: StateFolder, running: Emulators) -> None:
        self._settings = settings
        self._state = state
        self._running = running

    async def serve(
        self, listener: socket.socket, s3_listener: socket.socket, announce: Callable[[str], None]
    ) -> None:
        """Bring everything up, wait for a signal, and bring everything down; ends by being cancelled."""
        _cancel_on_signals()
        async with AsyncExitStack() as cleanup:
            s3_front = S3Front(s3_listener, int(self._running.s3_endpoint_url.rpartition(":")[2]))
            await s3_front.start()
            cleanup.push_async_callback(s3_front.close)
            stack = self._declared()
            deployment = Deployment(
                self._settings.root,
                stack,
                self._state,
                self._running.environment_with_s3(f"http://{s3_front.canonical}"),
            )
            cleanup.push_async_callback(deployment.close)
            await deployment.make(self._running)
            routes = deployment.routes()
            await asyncio.gather(*(deployment.pools[arn].warm() for arn in {r.function_arn for r in routes}))

            front_door = FrontDoor(routes, deployment.pools, deployment.place(), s3_front.canonical)
            server = Server(front_door)
            await server.start(listener)
            cleanup.push_async_callback(server.stop)
            for schedule in deployment.schedules():
                task = asyncio.create_task(schedule.run())
                cleanup.callback(task.cancel)
            announce(self._credentials(stack, ports.number(listener)))
            while True:
                await asyncio.sleep(_WATCH_SECONDS)
                self._running.ensure_running()

    def _declared(self) -> Stack:
        place = Place(_STACK, self._running.region, emulators.ACCOUNT)
        # The bucket is no host name on the loopback interface.
        parameters = {"S3AddressingStyle": "path", "RegistryDomain": self._settings.domain}
        return template.load(self._settings.root / "template.yaml", place, parameters)

    def _credentials(self, stack: Stack, port: int) -> str:
        """Store how to log in; the line that says so."""
        known = self._state.read(CREDENTIALS) or {}
        os.environ.update(self._running.environment)
        table = stack.output("TableName")
        login = demo.ensure(table, known.get("password"))
        # What `moorage-admin` has to find in its environment to make more accounts while this runs.
        self._state.write(ADMIN_ENVIRONMENT, {"TABLE_NAME": table, **self._running.environment})
        parameters = aws.client(self._running, "ssm")
        bootstrap = parameters.get_parameter(Name=stack.output("BootstrapParameter"), WithDecryption=True)
        host = f"{ports.LOOPBACK}:{port}"
        self._state.write(
            CREDENTIALS,
            {
                "endpoint": f"http://{host}",
                "org": login.organisation,
                "username": login.username,
                "password": login.password,
                "bootstrap": bootstrap["Parameter"]["Value"],
            },
        )
        # In a file of its own, so that the line to paste leaves no secret in a shell's history.
        password = write_private(self._state.path / PASSWORD, login.password + "\n")
        return (
            f"moorage is ready at {host}, organisation {login.organisation}: "
            f"docker login {host} -u '{login.username}' --password-stdin < {shlex.quote(str(password))}"
        )


def _cancel_on_signals() -> None:
    """Let the first signal cancel the current task; later ones change nothing, the clean-up is under way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    came = False

    def interrupt() -> None:
        nonlocal came
        if task is not None and not came:
            came = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
