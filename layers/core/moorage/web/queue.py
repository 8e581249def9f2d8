"""The face that SQS sees of a function: a batch comes in, and what could not be processed is named.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from moorage.domain.errors import Unavailable
from moorage.ports import Queue

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 30, 2 * 3600, 4


class QueueConsumer:
    """Gives the bodies of messages to ``process`` one by one; one that fails does not stop the others.

    A message that failed would be unseen for as long as the queue allows an invocation to take. It is handed
    back earlier, after a pause that grows with each attempt.
    """

    def __init__(self, process: Callable[[str], None], queue: Queue, logger: Logger) -> None:
        self._process = process
        self._queue = queue
        self._logger = logger

    def handle(self, event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
        """What could not be processed, in the form of ``ReportBatchItemFailures``."""
        failed = [record["messageId"] for record in event["Records"] if not self._succeeds(record)]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _succeeds(self, record: Mapping[str, Any]) -> bool:
        try:
            self._process(record["body"])
        except Exception as failure:  # noqa: BLE001 - whatever it is, the other messages go on
            attempt = int(record["attributes"]["ApproximateReceiveCount"])
            log = self._logger.warning if isinstance(failure, Unavailable) else self._logger.exception
            log(
                "message failed",
                message_id=record["messageId"],
                attempt=attempt,
                error=type(failure).__name__,
            )
            self._hand_back(record, pause(attempt))
            return False
        return True

    def _hand_back(self, record: Mapping[str, Any], seconds: int) -> None:
        try:
            self._queue.hand_back(record["receiptHandle"], seconds)
        except Unavailable:
            # It comes back by itself, only later.
            self._logger.warning("message not handed back", message_id=record["messageId"])


def pause(attempt: int) -> int:
    """Seconds between an attempt that failed and the next one."""
    growth: int = _GROWTH ** min(max(attempt, 1) - 1, 10)
    return min(_FIRST_PAUSE * growth, _LONGEST_PAUSE)
