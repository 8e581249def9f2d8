"""The stack, deployed on one machine: resources made, functions ready, routes known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import dependencies
from local.custom_resources import CustomResources
from local.event_sources import EventSource
from local.functions import Function, Pool
from local.http_api import Route
from local.intrinsics import TemplateError
from local.limits import GATEWAY_SECONDS
from local.resources import Resources
from local.schedules import Schedule
from local.template import code_folder
from local.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.emulators import Emulators
    from local.state import StateFolder
    from local.template import Resource, Stack

# A few more than there are processors: a worker that waits for storage needs none.
_WORKERS_PER_FUNCTION = (os.cpu_count() or 2) + 2


class Deployment:
    """What became of a stack."""

    def __init__(
        self,
        root: Path,
        stack: Stack,
        state: StateFolder,
        function_environment: Mapping[str, str],
        *,
        traffic: bool = False,
    ) -> None:
        """`function_environment` is what every function gets beside what the template gives it.

        With `traffic`, what enters the functions is counted.
        """
        self._root = root
        self._stack = stack
        self._state = state
        self._environment = function_environment
        self._traffic = traffic
        self.pools: dict[str, Pool] = {}
        """By function ARN."""

    async def make(self, emulators: Emulators) -> None:
        """Make each resource after those that it needs.

        Raises:
            StartError: a custom resource could not be made.
            TemplateError: the template holds what the local cloud does not know.
        """
        layers = self._layers()
        resources = Resources(emulators, self._stack)
        customs = CustomResources(self._state, self._stack, self.pools)
        for resource in self._stack:
            if resource.is_custom:
                self._stack.made(resource.logical_id, await customs.ensure(resource))
            elif resource.kind == "AWS::Lambda::Function":
                pool = self._pool(resource, layers)
                self.pools[pool.function.arn] = pool
            else:
                resources.ensure(resource)

    def routes(self) -> list[Route]:
        """The routes of the stack's HTTP API.

        Raises:
            TemplateError: a route does not lead to a function by payload format 2.0.
        """
        integrations = {
            f"integrations/{self._stack.ref(resource.logical_id)}": resource.properties
            for resource in self._stack.of_kind("AWS::ApiGatewayV2::Integration")
        }
        routes = []
        for resource in self._stack.of_kind("AWS::ApiGatewayV2::Route"):
            route = resource.properties
            integration = integrations.get(route["Target"], {})
            arn = integration.get("IntegrationUri")
            if arn not in self.pools or str(integration.get("PayloadFormatVersion")) != "2.0":
                raise TemplateError(
                    f"{resource.logical_id} does not lead to a function by payload format 2.0"
                )
            timeout = integration.get("TimeoutInMillis", GATEWAY_SECONDS * 1000) / 1000
            routes.append(Route(route["RouteKey"], arn, min(timeout, GATEWAY_SECONDS)))
        return routes

    def schedules(self) -> list[Schedule]:
        """The schedules that are switched on."""
        rules = self._stack.of_kind("AWS::Events::Rule")
        schedules = [Schedule(self._stack, rule, self.pools) for rule in rules]
        return [schedule for schedule in schedules if schedule.enabled]

    def event_sources(self) -> list[EventSource]:
        """The queues that functions get their messages from."""
        mappings = self._stack.of_kind("AWS::Lambda::EventSourceMapping")
        return [EventSource(self._stack, mapping, self.pools) for mapping in mappings]

    def place(self) -> dict[str, str]:
        """What the events of the HTTP API say about it.

        Raises:
            TemplateError: there is not exactly one HTTP API.
        """
        apis = self._stack.of_kind("AWS::ApiGatewayV2::Api")
        if len(apis) != 1:
            raise TemplateError(f"the template declares {len(apis)} HTTP APIs instead of one")
        return {"accountId": self._stack.place.account, "apiId": self._stack.ref(apis[0].logical_id)}

    async def close(self) -> None:
        """End all functions."""
        for pool in self.pools.values():
            await pool.close()

    def _layers(self) -> dict[str, Path]:
        """Where the content of each layer is imported from, by its ARN."""
        layers = {}
        for resource in self._stack.of_kind("AWS::Lambda::LayerVersion"):
            folder = self._root / code_folder(resource.properties["Content"])
            if not any(folder.glob("*/__init__.py")):
                # Its build would install the locked packages into it.
                folder = dependencies.link(self._root, self._state.folder("dependencies"))
            layers[self._stack.ref(resource.logical_id)] = folder
        return layers

    def _pool(self, resource: Resource, layers: Mapping[str, Path]) -> Pool:
        properties: dict[str, Any] = resource.properties
        name: str = self._stack.ref(resource.logical_id)
        variables = properties.get("Environment", {}).get("Variables", {})
        folder = self._root / code_folder(properties["Code"])
        own = []
        if (folder / "Makefile").exists():
            # Its build would install the locked packages of its own into it.
            packages = self._state.folder("packages") / folder.name
            own = [dependencies.link(self._root, packages, folder.name)]
        function = Function(
            name=name,
            arn=self._stack.attribute(resource.logical_id, "Arn"),
            handler=properties["Handler"],
            folder=folder,
            path=[*own, *(layers[arn] for arn in properties.get("Layers", []))],
            environment={**self._environment, **{key: str(value) for key, value in variables.items()}},
            timeout=properties.get("Timeout", 3),
            memory_mb=properties.get("MemorySize", 128),
            log_group=properties.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"),
        )
        log = self._state.folder("logs") / f"{resource.logical_id}.log"
        traffic = (
            Traffic(self._state.folder("traffic") / f"{resource.logical_id}.jsonl") if self._traffic else None
        )
        return Pool(function, log, _WORKERS_PER_FUNCTION, traffic)
