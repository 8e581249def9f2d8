"""Whom a copy concerns: two organisations, and who asked for it, as they were when it was asked for."""

from __future__ import annotations

from datetime import datetime

from moorage.domain.links import parse_principal
from moorage.domain.names import Repository
from moorage.domain.principals import organisation_of
from moorage.domain.resources import Kind
from moorage.ports import ResourceName, Resources


def record_name(principal: str) -> ResourceName:
    """What identifies the record of a principal, by its full link."""
    return ResourceName.of(parse_principal(principal, organisation_of(principal)))


def youngest(
    resources: Resources, requester: str, source: Repository, destination: Repository
) -> datetime | None:
    """When the youngest of those was made whom a copy concerns; None if one of them is not there. Whatever is
    older than that was of others of the same names. One request.
    """
    orgs = sorted({source.org, destination.org})
    wanted = [*(ResourceName(Kind.ORG, org, org) for org in orgs), record_name(requester)]
    found = resources.find_many(wanted)
    return max(record.created for record in found.values()) if len(found) == len(wanted) else None
