"""Custom resources: the functions of the stack that CloudFormation asks to make something.

The function gets the event that CloudFormation sends and puts its answer to the event's `ResponseURL`, which
is served here.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

from local import ports
from local.functions import FunctionError
from local.identities import Identity
from local.processes import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.functions import Pool
    from local.state import StateFolder
    from local.template import Resource, Stack

_FILE = "custom-resources.json"
_ANSWER_SECONDS = 60
_HEAD_BYTES = 64 * 1024


class CustomResources:
    """Creates custom resources at the first start and updates them at later ones."""

    def __init__(self, state: StateFolder, stack: Stack, pools: Mapping[str, Pool]) -> None:
        """`pools` are by function ARN."""
        self._state = state
        self._stack = stack
        self._pools = pools

    async def ensure(self, resource: Resource) -> Identity:
        """Invoke the resource's function and wait for its answer.

        Raises:
            StartError: the function failed, or said that it could not make the resource.
        """
        made = self._state.read(_FILE) or {}
        known = made.get(resource.logical_id)
        properties = _as_text(resource.properties)
        event = {
            "RequestType": "Update" if known else "Create",
            "ServiceToken": properties["ServiceToken"],
            "StackId": self._stack.place.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": resource.logical_id,
            "ResourceType": resource.kind,
            "ResourceProperties": properties,
        }
        if known:
            event |= {
                "PhysicalResourceId": known["PhysicalResourceId"],
                "OldResourceProperties": known["ResourceProperties"],
            }
        answer = await self._ask(event)
        if answer.get("Status") != "SUCCESS" or answer.get("RequestId") != event["RequestId"]:
            raise StartError(f"{resource.logical_id} was not made: {answer.get('Reason', answer)}")
        made[resource.logical_id] = {
            "PhysicalResourceId": answer["PhysicalResourceId"],
            "ResourceProperties": properties,
        }
        self._state.write(_FILE, made)
        return Identity(answer["PhysicalResourceId"], answer.get("Data") or {})

    async def _ask(self, event: dict[str, Any]) -> dict[str, Any]:
        pool = self._pools[event["ServiceToken"]]
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        path = f"/{uuid.uuid4()}"

        async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = await _read_answer(reader, path)
            if accepted is not None and not answer.done():
                answer.set_result(accepted)
            status = b"403 Forbidden" if accepted is None else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        listener = ports.listen(0)
        async with await asyncio.start_server(receive, sock=listener, limit=_HEAD_BYTES):
            url = f"http://{ports.LOOPBACK}:{ports.number(listener)}{path}"
            try:
                await pool.invoke({**event, "ResponseURL": url})
                return await asyncio.wait_for(answer, _ANSWER_SECONDS)
            except (FunctionError, TimeoutError) as error:
                reason = str(error) or "no answer"
                name = pool.function.name
                raise StartError(f"{name} did not answer ({reason}); its output is in {pool.log}") from error


async def _read_answer(reader: asyncio.StreamReader, path: str) -> dict[str, Any] | None:
    """The JSON that was put to this path; None for any other request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *headers = head.split("\r\n")
    if not line.startswith(f"PUT {path} "):
        return None
    lengths = [int(value) for name, _, value in map(_partition, headers) if name.lower() == "content-length"]
    body = await reader.readexactly(lengths[0])
    answer = json.loads(body)
    return answer if isinstance(answer, dict) else None


def _partition(header: str) -> tuple[str, str, str]:
    return header.partition(":")


def _as_text(properties: Any) -> Any:
    """Numbers and booleans as strings, as CloudFormation passes them."""
    if isinstance(properties, dict):
        return {key: _as_text(value) for key, value in properties.items()}
    if isinstance(properties, list):
        return [_as_text(value) for value in properties]
    return str(properties).lower() if isinstance(properties, bool) else str(properties)
