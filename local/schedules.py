"""Schedules: functions of the stack that EventBridge calls at a rate."""

from __future__ import annotations

import asyncio
import re
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.functions import FunctionError
from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.functions import Pool
    from local.identities import Place
    from local.template import Resource, Stack

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


class Schedule:
    """One rule: how often it fires, and which functions it calls."""

    def __init__(self, stack: Stack, resource: Resource, pools: Mapping[str, Pool]) -> None:
        """`pools` are by function ARN.

        Raises:
            TemplateError: the rule is no schedule of whole minutes, hours or days, or calls something else.
        """
        properties = resource.properties
        self._place = stack.place
        self._arn: str = stack.attribute(resource.logical_id, "Arn")
        self.enabled = properties.get("State", "ENABLED") == "ENABLED"
        self.seconds = seconds(properties.get("ScheduleExpression", ""))
        targets = [target["Arn"] for target in properties["Targets"]]
        if strangers := [arn for arn in targets if arn not in pools]:
            raise TemplateError(
                f"{resource.logical_id} calls {strangers}, which the local cloud does not run"
            )
        self._pools = [pools[arn] for arn in targets]

    async def run(self) -> None:
        """Call the functions at the rate, for ever."""
        while True:
            await asyncio.sleep(self.seconds)
            for pool in self._pools:
                try:
                    await pool.invoke(event(self._place, self._arn))
                except FunctionError as error:
                    print(f"{pool.function.name}: {error}; see {pool.log}", file=sys.stderr)  # noqa: T201


def seconds(expression: str) -> int:
    """The seconds of a rate.

    Raises:
        TemplateError: it is none.
    """
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if found is None or not int(found[1]):
        raise TemplateError(f"{expression!r} is not a schedule that the local cloud knows")
    return int(found[1]) * _SECONDS[found[2]]


def event(place: Place, rule_arn: str) -> dict[str, Any]:
    """The event that a scheduled rule sends."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": place.account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": place.region,
        "resources": [rule_arn],
        "detail": {},
    }
