"""Puts the ``registry`` function together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.ssm import connect_upload_key
from moorage.bootstrap.entrance import read_entrance
from moorage.bootstrap.stores import StoreSettings
from moorage.domain.blobs import NAMED_BY_DIGEST, Way
from moorage.ports import (
    UPLOAD_KEY,
    Blobs,
    Clock,
    Images,
    Manifests,
    Repositories,
    Resources,
    Sessions,
    Stores,
    UploadKeySource,
    VerificationKeys,
)
from moorage.services.authorization import Authorization
from moorage.services.blobs import BlobAccess
from moorage.services.deletions import Deletions
from moorage.services.edge_downloads import EdgeDownloads
from moorage.services.linking import Linking
from moorage.services.manifests import ManifestAccess
from moorage.services.presigned_uploads import PresignedUploads
from moorage.services.protection import Protection
from moorage.services.referrers import Referrers
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import Settling
from moorage.services.streamed_uploads import StreamedUploads
from moorage.services.tag_rules import TagRules
from moorage.services.upload_keys import HeldUploadKey, HeldUploadKeys
from moorage.services.upload_signing import UploadSigning
from moorage.services.uploads import Uploads
from moorage.services.verification import TokenVerification
from moorage.web.call import RegistryServices
from moorage.web.lambda_http import LambdaHandler, lambda_handler
from moorage.web.origin import Entrance
from moorage.web.registry import create_application


class RegistryTable(Repositories, Manifests, Blobs, Sessions, Resources, Images, VerificationKeys, Protocol):
    """All that the registry keeps in one table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    stores: StoreSettings
    entrance: Entrance
    upload_key_prefix: str
    edge_pulls: bool
    ingest: bool
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
            entrance=read_entrance(environ),
            upload_key_prefix=environ.get("UPLOAD_KEY_PARAMETER_PREFIX", ""),
            edge_pulls=environ.get("EDGE_PULLS") == "on",
            ingest=environ.get("INGEST") == "on",
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> LambdaHandler:
    """The handler of ``/v2/*``."""
    settings = Settings.read(environ)
    table = connect_table(settings.table)
    keys = connect_upload_key(settings.upload_key_prefix, lambda: table.find_state(UPLOAD_KEY))
    services = assemble(
        table,
        settings.stores.connect(),
        lambda: datetime.now(UTC),
        settings.entrance,
        keys if settings.entrance.front_door else None,
        edge_pulls=settings.edge_pulls,
        ingest=settings.ingest,
    )
    return lambda_handler(create_application(services), service="registry", log_level=settings.log_level)


def assemble(
    table: RegistryTable,
    stores: Stores,
    clock: Clock,
    entrance: Entrance | None = None,
    upload_keys: UploadKeySource | None = None,
    *,
    edge_pulls: bool = False,
    ingest: bool = False,
) -> RegistryServices:
    """The use cases over given adapters; with ``upload_keys``, clients may upload through the front door,
    with ``ingest`` those too that stream, and with ``edge_pulls`` they pull through it.
    """
    key = HeldUploadKey(upload_keys) if upload_keys else None
    edge = EdgeDownloads(key, clock) if key and edge_pulls else None
    opening = RepositoryOpening(table, table, clock)
    linking = Linking(table, clock)
    stored = tuple(way for way in NAMED_BY_DIGEST if upload_keys or way is not Way.DIRECT)
    settling = Settling(table, table, table, stores, linking, clock, stored)
    uploads = Uploads(table, table, stores, linking, settling, opening, clock)
    manifests = ManifestAccess(table, table, stores, settling, opening, TagRules(table), clock)
    streamed = None
    if upload_keys and ingest:
        streamed = StreamedUploads(uploads, table, linking, HeldUploadKeys(upload_keys), clock)
    return RegistryServices(
        verification=TokenVerification(table, clock),
        blobs=BlobAccess(table, stores, linking, settling, opening, Authorization(table), edge),
        uploads=uploads,
        presigned=PresignedUploads(table, table, stores, settling, opening, clock),
        manifests=manifests,
        deletions=Deletions(table, table, settling, Protection(table, table)),
        referrers=Referrers(table, manifests),
        entrance=entrance or Entrance(),
        signing=UploadSigning(key, clock) if key else None,
        streamed=streamed,
    )
