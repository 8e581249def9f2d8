"""Puts the ``token`` function together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.issuers import connect_issuers
from moorage.adapters.ssm import connect_signing_key
from moorage.bootstrap.entrance import read_entrance
from moorage.ports import Accounts, Clock, Resources, SigningKeySource, VerificationKeys
from moorage.ports.issuers import Issuers
from moorage.services.authorization import Authorization
from moorage.services.identity_exchange import IdentityExchange
from moorage.services.issuer_keys import KeptIssuerKeys
from moorage.services.tokens import TokenIssuing
from moorage.web.lambda_http import LambdaHandler, lambda_handler
from moorage.web.origin import Entrance
from moorage.web.token import create_application

# A token takes up to eight calls, one after the other, and more for whom hundreds of policies name: the key
# and the note of its use (of a refresh token what proves it, and the key), the principal, its groups (three
# for a user), the policies (two), the signing key. The function has time for eight at their slowest, and
# answers for itself.
PATIENCE = Patience(read_seconds=1.5, attempts=2)


class TokenTable(Accounts, Resources, VerificationKeys, Protocol):
    """All that tokens need of the table."""


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
            entrance=read_entrance(environ),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> LambdaHandler:
    """The handler of ``/token``."""
    settings = Settings.read(environ)
    table = connect_table(settings.table, PATIENCE)

    def clock() -> datetime:
        return datetime.now(UTC)

    issuing = assemble(table, connect_signing_key(settings.signing_key, PATIENCE), clock)
    exchange = assemble_exchange(table, connect_issuers(), clock)
    application = create_application(issuing, exchange, settings.entrance)
    return lambda_handler(application, service="token", log_level=settings.log_level)


def assemble(table: TokenTable, source: SigningKeySource, clock: Clock) -> TokenIssuing:
    """The use case over given adapters."""
    return TokenIssuing(table, Authorization(table), source, table, clock)


def assemble_exchange(resources: Resources, issuers: Issuers, clock: Clock) -> IdentityExchange:
    """What proves workloads to be identities, over given adapters."""
    return IdentityExchange(resources, KeptIssuerKeys(issuers, clock), clock)
