"""Web functions: HTTP servers of the template, each a process that gets its requests from an endpoint.

What an endpoint does to a request stands here too, for CloudFront is the only one who calls it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import ports
from local.emulators import ROOT
from local.intrinsics import TemplateError
from local.processes import Child, StartError, stop_all, stop_leftovers
from local.template import code_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from local.edge_events import Headers
    from local.state import StateFolder
    from local.template import Resource, Stack

CODE = {
    "IngestCodeBucket": "local",
    "IngestCodeKey": "functions/ingest",
    "IngestCodeVersion": "local",
}
"""Parameters of the template: the package is the folder itself."""

_RUNTIME = "nodejs24.x"
_WITH_NODE = "environments/node/with-node.sh"
_DEFAULT_SECONDS = 30
_DEFAULT_CONCURRENCY = 64
# What is known of it on AWS is 10 s; here everything may start at once on a busy machine.
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.2
# It lets what is under way end, and then has as long again to give the rest up.
_STOP_SECONDS = 15.0
# These do not reach the server. CloudFront has removed others before, `Expect` among them.
_REMOVED = {"x-http-method-override", "x-real-ip"}
_REMOVED_PREFIXES = ("proxy-", "lambda-web-")


@dataclass(frozen=True)
class Declaration:
    """A web function behind an endpoint, as the template declares it."""

    logical_id: str
    entry: Path
    environment: Mapping[str, str]
    seconds: float
    """How long one request may take."""
    concurrency: int
    """How many requests one environment gets at once."""


class WebFunction:
    """One environment of a web function: a server that is started again when it has ended."""

    def __init__(self, declaration: Declaration, node: Path, state: StateFolder) -> None:
        self._declaration = declaration
        self._command = [node, declaration.entry]
        self._folder = state.folder("web-functions")
        self._log = state.folder("logs") / f"{declaration.logical_id}.log"
        self._child: Child | None = None
        self.seconds = declaration.seconds
        self.free = asyncio.Semaphore(declaration.concurrency)
        """What a request takes before it is passed on. AWS would start another environment instead."""
        self.port = 0
        """Where it listens; another one after each start."""

    async def start(self) -> None:
        """Start the server, and wait until it listens.

        Raises:
            StartError: it ended, or does not listen.
        """
        (port,) = ports.free(1)
        try:
            await self._start_at(port)
        finally:
            ports.give_back(port)
        self.port = port

    async def _start_at(self, port: int) -> None:
        environment = {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{_RUNTIME}",
            "AWS_LAMBDA_HTTP_ENDPOINT": f"{ports.LOOPBACK}:{port}",
            "LANG": "en_US.UTF-8",
            "PATH": os.defpath,
            "TZ": ":UTC",
            **self._declaration.environment,
        }
        self._child = Child(
            *(self._declaration.logical_id, self._command, environment, self._folder),
            log=self._log,
            stop_seconds=_STOP_SECONDS,
        )
        async with asyncio.timeout(_READY_SECONDS):
            while not await _listens(port):
                self._child.ensure_running()
                await asyncio.sleep(_POLL_SECONDS)

    async def watch(self) -> None:
        """Start the server again whenever it ends."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                if self._child:
                    self._child.ensure_running()
            except StartError as ended:
                print(f"{ended}; it is started again", file=sys.stderr)  # noqa: T201
                with suppress(StartError, TimeoutError):
                    await self.start()

    async def close(self) -> None:
        """End the server by its pid."""
        if self._child:
            await asyncio.to_thread(stop_all, [self._child])


@asynccontextmanager
async def running(
    declared: Mapping[str, Declaration], state: StateFolder
) -> AsyncIterator[dict[str, WebFunction]]:
    """The web functions by their endpoints, while the block lasts.

    Raises:
        StartError: one did not start, or there is no Node.js.
    """
    functions: dict[str, WebFunction] = {}
    stop_leftovers(state.folder("web-functions"))
    watchers: list[asyncio.Task[None]] = []
    try:
        for endpoint, declaration in declared.items():
            functions[endpoint] = WebFunction(declaration, _node(declaration), state)
            try:
                await functions[endpoint].start()
            except TimeoutError:
                raise StartError(f"{declaration.logical_id} does not listen") from None
            watchers.append(asyncio.create_task(functions[endpoint].watch()))
        yield functions
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        for function in functions.values():
            await function.close()


