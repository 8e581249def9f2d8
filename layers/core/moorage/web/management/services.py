"""The use cases behind the management API."""

from __future__ import annotations

from dataclasses import dataclass

from moorage.ports import Clock
from moorage.services.callers import Callers
from moorage.services.copy_requests import CopyRequests
from moorage.services.image_access import ImageAccess
from moorage.services.invitations import Invitations
from moorage.services.job_access import JobAccess
from moorage.services.organisation_admin import OrganisationAdministration
from moorage.services.principal_keys import PrincipalKeys
from moorage.services.reports import Reports
from moorage.services.resource_deletes import ResourceDeletes
from moorage.services.resource_reads import ResourceReads
from moorage.services.resource_writes import ResourceWrites
from moorage.web.origin import Entrance


@dataclass(frozen=True, slots=True, kw_only=True)
class Writers:
    """What changes resources and images, or does all of it but the writing."""

    writes: ResourceWrites
    deletes: ResourceDeletes
    images: ImageAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementServices(Writers):
    """What the endpoints call, and how clients come in; ``dry_runs`` write nothing."""

    callers: Callers
    organisations: OrganisationAdministration
    reads: ResourceReads
    keys: PrincipalKeys
    invitations: Invitations
    reports: Reports
    dry_runs: Writers
    jobs: JobAccess
    copies: CopyRequests
    entrance: Entrance
    clock: Clock
