"""Puts the ``secrets`` function together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moorage.adapters.dynamodb.secret_records import connect_secret_records
from moorage.adapters.key_pairs import new_key_pair
from moorage.adapters.key_value_store import connect_key_value_store
from moorage.adapters.ssm import connect_secret_writer
from moorage.services.secrets import SecretNames, Secrets
from moorage.web.custom_resource import CustomResource
from moorage.web.logs import create_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools import Logger

    Handler = Callable[[Mapping[str, Any], object], dict[str, Any]]

# CloudFront says "within a few seconds"; once a month, a few more cost nothing.
_PROPAGATION_SECONDS = 20

REPLACE = {"action": "replace-keys"}
"""The event with which an operator has all keys replaced at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    names: SecretNames
    key_value_store: str | None
    lifetime: timedelta
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.

        """
        return cls(
            table=environ["TABLE_NAME"],
            names=SecretNames(
                signing_key=environ["SIGNING_KEY_PARAMETER"],
                upload_key_prefix=environ["UPLOAD_KEY_PARAMETER_PREFIX"],
                bootstrap=environ["BOOTSTRAP_PARAMETER"],
            ),
            key_value_store=environ.get("KEY_VALUE_STORE_ARN") or None,
            lifetime=timedelta(days=int(environ["KEY_ROTATION_DAYS"])),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> Handler:
    """The handler of CloudFormation's custom resource, the schedule and an operator's order."""
    settings = Settings.read(environ)
    secrets = Secrets(
        writer=connect_secret_writer(),
        records=connect_secret_records(settings.table),
        names=settings.names,
        new_key_pair=new_key_pair,
        clock=lambda: datetime.now(UTC),
        lifetime=settings.lifetime,
        edge=connect_key_value_store(settings.key_value_store) if settings.key_value_store else None,
        propagate=lambda: time.sleep(_PROPAGATION_SECONDS),
    )
    logger = create_logger("secrets", settings.log_level)
    return logger.inject_lambda_context(dispatcher(secrets, logger))


def dispatcher(secrets: Secrets, logger: Logger) -> Handler:
    """The handler over a given service."""
    resource = CustomResource(secrets.ensure, logger)

    def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
        """Answer CloudFormation, rotate, or replace.

        Raises:
            ValueError: the event is of no known kind.

        """
        if "RequestType" in event:
            resource.handle(event)
            return {}
        if event.get("detail-type") == "Scheduled Event":
            rotated = secrets.rotate()
            logger.info("rotation", rotated=rotated)
            return {"rotated": rotated}
        if event == REPLACE:
            replaced = secrets.replace()
            logger.warning("replacement", replaced=replaced)
            return {"replaced": replaced}
        raise ValueError("neither a custom resource's event nor a scheduled one nor an order to replace")

    return handle
