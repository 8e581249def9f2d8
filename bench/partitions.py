"""A table in memory with partitions of any size, which counts what is asked of it.

Rows of a partition are kept sorted and as the text that an answer holds, so a page from the end of a hundred
thousand rows costs as much as one from the beginning of ten. What DynamoDB takes for it is not measured.
"""

from __future__ import annotations

import gc
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.stand_in import Services

_PAGE_BYTES = 1024 * 1024
_AFTER_ALL = "\U0010ffff"

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What was asked of AWS: calls, the rows that they found, and those that queries have looked at for it
    (``ScannedCount``).
    """

    calls: int
    rows: int
    evaluated: int


class Partition:
    """Items of one partition key, each with what it is sorted by and as JSON; ``order`` is the attribute of
    the former, ``keys`` are those that say where the next page begins.
    """

    def __init__(self, order: str, keys: tuple[str, ...], items: Iterable[tuple[str, str]]) -> None:
        in_order = sorted(items)
        self._order = order
        self._keys = keys
        self._places = [place for place, _ in in_order]
        self._items = [item for _, item in in_order]

    def page(self, request: Any) -> bytes:
        """The answer to a query for whole rows: up to ``Limit``, and no more than 1 MB.

        Raises:
            ValueError: the query asks for a part of the rows.
        """
        if "ProjectionExpression" in request or "FilterExpression" in request:
            raise ValueError("partitions give whole rows")
        wanted, more = self._chosen(request)
        items = [self._items[place] for place in wanted]
        last = f',"LastEvaluatedKey":{json.dumps(self._key(wanted[-1]))}' if more else ""
        text = f'{{"Items":[{",".join(items)}],"Count":{len(items)},"ScannedCount":{len(items)}{last}}}'
        return text.encode()

    def _chosen(self, request: Any) -> tuple[range, bool]:
        """The places of the rows of a page, and whether it ends before what was asked for does."""
        begin, end = self._range(request["ExpressionAttributeValues"])
        after = request.get("ExclusiveStartKey", {}).get(self._order, {}).get("S")
        forward = request.get("ScanIndexForward", True)
        if after is not None and forward:
            begin = max(begin, bisect_right(self._places, after))
        elif after is not None:
            end = min(end, bisect_left(self._places, after))
        asked = range(begin, end) if forward else range(end - 1, begin - 1, -1)
        size = 0
        for number, place in enumerate(asked, start=1):
            size += len(self._items[place])
            if number == request.get("Limit") or size >= _PAGE_BYTES:
                # DynamoDB says that there is more when it has stopped, whether there is or not.
                return asked[:number], True
        return asked, False

    def _range(self, values: Any) -> tuple[int, int]:
        first = values.get(":first", {"S": ""})["S"]
        last = values.get(":last", {"S": first + _AFTER_ALL})["S"]
        return bisect_left(self._places, first), bisect_right(self._places, last)

    def _key(self, place: int) -> dict[str, Any]:
        item = json.loads(self._items[place])
        return {name: item[name] for name in self._keys}


class PartitionedServices(Services):
    """The services, with partitions of indexes (the table itself is the index "") beside recorded rows."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions: dict[tuple[str, str], Partition] = {}
        self._given: list[tuple[str, bytes]] | None = None

    def counted(self, act: Callable[[], T]) -> tuple[T, Cost]:
        """What ``act`` gives, and what it has asked for."""
        given = self._given = []
        try:
            result = act()
        finally:
            self._given = None
        answers = [(operation, json.loads(answer)) for operation, answer in given]
        return result, Cost(
            len(answers),
            sum(_rows(operation, answer) for operation, answer in answers),
            sum(answer.get("ScannedCount", 0) for _, answer in answers),
        )

    def forget(self) -> None:
        """Give up the answers that are kept; they are made anew."""
        self._answers.clear()

    def __call__(self, operation: str, body: bytes) -> bytes:
        """The answer to a request."""
        answer = super().__call__(operation, body)
        if self._given is not None:
            self._given.append((operation, answer))
        return answer

    def _act(self, operation: str, request: Any) -> bytes:
        if operation == "Query":
            values = request["ExpressionAttributeValues"]
            partition = self.partitions.get((request.get("IndexName", ""), values[":pk"]["S"]))
            if partition is not None:
                return partition.page(request)
        return super()._act(operation, request)


@contextmanager
def uncollected() -> Iterator[None]:
    """For a while the garbage collector passes over what is there now: functions have no table in memory."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _rows(operation: str, answer: Any) -> int:
    """How many rows a read has found."""
    match operation:
        case "GetItem":
            return int("Item" in answer)
        case "BatchGetItem":
            return sum(map(len, answer["Responses"].values()))
        case "Query":
            return int(answer["Count"])
    return 0
