"""The table: reads, writes, batches and transactions, with DynamoDB's errors translated."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from moorage.adapters import access
from moorage.adapters.aws import Patience, error_code, lazy, translated, unavailable
from moorage.adapters.dynamodb.rows import Row, from_item, to_item
from moorage.adapters.dynamodb.writes import Write, names_and_values
from moorage.adapters.json_service import JsonService
from moorage.adapters.keys import LAST, Index, Key
from moorage.domain.errors import Unavailable

_READ_BATCH = 100
_WRITE_BATCH = 25
# With its last request a call stays below 6 s, so that the function can still answer for itself.
RETRY_SECONDS = 5.0
_SHORTEST_PAUSE = 0.03
_LONGEST_PAUSE = 0.8

_REFUSED = "ConditionalCheckFailed"
_RETRIED = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    }
)


class ConditionFailed(Exception):
    """Nothing was written, because rows were not as expected: an outcome, to which each caller gives its own
    meaning.

    ``rows`` has the place in the transaction of each write that was refused, with the row as it stands
    (None if there is none).
    """

    def __init__(self, rows: Mapping[int, Row | None]) -> None:
        super().__init__("a condition did not hold")
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one query, and whether there may be more."""

    rows: Sequence[Row]
    more: bool


class Attempts:
    """The attempts of one call of a port: they have one deadline, in however many loops they are made."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + RETRY_SECONDS
        self._longest = _SHORTEST_PAUSE

    def pause(self, failure: Unavailable) -> None:
        """Wait a moment before another attempt, each time longer and more scattered.

        Raises:
            Unavailable: ``failure``, because it is too late for another one.

        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise failure
        time.sleep(min(secrets.SystemRandom().uniform(0, self._longest), left))
        self._longest = min(self._longest * 2, _LONGEST_PAUSE)


