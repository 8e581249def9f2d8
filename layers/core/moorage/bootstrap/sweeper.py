"""Puts the ``sweeper`` function together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from moorage.adapters.dynamodb import connect_table
from moorage.bootstrap.bucket import BucketSettings
from moorage.ports import Blobs, Clock, MultipartStorage, Sessions, Storage
from moorage.services.sweeping import Sweeping
from moorage.services.unlinked import UnlinkedObjects
from moorage.web.logs import create_logger

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
    bucket: BucketSettings
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.
        """
        return cls(
            table=environ["TABLE_NAME"],
            bucket=BucketSettings.read(environ),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of the schedule and of an operator's question."""
    settings = Settings.read(environ)
    sweeping = assemble(
        connect_table(settings.table),
        settings.bucket.connect(),
        lambda: datetime.now(UTC),
    )
    logger = create_logger("sweeper", settings.log_level)

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
