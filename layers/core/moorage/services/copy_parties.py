"""Whom a copy concerns: two organisations, and who asked for it, as they were when it was asked for."""

from __future__ import annotations

from datetime import datetime

from moorage.domain.links import parse_principal
from moorage.domain.names import Repository
from moorage.domain.principals import organisation_of
from moorage.domain.resources import Kind
from moorage.ports import ResourceName, Resources


def youngest(
    resources: Resources, requester: str, source: Repository, destination: Repository
) -> datetime | None:
    """When the youngest of those was made whom a copy concerns; None if one of them is not there. Whatever is
    older than that was of others of the same names. One request.
    """
    principal = parse_principal(requester, organisation_of(requester))
    orgs = sorted({source.org, destination.org})
    wanted = [ResourceName(Kind.ORG, org, org) for org in orgs]
    wanted.append(ResourceName(principal.kind, principal.org, principal.name))
    found = resources.find_many(wanted)
    return max(record.created for record in found.values()) if len(found) == len(wanted) else None
