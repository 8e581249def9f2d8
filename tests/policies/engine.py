"""The engine under test, asked in the words of the oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import Allow, Policy, decide, validate_policy
from moorage.domain.query_values import parse_instant
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_DATES = ("created", "lastModified", "pushed")
_OF_LINK = ("name", "repository", "tag", "digest")


def policy_of(org: str, body: dict[str, Any], name: str = "policy") -> Policy:
    """As it is after being sent, stored and read again."""
    return Policy.parse(
        ResourceRecord(Kind.POLICY, org, name, "id", 1, NOW, NOW, spec=validate_policy(org, body))
    )


def resource_of(resource: dict[str, Any]) -> Resource:
    known, org, kind = resource["properties"], resource["org"], Kind(resource["kind"])
    if resource["level"] == "repository":
        return Resource.of_repository(Repository(org, known["repository"]))
    if kind is Kind.IMAGE:
        others = {
            key: parse_instant(value) or "" if key in _DATES else value
            for key, value in known.items()
            if key not in _OF_LINK
        }
        return Resource.of_image(
            Repository(org, known["repository"]),
            known["tag"],
            Digest.parse(known["digest"]),
            others,
            resource["tags"],
        )
    name = f"{known['gvc']}/{known['name']}" if kind is Kind.IDENTITY else known["name"]
    record = ResourceRecord(
        kind, org, name, "id", 1, NOW, NOW, description=known.get("description", ""), tags=resource["tags"]
    )
    return Resource.of_record(record, stored=resource["level"] == "record")


def allows(
    wanted: str,
    resource: Resource,
    principals: set[str],
    policies: list[Policy],
    *,
    identity_pull: bool = False,
) -> bool:
    decision = decide(
        Permission(wanted), resource, frozenset(principals), policies, identity_pull=identity_pull
    )
    return isinstance(decision, Allow)
