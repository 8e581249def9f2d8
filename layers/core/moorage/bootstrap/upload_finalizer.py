"""Puts the ``upload_finalizer`` function together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.sqs import connect_queue
from moorage.bootstrap.stores import StoreSettings
from moorage.ports import Blobs, Clock, ObjectPlace, Repositories, Sessions, Stores
from moorage.services.finalizing import Finalizing
from moorage.services.linking import Linking
from moorage.services.settling import Settling
from moorage.services.unlinked import UnlinkedObjects
from moorage.web.logs import create_logger
from moorage.web.queue import Message, QueueConsumer
from moorage.web.s3_events import created_objects

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


class FinalizerTable(Repositories, Blobs, Sessions, Protocol):
    """What the finalizer needs of the table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    stores: StoreSettings
    queue_url: str
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.
        """
        return cls(
            table=environ["TABLE_NAME"],
            stores=StoreSettings.read(environ),
            queue_url=environ["QUEUE_URL"],
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of S3's events about uploaded objects."""
    settings = Settings.read(environ)
    finalizing = assemble(
        connect_table(settings.table),
        settings.stores.connect(),
        lambda: datetime.now(UTC),
    )
    logger = create_logger("upload_finalizer", settings.log_level)

    def process(message: Message) -> None:
        for stored in created_objects(message.body):
            place = ObjectPlace(settings.stores.store_of(stored.bucket), stored.key)
            outcome, way = finalizing.finalize(place), place.key.partition("/")[0]
            logger.info("finalized", outcome=str(outcome), way=way, store=place.store)

    consumer = QueueConsumer(process, connect_queue(settings.queue_url), logger)
    return logger.inject_lambda_context(consumer.handle)


def assemble(table: FinalizerTable, stores: Stores, clock: Clock) -> Finalizing:
    """The use case over given adapters."""
    settling = Settling(table, table, table, stores, Linking(table, clock), clock)
    return Finalizing(table, table, settling, UnlinkedObjects(table, stores))
