"""Puts the ``sweeper`` function together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.s3 import AddressingStyle, connect_storage
from moorage.ports import Blobs, Clock, MultipartStorage, Sessions, Storage
from moorage.services.sweeping import Sweeping
from moorage.services.unlinked import UnlinkedObjects

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]

DRY_RUN = {"action": "dry-run"}
"""The event with which an operator asks what a sweep would do."""

# A sweep of one repository must come to its end.
_RESERVE_MILLISECONDS = 60_000


class SweeperTable(Blobs, Sessions, Protocol):
    """What the sweeper needs of the table."""


class SweeperStorage(Storage, MultipartStorage, Protocol):
    """What the sweeper needs of the bucket."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    bucket: str
    s3_addressing_style: AddressingStyle
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.
        """
        return cls(
            table=environ["TABLE_NAME"],
            bucket=environ["BUCKET_NAME"],
            s3_addressing_style=cast("AddressingStyle", environ.get("S3_ADDRESSING_STYLE", "auto")),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of the schedule and of an operator's question."""
    settings = Settings.read(environ)
    sweeping = assemble(
        connect_table(settings.table),
        connect_storage(settings.bucket, addressing_style=settings.s3_addressing_style),
        lambda: datetime.now(UTC),
    )
    logger = Logger(service="sweeper", level=settings.log_level)
    copy_config_to_registered_loggers(source_logger=logger, include={"moorage"})

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Sweep, or say what a sweep would do.

        Raises:
            ValueError: the event is of no known kind.
        """
        dry_run = event == DRY_RUN
        if not dry_run and event.get("detail-type") != "Scheduled Event":
            raise ValueError("neither a scheduled event nor a question")
        swept = sweeping.sweep(
            dry_run=dry_run,
            has_time=lambda: context.get_remaining_time_in_millis() > _RESERVE_MILLISECONDS,
        )
        result = {**asdict(swept), "dryRun": dry_run}
        logger.info("sweep", extra=result)
        return result

    return logger.inject_lambda_context(handle)


def assemble(table: SweeperTable, storage: SweeperStorage, clock: Clock) -> Sweeping:
    """The use case over given adapters."""
    return Sweeping(table, storage, storage, UnlinkedObjects(table, storage), clock)
