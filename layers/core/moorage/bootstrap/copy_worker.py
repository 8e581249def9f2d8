"""Puts the ``copy_worker`` function together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.sqs import connect_queue
from moorage.bootstrap.stores import StoreSettings
from moorage.domain.jobs import document_job
from moorage.services.copying import Copying, Outcome
from moorage.web.logs import create_logger
from moorage.web.queue import Deferred, Message, QueueConsumer
from moorage.web.s3_events import created_objects

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    stores: StoreSettings
    queue_url: str
    slice_seconds: int
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.
            ValueError: one is malformed.
        """
        return cls(
            table=environ["TABLE_NAME"],
            stores=StoreSettings.read(environ),
            queue_url=environ["QUEUE_URL"],
            slice_seconds=int(environ["SLICE_SECONDS"]),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of S3's events about documents of jobs. Such a document has no say in anything: the event
    names a job, and whatever is done stands in the job's row.
    """
    settings = Settings.read(environ)
    copying = Copying(connect_table(settings.table), settings.stores.connect(), lambda: datetime.now(UTC))
    logger = create_logger("copy_worker", settings.log_level)

    def process(message: Message) -> None:
        message.keep()
        until = time.monotonic() + settings.slice_seconds
        for stored in created_objects(message.body):
            job_id = document_job(stored.key)
            if job_id is None:
                logger.warning("not the document of a job")
                continue
            outcome = copying.run(job_id, lambda: time.monotonic() < until, message.keep)
            logger.info("copied", job=job_id, outcome=str(outcome))
            if outcome is Outcome.BUSY:
                raise Deferred(copying.busy_seconds(job_id))

    consumer = QueueConsumer(process, connect_queue(settings.queue_url), logger)
    return logger.inject_lambda_context(consumer.handle)