class Table:
    """One DynamoDB table. All reads are strongly consistent; the client is made at the first call.

    Everything raises ``Unavailable`` or one of its kinds when DynamoDB does not do its part.
    """

    def __init__(self, name: str, patience: Patience | None = None) -> None:
        self._name = name
        self.client: Callable[[], JsonService] = lazy(lambda: _create(patience or Patience()))

    def get(self, key: Key, *only: str) -> Row | None:
        """The row, or None; ``only`` names the attributes that matter, none means all."""
        request = {
            "TableName": self._name,
            "Key": to_item(key._asdict()),
            "ConsistentRead": True,
            **_projection(only),
        }
        item = self._ask("GetItem", request).get("Item")
        return from_item(item) if item is not None else None

    def get_all(self, wanted: Iterable[Key], *only: str) -> list[Row]:
        """Those of many rows that exist, in no order."""
        keys = [to_item(key._asdict()) for key in dict.fromkeys(wanted)]
        rows: list[Row] = []
        attempts = Attempts()
        for start in range(0, len(keys), _READ_BATCH):
            pending = {"Keys": keys[start : start + _READ_BATCH], "ConsistentRead": True, **_projection(only)}
            rows += self._get_batch(pending, attempts)
        return rows

    def _get_batch(self, pending: Mapping[str, Any], attempts: Attempts) -> Iterator[Row]:
        while True:
            answer = self._ask("BatchGetItem", {"RequestItems": {self._name: pending}})
            if "Responses" not in answer or "UnprocessedKeys" not in answer:
                raise unavailable("")
            yield from (from_item(item) for item in answer["Responses"].get(self._name, ()))
            if not answer["UnprocessedKeys"]:
                return
            pending = answer["UnprocessedKeys"][self._name]
            attempts.pause(unavailable("ThrottlingError"))

    def query(
        self,
        first: Key,
        *only: str,
        after: Key | None = None,
        limit: int | None = None,
        whole: str = "",
        descending: bool = False,
    ) -> Page:
        """One page of a partition in key order: the rows whose sort key begins with ``first.sk``, or with
        ``whole`` those from ``first.sk`` on whose key begins with ``whole``; beginning after ``after``.
        """
        bounds = {"pk": first.pk, "first": first.sk}
        condition = "#pk = :pk AND begins_with(#sk, :first)"
        if whole:
            bounds["last"] = whole + LAST
            condition = "#pk = :pk AND #sk BETWEEN :first AND :last"
            if bounds["first"] > bounds["last"]:
                return Page((), more=False)
        elif not first.sk:
            del bounds["first"]
            condition = "#pk = :pk"
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": condition,
            "ConsistentRead": True,
            **_projection(only, condition, bounds),
            **({"ExclusiveStartKey": to_item(after._asdict())} if after else {}),
            **({"Limit": limit} if limit else {}),
            **({"ScanIndexForward": False} if descending else {}),
        }
        answer = self._ask("Query", request)
        if "Items" not in answer:
            raise unavailable("")
        return Page([from_item(item) for item in answer["Items"]], more=bool(answer.get("LastEvaluatedKey")))

    def query_all(self, first: Key, *only: str, limit: int | None = None, whole: str = "") -> Iterator[Row]:
        """The same, page after page to the end or up to ``limit`` rows."""
        # Nothing named means everything; the key is what the next page begins after.
        shown = (*only, "pk", "sk") if only else ()
        after: Key | None = None
        while limit is None or limit > 0:
            page = self.query(first, *shown, after=after, limit=limit, whole=whole)
            yield from page.rows
            if not page.more or not page.rows:
                return
            after = Key(page.rows[-1]["pk"], page.rows[-1]["sk"])
            limit = None if limit is None else limit - len(page.rows)

    def query_index(self, until: Index, limit: int) -> list[str]:
        """Places (``gsi1sk``) of up to ``limit`` rows of one partition of the index that lie before
        ``until``, in order. The index is eventually consistent.
        """
        condition = "#gsi1pk = :pk AND #gsi1sk < :until"
        request: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": "gsi1",
            "KeyConditionExpression": condition,
            "Limit": limit,
            **_projection(["gsi1sk"], condition, {"pk": until.gsi1pk, "until": until.gsi1sk}),
        }
        answer = self._ask("Query", request)
        if "Items" not in answer:
            raise unavailable("")
        return [from_item(item)["gsi1sk"] for item in answer["Items"]]

    def page_of_index(
        self,
        index: str,
        partition: Mapping[str, str],
        *only: str,
        after: Mapping[str, str] | None,
        limit: int,
        descending: bool = False,
    ) -> Page:
        """Up to ``limit`` rows of one partition of an index, named by its attribute, in the index's order.
        ``after`` has all keys, of the index and of the table, of the row that they begin after. Indexes are
        eventually consistent. At most 1 MB of rows: there may be more though fewer than ``limit`` came.
        """
        ((attribute, value),) = partition.items()
        condition = f"#{attribute} = :pk"
        request: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ScanIndexForward": not descending,
            "Limit": limit,
            **_projection(only, condition, {"pk": value}),
            **({"ExclusiveStartKey": to_item(after)} if after else {}),
        }
        answer = self._ask("Query", request)
        if "Items" not in answer:
            raise unavailable("")
        return Page([from_item(item) for item in answer["Items"]], more=bool(answer.get("LastEvaluatedKey")))

    def write(self, write: Write) -> None:
        """One write.

        Raises:
            ConditionFailed: its condition did not hold.

        """
        self._attempt(f"{write.kind}Item", lambda: write.parameters(self._name), Attempts())

    def transact(self, *writes: Write, attempts: Attempts | None = None) -> None:
        """All writes or none; ``attempts`` are those of the caller, if it makes more than this one call.

        Raises:
            ConditionFailed: at least one condition did not hold.

        """
        items = [{write.kind: write.parameters(self._name)} for write in writes]
        # Of one attempt: should it be sent twice, because its answer was lost, it is carried out once.
        self._attempt(
            "TransactWriteItems",
            lambda: {"TransactItems": items, "ClientRequestToken": str(uuid.uuid4())},
            attempts or Attempts(),
        )

    def put_all(self, rows: Sequence[Row], attempts: Attempts | None = None) -> None:
        """Many rows, of different keys, without conditions and not together."""
        attempts = attempts or Attempts()
        for start in range(0, len(rows), _WRITE_BATCH):
            pending: Any = [
                {"PutRequest": {"Item": to_item(row)}} for row in rows[start : start + _WRITE_BATCH]
            ]
            self._put_batch({self._name: pending}, attempts)

    def _put_batch(self, pending: Any, attempts: Attempts) -> None:
        while True:
            answer = self._ask("BatchWriteItem", {"RequestItems": pending})
            if "UnprocessedItems" not in answer:
                raise unavailable("")
            pending = answer["UnprocessedItems"]
            if not pending:
                return
            attempts.pause(unavailable("ThrottlingError"))

    def _ask(self, operation: str, request: Mapping[str, Any]) -> Any:
        with translated(operation):
            return self.client().call(operation, request)

    def _attempt(self, operation: str, request: Callable[[], Mapping[str, Any]], attempts: Attempts) -> None:
        """Send a write, again while others are writing to the same rows."""
        while True:
            with translated(operation):
                try:
                    self.client().call(operation, request())
                except ClientError as error:
                    codes = _outcome(error)
                    if not codes & _RETRIED:
                        raise
                    failure = unavailable(min(codes & _RETRIED))
                else:
                    return
            attempts.pause(failure)


def _outcome(error: ClientError) -> set[str]:
    """The codes behind a refused write.

    Raises:
        ConditionFailed: conditions are among them: trying again without looking would not help.

    """
    response: Any = error.response
    reasons = response.get("CancellationReasons", ())
    failed = {
        place: from_item(reason["Item"]) if reason.get("Item") else None
        for place, reason in enumerate(reasons)
        if reason.get("Code") == _REFUSED
    }
    if error_code(error) == "ConditionalCheckFailedException":
        failed = {0: from_item(response["Item"]) if response.get("Item") else None}
    if failed:
        raise ConditionFailed(failed) from None
    return {error_code(error), *(reason.get("Code", "") for reason in reasons)}


def _projection(
    only: Sequence[str], expression: str = "", values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    projection = ", ".join(f"#{name}" for name in dict.fromkeys(only))
    return {
        **({"ProjectionExpression": projection} if projection else {}),
        **names_and_values(f"{expression} {projection}", values or {}),
    }


def _create(patience: Patience) -> JsonService:
    return JsonService(access.find("dynamodb", patience), patience, api="DynamoDB_20120810", version="1.0")
