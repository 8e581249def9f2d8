"""Puts the ``registry`` function together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.s3 import AddressingStyle, connect_storage
from moorage.ports import (
    Accounts,
    Blobs,
    Clock,
    Manifests,
    Repositories,
    Sessions,
    Storage,
    VerificationKeys,
)
from moorage.services.authorization import Authorization
from moorage.services.blobs import BlobAccess
from moorage.services.linking import Linking
from moorage.services.manifests import ManifestAccess
from moorage.services.referrers import Referrers
from moorage.services.repositories import RepositoryOpening
from moorage.services.uploads import Uploads
from moorage.services.verification import TokenVerification
from moorage.web.call import RegistryServices
from moorage.web.lambda_http import LambdaHandler, lambda_handler
from moorage.web.registry import create_application


class RegistryTable(Repositories, Manifests, Blobs, Sessions, Accounts, VerificationKeys, Protocol):
    """All that the registry keeps in one table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    bucket: str
    s3_addressing_style: AddressingStyle
    domain: str | None
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
            domain=environ.get("REGISTRY_DOMAIN") or None,
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> LambdaHandler:
    """The handler of ``/v2/*``."""
    settings = Settings.read(environ)
    services = assemble(
        connect_table(settings.table),
        connect_storage(settings.bucket, addressing_style=settings.s3_addressing_style),
        lambda: datetime.now(UTC),
        settings.domain,
    )
    return lambda_handler(create_application(services), service="registry", log_level=settings.log_level)


def assemble(
    table: RegistryTable, storage: Storage, clock: Clock, domain: str | None = None
) -> RegistryServices:
    """The use cases over given adapters."""
    opening = RepositoryOpening(table, clock)
    linking = Linking(table, table, table, storage, clock)
    return RegistryServices(
        verification=TokenVerification(table, clock),
        blobs=BlobAccess(table, storage, linking, opening, Authorization(table)),
        uploads=Uploads(table, table, storage, linking, opening, clock),
        manifests=(manifests := ManifestAccess(table, table, storage, linking, opening, clock)),
        referrers=Referrers(table, manifests),
        domain=domain,
    )
