"""The bridge from SeaweedFS, which knows of no queues, to the queues that are told of new objects."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from local import aws, s3_events
from local.s3_events import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from local.disturbance import Disturbance
    from local.emulators import Emulators
    from local.state import StateFolder
    from local.template import Stack

_FILE = "s3-notifications.json"
_BUCKETS = "/buckets/"
_SENDERS = 4
"""Threads, each of which waits for one message to be taken."""


class Bridge:
    """Puts the events of a stack's buckets into its queues."""

    def __init__(self, stack: Stack, running: Emulators, disturbance: Disturbance) -> None:
        """Read the notifications.

        Raises:
            TemplateError: the local cloud cannot carry one out.
        """
        self.notifications = s3_events.notifications(stack)
        self._place = stack.place
        self._running = running
        self._disturbance = disturbance
        self._sqs = aws.client(running, "sqs")
        self._threads = ThreadPoolExecutor(_SENDERS, "s3-events")
        self._occurrences: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, state: StateFolder) -> None:
        """Send the test event that S3 sends when a notification is set: at first, or after a change."""
        told = [
            {"bucket": one.bucket, "queue": one.queue_arn, "id": one.configuration_id}
            for one in self.notifications
        ]
        if told == (state.read(_FILE) or []):
            return
        for url, bucket in sorted({(one.queue_url, one.bucket) for one in self.notifications}):
            self._send(url, s3_events.test_body(bucket))
        state.write(_FILE, told)

    def take(self, event: dict[str, Any]) -> None:
        """Carry on what the filer tells."""
        stored = stored_object(event)
        if stored is None or not any(one.wants(stored) for one in self.notifications):
            return
        name = f"{stored.bucket}/{stored.key}"
        self._occurrences[name] += 1
        for seconds in self._disturbance.plan(name, self._occurrences[name]):
            self._spawn(self._deliver(stored, seconds))

    def catch_up(self, is_processed: Callable[[str], bool]) -> None:
        """Send an event for each object that nothing has come of, in the background.

        What the filer told while nobody listened is lost, and so is what was under way when all was stopped.
        """
        self._spawn(self._catch_up(is_processed))

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            print(f"an event of S3 was not passed on: {error!r}", file=sys.stderr)  # noqa: T201

    async def _deliver(self, stored: StoredObject, seconds: float = 0.0) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        for one in self.notifications:
            if one.wants(stored):
                message = s3_events.body(one, stored, self._place.region, self._place.account)
                await self._in_thread(self._send, one.queue_url, message)

    async def _catch_up(self, is_processed: Callable[[str], bool]) -> None:
        objects = self._listed()
        while (stored := await self._in_thread(next, objects, None)) is not None:
            if not await self._in_thread(is_processed, stored.key):
                await self._deliver(stored)

    def _listed(self) -> Iterator[StoredObject]:
        pages = aws.client(self._running, "s3").get_paginator("list_objects_v2")
        for one in self.notifications:
            for page in pages.paginate(Bucket=one.bucket, Prefix=one.prefix):
                for entry in page.get("Contents", []):
                    moment_ns = int(entry["LastModified"].timestamp()) * 1_000_000_000
                    etag = entry["ETag"].strip('"')
                    stored = StoredObject(one.bucket, entry["Key"], entry["Size"], etag, moment_ns)
                    if one.wants(stored):
                        yield stored

    def _send(self, queue_url: str, message: dict[str, Any]) -> None:
        self._sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(message, separators=(",", ":")))

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def stored_object(event: dict[str, Any]) -> StoredObject | None:
    """What an event of the filer says was stored; None when it was no object's content."""
    path: str = event["key"]
    old, new = (event["message"].get(name) for name in ("old_entry", "new_entry"))
    bucket, _, key = path.removeprefix(_BUCKETS).partition("/")
    hidden = bucket.startswith(".") or key.startswith(".uploads/")
    if not path.startswith(_BUCKETS) or hidden or not key or not new or new.get("is_directory"):
        return None
    if old and _content(old) == _content(new):
        # Its tags were changed.
        return None
    attributes, extended = new["attributes"], new.get("extended", {})
    moments = [chunk["modified_ts_ns"] for chunk in new.get("chunks", [])]
    return StoredObject(
        bucket,
        key,
        attributes.get("file_size", 0),
        base64.b64decode(extended.get("Seaweed-X-Amz-ETag", "")).decode(),
        max(moments, default=attributes["mtime"] * 1_000_000_000),
    )


def _content(entry: dict[str, Any]) -> tuple[Any, ...]:
    chunks = [(chunk["fid"], chunk.get("offset", 0)) for chunk in entry.get("chunks", [])]
    attributes = entry["attributes"]
    return chunks, attributes.get("mtime"), attributes.get("md5")
