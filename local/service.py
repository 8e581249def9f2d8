"""What serves while the emulators run: everything in its order, up and down."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local import aws, demo, edge_deployment, emulators, event_sources, ports, template, web_functions
from local.deployment import Deployment
from local.front_door import FrontDoor, Server
from local.identities import Place
from local.s3_bridge import Bridge
from local.s3_front import S3Front
from local.state import write_private
from local.traffic import Traffic
from moorage.adapters.dynamodb import connect_table
from moorage.domain.jobs import document_job

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from local.cloud import Settings
    from local.emulators import Emulators
    from local.state import StateFolder
    from local.template import Stack
    from local.webhook import Webhook
    from moorage.adapters.dynamodb import DynamoTable

CREDENTIALS = "credentials.json"
PASSWORD = "password"  # noqa: S105 - the name of a file
ADMIN_ENVIRONMENT = "admin-environment.json"
S3_TRAFFIC = "S3.jsonl"

_STACK = "moorage-local"
_WATCH_SECONDS = 1.0


def declared(
    root: Path,
    domain: str,
    front_door: str = "on",
    pulls: str = "s3",
    ingest: str = "off",
    second_store: str = "second",
) -> Stack:
    """The stack of the project's template, with the parameters that suit one machine.

    Raises:
        TemplateError: the template cannot be carried out.
    """
    place = Place(_STACK, emulators.REGION, emulators.ACCOUNT)
    # The bucket is no host name on the loopback interface.
    parameters = {
        "S3AddressingStyle": "path",
        "RegistryDomain": domain,
        "FrontDoor": front_door,
        "Pulls": pulls,
        "Ingest": ingest,
        "SecondStore": second_store,
        **web_functions.CODE,
    }
    return template.load(root / "template.yaml", place, parameters)


class Service:
    """What runs while the emulators do."""

    def __init__(
        self, settings: Settings, stack: Stack, state: StateFolder, running: Emulators, webhook: Webhook
    ) -> None:
        self._settings = settings
        self._stack = stack
        self._state = state
        self._running = running
        self._webhook = webhook

    async def serve(
        self, listener: socket.socket, s3_listener: socket.socket, announce: Callable[[str], None]
    ) -> None:
        """Bring everything up, wait for a signal, and bring everything down; ends by being cancelled."""
        _cancel_on_signals()
        async with AsyncExitStack() as cleanup:
            asked = Traffic(self._state.folder("traffic") / S3_TRAFFIC) if self._settings.traffic else None
            s3_front = S3Front(s3_listener, int(self._running.s3_endpoint_url.rpartition(":")[2]), asked)
            await s3_front.start()
            cleanup.push_async_callback(s3_front.close)
            deployment = Deployment(
                self._settings.root,
                self._stack,
                self._state,
                self._running.environment_with_s3(f"http://{s3_front.canonical}"),
                traffic=self._settings.traffic,
            )
            cleanup.push_async_callback(deployment.close)
            await deployment.make(self._running)
            routes = deployment.routes()
            await asyncio.gather(*(deployment.pools[arn].warm() for arn in {r.function_arn for r in routes}))

            await self._open(listener, deployment, s3_front.canonical, cleanup)
            for schedule in deployment.schedules():
                task = asyncio.create_task(schedule.run())
                cleanup.callback(task.cancel)
            bridge = await self._bridge(cleanup)
            sources = event_sources.polling(deployment.event_sources(), self._running)
            await cleanup.enter_async_context(sources)
            announce(self._credentials(ports.number(listener)))
            table = connect_table(self._stack.output("TableName"))
            bridge.catch_up(lambda key: _is_processed(table, key))
            while True:
                await asyncio.sleep(_WATCH_SECONDS)
                self._running.ensure_running()

    async def _open(
        self, listener: socket.socket, deployment: Deployment, storage: str, cleanup: AsyncExitStack
    ) -> None:
        """Serve on the public port: CloudFront with the HTTP API behind it, or the HTTP API alone."""
        behind = bool(self._stack.of_kind("AWS::CloudFront::Distribution"))
        api = cleanup.enter_context(ports.listen(0)) if behind else listener
        front_door = FrontDoor(
            deployment.routes(),
            deployment.pools,
            deployment.place(),
            storage,
            host_header="x-moorage-host" if behind else "host",
        )
        server = Server(front_door)
        await server.start(api)
        cleanup.push_async_callback(server.stop)
        if behind:
            declared = web_functions.declared(
                self._stack, self._settings.root, self._running.environment, ports.number(api)
            )
            started = await cleanup.enter_async_context(web_functions.running(declared, self._state))
            cloudfront = edge_deployment.cloudfront(
                self._stack,
                self._state,
                self._running,
                listener=listener,
                api_port=ports.number(api),
                web_functions=started,
                drop_checksum=self._settings.drop_checksum,
            )
            await cloudfront.start()
            cleanup.push_async_callback(cloudfront.close)

    async def _bridge(self, cleanup: AsyncExitStack) -> Bridge:
        """What tells the queues of new objects."""
        bridge = Bridge(self._stack, self._running, self._settings.s3_events)
        cleanup.push_async_callback(bridge.close)
        bridge.announce(self._state)
        await self._webhook.start(bridge.take)
        cleanup.push_async_callback(self._webhook.close)
        return bridge

    def _credentials(self, port: int) -> str:
        """Store how to log in; the line that says so."""
        known = self._state.read(CREDENTIALS) or {}
        os.environ.update(self._running.environment)
        table = self._stack.output("TableName")
        login = demo.ensure(table, known.get("password"))
        # What `moorage-admin` has to find in its environment to make more accounts while this runs.
        stores = self._stack.output("Stores") if self._settings.second_store else ""
        told = {"TABLE_NAME": table, "BUCKET_NAME": self._stack.output("BucketName"), "STORES": stores}
        self._state.write(ADMIN_ENVIRONMENT, {**told, **self._running.environment})
        parameters = aws.client(self._running, "ssm")
        bootstrap = parameters.get_parameter(
            Name=self._stack.output("BootstrapParameter"), WithDecryption=True
        )
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
        # What was just given out must hold, even if everything is killed before the first regular save.
        self._running.save()
        # In a file of its own, so that the line to paste leaves no secret in a shell's history.
        password = write_private(self._state.path / PASSWORD, login.password + "\n")
        return (
            f"moorage is ready at {host}, organisation {login.organisation}: "
            f"docker login {host} -u '{login.username}' --password-stdin < {shlex.quote(str(password))}"
        )


def _is_processed(table: DynamoTable, key: str) -> bool:
    """Whether nothing is left to come of the event about an object: it is recorded, or its job has ended."""
    job_id = document_job(key)
    if job_id is None:
        return table.find_object(key) is not None
    job = table.find_job(job_id, datetime.now(UTC))
    return job is None or not job.state.is_open


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