def declared(
    stack: Stack, root: Path, environment: Mapping[str, str], api_port: int
) -> dict[str, Declaration]:
    """The web functions of a stack by the logical ids of their endpoints.

    `environment` is what a function gets beside what the template gives it; in that, the address of the
    stack's HTTP API becomes the one at which it listens here.

    Raises:
        TemplateError: one says what the local cloud does not understand.
    """
    apis = [stack.attribute(api.logical_id, "ApiEndpoint") for api in stack.of_kind("AWS::ApiGatewayV2::Api")]

    def here(value: Any) -> str:
        text = str(value)
        for api in apis:
            text = text.replace(api, f"http://{ports.LOOPBACK}:{api_port}")
        return text

    found = {}
    for endpoint in stack.of_kind("AWS::Lambda::WebFunctionEndpoint"):
        function, revision = _behind(stack, endpoint)
        properties = revision.properties
        _only(properties, {"FunctionName", "BuildConfig", "ServiceConfig"}, revision.logical_id)
        build, service = properties["BuildConfig"], properties["ServiceConfig"]
        known = {"ExecutionRoleArn", "TimeoutSeconds", "MaxConcurrencyPerEnvironment"}
        _only(service, {*known, "TelemetryConfig", "EnvironmentVariables"}, revision.logical_id)
        if build["RuntimeConfig"]["Runtime"] != _RUNTIME:
            raise TemplateError(
                f"{revision.logical_id} is not for {_RUNTIME}, the only runtime that there is"
            )
        variables = service.get("EnvironmentVariables", {})
        found[endpoint.logical_id] = Declaration(
            logical_id=function.logical_id,
            entry=root / code_folder({"S3Key": build["CodeConfig"]["S3Object"]["Key"]}) / "index.js",
            environment={**environment, **{name: here(value) for name, value in variables.items()}},
            seconds=float(service.get("TimeoutSeconds", _DEFAULT_SECONDS)),
            concurrency=int(service.get("MaxConcurrencyPerEnvironment", _DEFAULT_CONCURRENCY)),
        )
    return found


def passed(headers: Headers) -> Headers:
    """Of what CloudFront sends to an endpoint, that which the server gets to see."""
    return [
        (name, value)
        for name, value in headers
        if name not in _REMOVED and not name.startswith(_REMOVED_PREFIXES)
    ]


def _behind(stack: Stack, endpoint: Resource) -> tuple[Resource, Resource]:
    """The function and the revision that an endpoint leads to."""
    properties, name = endpoint.properties, endpoint.logical_id
    _only(properties, {"FunctionName", "EndpointName", "EndpointType", "AuthType", "RevisionWeights"}, name)
    if (properties["EndpointType"], properties["AuthType"]) != ("HomeRegion", "ApplicationManaged"):
        raise TemplateError(f"{name} is not one of a single Region that leaves access to the application")
    weights = properties["RevisionWeights"]
    revisions = [
        revision
        for revision in stack.of_kind("AWS::Lambda::WebFunctionRevision")
        if weights == [{"RevisionId": stack.attribute(revision.logical_id, "RevisionId"), "Weight": 100}]
    ]
    functions = [
        function
        for function in stack.of_kind("AWS::Lambda::WebFunction")
        if function.properties["FunctionName"] == properties["FunctionName"]
    ]
    if len(functions) != 1 or len(revisions) != 1:
        raise TemplateError(f"{name} does not lead to one function and one revision of the stack")
    if revisions[0].properties["FunctionName"] != properties["FunctionName"]:
        raise TemplateError(f"{name} leads to a revision of another function")
    return functions[0], revisions[0]


def _node(declaration: Declaration) -> Path:
    """Node.js of the version that web functions run on.

    Raises:
        StartError: there is none, or what the function imports is not there.
    """
    if not (declaration.entry.parent / "node_modules").exists():
        raise StartError(
            f"the packages of {declaration.entry.parent} are missing; `make run` installs them, "
            "and INGEST=off does without"
        )
    command: Sequence[str | Path] = [ROOT / _WITH_NODE, "sh", "-c", "command -v node"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise StartError(f"there is no Node.js, and INGEST=off does without: {found.stderr.strip()}")
    return Path(found.stdout.strip())


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _only(given: Mapping[str, Any], known: set[str], owner: str) -> None:
    if unknown := given.keys() - known:
        raise TemplateError(f"the local cloud does not know {sorted(unknown)} of {owner}")
