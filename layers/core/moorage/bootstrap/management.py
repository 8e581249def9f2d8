"""Puts the ``management`` function together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.secret_records import connect_secret_records
from moorage.adapters.sealing import AesSivSeal
from moorage.bootstrap.entrance import read_entrance
from moorage.bootstrap.registry import RegistryTable
from moorage.bootstrap.stores import StoreSettings
from moorage.ports import BootstrapRecords, Clock, Jobs, Stores
from moorage.services.access import Access
from moorage.services.authorization import Authorization
from moorage.services.callers import Callers
from moorage.services.copy_requests import CopyRequests
from moorage.services.cursors import Cursors
from moorage.services.dry_runs import DryImages, DryResources
from moorage.services.image_access import ImageAccess
from moorage.services.image_content import ImageContents
from moorage.services.image_lists import ImageLists
from moorage.services.images import ImageAdministration
from moorage.services.invitations import Invitations
from moorage.services.job_access import JobAccess
from moorage.services.job_documents import JobDocuments
from moorage.services.keys import KeyAdministration, KeyAuthentication
from moorage.services.organisation_admin import OrganisationAdministration
from moorage.services.organisations import Organisations, OrganisationTable
from moorage.services.principal_keys import PrincipalKeys
from moorage.services.references import References
from moorage.services.reports import Reports
from moorage.services.resource_checks import ResourceChecks
from moorage.services.resource_deletes import ResourceDeletes
from moorage.services.resource_reads import ResourceReads
from moorage.services.resource_writes import ResourceWrites
from moorage.services.tag_rules import TagRules
from moorage.services.verification import TokenVerification
from moorage.web.lambda_http import LambdaHandler, lambda_handler
from moorage.web.management.application import create_application
from moorage.web.management.services import ManagementServices, Writers
from moorage.web.origin import Entrance


class ManagementTable(RegistryTable, OrganisationTable, Jobs, Protocol):
    """All that is managed in one table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function is told by its environment."""

    table: str
    stores: StoreSettings
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
            stores=StoreSettings.read(environ),
            entrance=read_entrance(environ),
            log_level=environ["LOG_LEVEL"],
        )


def create(environ: Mapping[str, str]) -> LambdaHandler:
    """The handler of ``/org/*``, ``/discovery`` and ``/about``."""
    settings = Settings.read(environ)
    services = assemble(
        connect_table(settings.table),
        settings.stores.connect(),
        connect_secret_records(settings.table),
        lambda: datetime.now(UTC),
        settings.entrance,
    )
    return lambda_handler(create_application(services), service="management", log_level=settings.log_level)


def assemble(
    table: ManagementTable,
    stores: Stores,
    bootstrap: BootstrapRecords,
    clock: Clock,
    entrance: Entrance | None = None,
) -> ManagementServices:
    """The use cases over given adapters."""
    authorization = Authorization(table)
    access, references = Access(authorization), References(table)
    keys = KeyAdministration(table, table, clock)
    checks = ResourceChecks(table, table, references, access)
    cursors = Cursors(bootstrap, AesSivSeal(), clock)
    reads = ResourceReads(table, access, cursors)
    writes = ResourceWrites(table, reads, access, checks, clock)
    contents = ImageContents(table, table, stores)
    lists = ImageLists(table, cursors)
    dry = DryResources(table)
    dry_runs = Writers(
        writes=ResourceWrites(dry, reads, access, checks, clock),
        deletes=ResourceDeletes(dry, dry.delete, reads, access, checks, references, clock),
        images=ImageAccess(ImageAdministration(DryImages(table), clock), lists, contents, table, access),
    )
    return ManagementServices(
        callers=Callers(KeyAuthentication(table, clock), TokenVerification(table, clock), bootstrap),
        organisations=OrganisationAdministration(
            table, table, Organisations(table, clock, stores.names()), access, clock
        ),
        reads=reads,
        writes=writes,
        deletes=ResourceDeletes(table, keys.delete_owner, reads, access, checks, references, clock),
        keys=PrincipalKeys(keys, reads, writes, dry_runs.writes, access, clock),
        invitations=Invitations(table, writes, access, clock),
        reports=Reports(table, authorization, access, references),
        images=ImageAccess(ImageAdministration(table, clock), lists, contents, table, access),
        dry_runs=dry_runs,
        jobs=JobAccess(table, table, authorization, access, cursors, clock, JobDocuments(stores)),
        copies=CopyRequests(table, stores, TagRules(table), access, clock),
        entrance=entrance or Entrance(),
        clock=clock,
    )
