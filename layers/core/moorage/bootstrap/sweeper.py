"""Puts the ``sweeper`` function together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from moorage.adapters.dynamodb import connect_table
from moorage.bootstrap.stores import StoreSettings
from moorage.ports import Blobs, Clock, Jobs, Sessions, Stores
from moorage.services.job_documents import JobDocuments
from moorage.services.redriving import Redriving
from moorage.services.sweeping import Sweeping
from moorage.services.unlinked import UnlinkedObjects
from moorage.web.logs import create_logger

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]

DRY_RUN = {"action": "dry-run"}
"""The event with which an operator asks what a sweep would do."""

# A sweep of one repository must come to its end.
_RESERVE_MILLISECONDS = 60_000


class SweeperTable(Blobs, Sessions, Jobs, Protocol):
    """What the sweeper needs of the table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    stores: StoreSettings
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
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of the schedule and of an operator's question: what is abandoned is removed, and jobs that
    nobody has heard of for a while are begun again.
    """
    settings = Settings.read(environ)
    table, stores = connect_table(settings.table), settings.stores.connect()
    sweeping = assemble(table, stores, lambda: datetime.now(UTC))
    redriving = assemble_redriving(table, stores, lambda: datetime.now(UTC))
    logger = create_logger("sweeper", settings.log_level)

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Sweep and redrive, or say what that would do.

        Raises:
            ValueError: the event is of no known kind.
        """
        dry_run = event == DRY_RUN
        if not dry_run and event.get("detail-type") != "Scheduled Event":
            raise ValueError("neither a scheduled event nor a question")

        def has_time() -> bool:
            return bool(context.get_remaining_time_in_millis() > _RESERVE_MILLISECONDS)

        # First what somebody waits for.
        jobs = redriving.redrive(dry_run=dry_run, has_time=has_time)
        swept = sweeping.sweep(dry_run=dry_run, has_time=has_time)
        result = {**asdict(swept), "jobs": jobs, "dryRun": dry_run}
        logger.info("sweep", extra=result)
        return result

    return logger.inject_lambda_context(handle)


def assemble(table: SweeperTable, stores: Stores, clock: Clock) -> Sweeping:
    """The use case over given adapters."""
    return Sweeping(table, stores, UnlinkedObjects(table, stores), clock)


def assemble_redriving(jobs: Jobs, stores: Stores, clock: Clock) -> Redriving:
    """The other use case."""
    return Redriving(jobs, JobDocuments(stores), clock)
