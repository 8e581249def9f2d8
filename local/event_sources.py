"""Event source mappings: what Lambda does between a queue and a function.

Lambda polls the queue, invokes the function with a batch of messages and removes those that were dealt with.
The rest shows up again when its visibility timeout is over, which is the queue's business.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from local import aws, sqs_events
from local.functions import FunctionError
from local.intrinsics import TemplateError
from local.processes import StartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from local.emulators import Emulators
    from local.functions import Pool
    from local.template import Resource, Stack

_KNOWN = {
    "BatchSize",
    "Enabled",
    "EventSourceArn",
    "FunctionName",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "ScalingConfig",
    "Tags",
}
_RECEIVED_AT_ONCE = 10
_POLL_SECONDS = 1
"""SQS may wait for 20; this is how long a stop can take."""
_RETRY_SECONDS = 1.0
# Lambda begins with as many and goes on to more.
_BATCHES_AT_ONCE = 5
_ATTRIBUTES = ["SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"]


class EventSource:
    """One mapping: a queue, and the function that gets its messages."""

    def __init__(self, stack: Stack, resource: Resource, pools: Mapping[str, Pool]) -> None:
        """`pools` are by function ARN.

        Raises:
            TemplateError: the mapping says something that the local cloud does not know.
        """
        properties, name = resource.properties, resource.logical_id
        if unknown := properties.keys() - _KNOWN:
            raise TemplateError(f"the local cloud does not know {sorted(unknown)} of {name}")
        queues = {
            stack.attribute(queue.logical_id, "Arn"): stack.ref(queue.logical_id)
            for queue in stack.of_kind("AWS::SQS::Queue")
        }
        functions = {pool.function.name: pool for pool in pools.values()} | dict(pools)
        self._arn: str = properties.get("EventSourceArn", "")
        function = properties.get("FunctionName", "")
        if self._arn not in queues or function not in functions:
            raise TemplateError(f"{name} does not lead from a queue to a function of the stack")
        kinds = properties.get("FunctionResponseTypes", [])
        if set(kinds) - {"ReportBatchItemFailures"}:
            raise TemplateError(f"{name} expects {kinds}, which the local cloud does not know")
        self._url: str = queues[self._arn]
        self._pool = functions[function]
        self._region = stack.place.region
        self._reports_failures = bool(kinds)
        self.enabled = str(properties.get("Enabled", True)).lower() == "true"
        self._batch_size = int(properties.get("BatchSize", 10))
        self._window = float(properties.get("MaximumBatchingWindowInSeconds", 0))
        if self._batch_size > _RECEIVED_AT_ONCE and not self._window:
            raise TemplateError(f"{name}: batches of more than {_RECEIVED_AT_ONCE} need a batching window")
        at_once = properties.get("ScalingConfig", {}).get("MaximumConcurrency", _BATCHES_AT_ONCE)
        self._at_once = min(int(at_once), _BATCHES_AT_ONCE)

    async def run(self, emulators: Emulators) -> None:
        """Poll until cancelled; what is under way is then given back to the queue."""
        # The first message should not wait for this, nor start a second environment beside it. A function
        # that cannot start says so to each message.
        with suppress(StartError):
            await self._pool.warm()
        queue = _Queue(aws.client(emulators, "sqs"), self._url, 2 + self._at_once)
        free = asyncio.Semaphore(self._at_once)
        try:
            async with asyncio.TaskGroup() as batches:
                while True:
                    # Before the messages are taken: none may wait, invisible, for others to be dealt with.
                    await free.acquire()
                    messages = await self._batch(queue)
                    if messages:
                        batches.create_task(self._process(queue, messages, free))
                    else:
                        free.release()
        finally:
            await queue.close()

    async def _batch(self, queue: _Queue) -> list[dict[str, Any]]:
        """The next batch; empty when nothing has come in a while."""
        messages = await self._receive(queue, self._batch_size)
        deadline = time.monotonic() + self._window
        while messages and len(messages) < self._batch_size and time.monotonic() < deadline:
            messages += await self._receive(queue, self._batch_size - len(messages))
        return messages

    async def _receive(self, queue: _Queue, count: int) -> list[dict[str, Any]]:
        try:
            return await queue.receive(min(count, _RECEIVED_AT_ONCE))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next poll may go well
            self._complain(error)
            await asyncio.sleep(_RETRY_SECONDS)
            return []

    async def _process(self, queue: _Queue, messages: list[dict[str, Any]], free: asyncio.Semaphore) -> None:
        try:
            answer = await self._pool.invoke(sqs_events.event(messages, self._arn, self._region))
            done = messages
            if self._reports_failures:
                failed = sqs_events.failures(answer, {message["MessageId"] for message in messages})
                done = [message for message in messages if message["MessageId"] not in failed]
            if done:
                await queue.delete(done)
        except FunctionError:
            # It stands in the function's log; all of the messages come again.
            pass
        except Exception as error:  # noqa: BLE001 - likewise: they come again
            self._complain(error)
        queue.settle(messages)
        free.release()

    def _complain(self, error: Exception) -> None:
        print(f"the queue of {self._pool.function.name}: {error!r}", file=sys.stderr)  # noqa: T201


class _Queue:
    """One queue, called in threads."""

    def __init__(self, client: Any, url: str, threads: int) -> None:
        self._client = client
        self._url = url
        self._threads = ThreadPoolExecutor(threads, "event-source")
        self._taken: dict[str, str] = {}
        """The handles of messages that were received and not settled, by message id."""

    async def receive(self, count: int) -> list[dict[str, Any]]:
        """What comes soon, up to so many messages."""
        messages: list[dict[str, Any]] = await self._in_thread(self._receive, count)
        return messages

    async def delete(self, messages: list[dict[str, Any]]) -> None:
        """Remove messages that were dealt with."""
        # A handle that has run out is no error: the message was handed out once more, and comes twice.
        handles = [message["ReceiptHandle"] for message in messages]
        for entries in _entries(handles):
            await self._in_thread(self._client.delete_message_batch, QueueUrl=self._url, Entries=entries)

    def settle(self, messages: list[dict[str, Any]]) -> None:
        """Leave what remains of a batch to its visibility timeout."""
        for message in messages:
            self._taken.pop(message["MessageId"], None)

    async def close(self) -> None:
        """Make visible at once what was received and not settled: its timeout may be hours."""
        # Messages may be on their way to a poll that nobody waits for any more.
        await asyncio.to_thread(self._threads.shutdown)
        for entries in _entries(list(self._taken.values())):
            visible = [entry | {"VisibilityTimeout": 0} for entry in entries]
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=visible)

    def _receive(self, count: int) -> list[dict[str, Any]]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=_POLL_SECONDS,
            MessageSystemAttributeNames=_ATTRIBUTES,
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        self._taken.update({message["MessageId"]: message["ReceiptHandle"] for message in messages})
        return messages

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any, **parameters: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(call, *arguments, **parameters))


@asynccontextmanager
async def polling(sources: Iterable[EventSource], emulators: Emulators) -> AsyncIterator[None]:
    """Serve event sources meanwhile."""
    tasks = [asyncio.create_task(source.run(emulators)) for source in sources if source.enabled]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _entries(handles: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Handles as batches of as many entries as SQS takes at once."""
    for start in range(0, len(handles), _RECEIVED_AT_ONCE):
        part = handles[start : start + _RECEIVED_AT_ONCE]
        yield [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(part)]
