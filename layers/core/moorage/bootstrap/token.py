"""Puts the ``token`` function together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.ssm import connect_signing_key
from moorage.ports import Accounts, Clock, SigningKeySource
from moorage.services.authorization import Authorization
from moorage.services.tokens import TokenIssuing
from moorage.web.lambda_http import LambdaHandler, lambda_handler
from moorage.web.origin import Entrance
from moorage.web.token import create_application

# A token takes three calls, one after the other: the key, its groups, the signing key. The function has
# time for all three at their slowest, and answers for itself.
PATIENCE = Patience(read_seconds=3.0, attempts=2)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    signing_key: str
    entrance: Entrance
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``.

        Raises:
            KeyError: one is missing.
        """
        return cls(
            table=environ["TABLE_NAME"],
            signing_key=environ["SIGNING_KEY_PARAMETER"],
            entrance=Entrance(environ.get("REGISTRY_DOMAIN") or None, environ.get("FRONT_DOOR") or None),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> LambdaHandler:
    """The handler of ``/token``."""
    settings = Settings.read(environ)
    issuing = assemble(
        connect_table(settings.table, PATIENCE),
        connect_signing_key(settings.signing_key, PATIENCE),
        lambda: datetime.now(UTC),
    )
    return lambda_handler(
        create_application(issuing, settings.entrance), service="token", log_level=settings.log_level
    )


def assemble(accounts: Accounts, source: SigningKeySource, clock: Clock) -> TokenIssuing:
    """The use case over given adapters."""
    return TokenIssuing(accounts, Authorization(accounts), source, clock)
