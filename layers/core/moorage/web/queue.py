"""The face that SQS sees of a function: a batch comes in, and what could not be processed is named.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from moorage.domain.errors import Unavailable
from moorage.ports import Queue

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

MAX_DEFERRALS = 3
"""How often a message is handed back because somebody else is at what it is about. The queue has to allow so
many receptions on top of those that fail.
"""

KEPT_SECONDS = 150
"""For how long nobody else sees a message that is kept."""

KEPT_AGAIN_SECONDS = 40
"""How old that may become before it is kept anew. Of a process that has died the message comes back after all
that it kept by the same calls, if that lasts no longer than the difference.
"""

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 30, 2 * 3600, 4


class Deferred(Exception):
    """Somebody else is at what the message is about, and may be for ``seconds``. No error: the message is as
    good as any other.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Message:
    """A message that was received. It is seen by nobody else for as long as the queue allows an invocation to
    take, or as it is kept.
    """

    def __init__(
        self, record: Mapping[str, Any], queue: Queue, logger: Logger, now: Callable[[], float]
    ) -> None:
        self._receipt: str = record["receiptHandle"]
        self._queue = queue
        self._logger = logger
        self._now = now
        self._kept: float | None = None
        self.id: str = record["messageId"]
        self.body: str = record["body"]
        self.attempt = int(record["attributes"]["ApproximateReceiveCount"])
        """How often it has been received, this time included."""

    def keep(self) -> None:
        """Let nobody else see it for ``KEPT_SECONDS``, and longer as long as this is called: the message of a
        process that dies comes back soon. May be called at any rate.
        """
        now = self._now()
        if self._kept is None or now - self._kept >= KEPT_AGAIN_SECONDS:
            self._kept = now
            self.hand_back(KEPT_SECONDS)

    def hand_back(self, seconds: int) -> None:
        """Let it be received again after so many seconds."""
        try:
            self._queue.hand_back(self._receipt, seconds)
        except Unavailable:
            # It comes back by itself, only later.
            self._logger.warning("message not handed back", message_id=self.id)


class QueueConsumer:
    """Gives messages to ``process`` one by one; one that fails does not stop the others.

    A message that failed would be unseen for as long as the queue allows an invocation to take. It is handed
    back earlier, after a pause that grows with each attempt.

    One that is ``Deferred`` comes again when the other one ought to be done, in case that it is not; but not
    after ``MAX_DEFERRALS`` receptions: the other one has a message of its own, and this one must not end
    among those that failed.
    """

    def __init__(
        self,
        process: Callable[[Message], None],
        queue: Queue,
        logger: Logger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process = process
        self._queue = queue
        self._logger = logger
        self._now = now

    def handle(self, event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
        """What could not be processed, in the form of ``ReportBatchItemFailures``."""
        messages = (Message(record, self._queue, self._logger, self._now) for record in event["Records"])
        failed = [message.id for message in messages if not self._is_done_with(message)]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _is_done_with(self, message: Message) -> bool:
        try:
            self._process(message)
        except Deferred as deferred:
            return self._defer(message, deferred.seconds)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the other messages go on
            log = self._logger.warning if isinstance(failure, Unavailable) else self._logger.exception
            log(
                "message failed",
                message_id=message.id,
                attempt=message.attempt,
                error=type(failure).__name__,
            )
            message.hand_back(pause(message.attempt))
            return False
        return True

    def _defer(self, message: Message, seconds: int) -> bool:
        """Whether the message need not come again."""
        over = message.attempt > MAX_DEFERRALS
        self._logger.info("message deferred", message_id=message.id, attempt=message.attempt, last=over)
        if not over:
            message.hand_back(seconds)
        return over


def pause(attempt: int) -> int:
    """Seconds between an attempt that failed and the next one."""
    growth: int = _GROWTH ** min(max(attempt, 1) - 1, 10)
    return min(_FIRST_PAUSE * growth, _LONGEST_PAUSE)
