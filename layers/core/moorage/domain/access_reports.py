"""Who may do what on a resource, and why somebody may or may not: worked out from the policies alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moorage.domain.permissions import Permission, expand, permissions_of
from moorage.domain.policies import IDENTITY_PERMISSIONS, Binding, Policy
from moorage.domain.policy_warnings import REPOSITORY_PERMISSIONS
from moorage.domain.principals import is_identity
from moorage.domain.queries import ExpressionBudget
from moorage.domain.query_values import format_instant
from moorage.domain.refusals import NearMiss, near_miss, not_looked_at, refusal
from moorage.domain.resources import Kind, link_of
from moorage.domain.targets import Resource, Selection

_REGISTRY_PERMISSIONS = REPOSITORY_PERMISSIONS | {Permission.DELETE}


@dataclass(frozen=True, slots=True)
class Grant:
    """One principal that a binding gives something on a resource.

    ``policy`` is the link of the policy, or that of the organisation, whose setting ``identityPull`` grants
    too. ``registry`` says whether it also counts for pushes, pulls and deletes through ``/v2``, which are
    decided for a repository as a whole; None where that is no question.
    """

    principal: str
    policy: str
    permissions: tuple[Permission, ...]
    selection: Selection
    registry: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as an access report has it."""
        entry: dict[str, Any] = {
            "principalLink": self.principal,
            "grantingPolicyLink": self.policy,
            "grantedPermissions": list(self.permissions),
            "match": self.selection.value,
        }
        if self.registry is not None:
            entry["authorizesRegistry"] = self.registry
        return entry


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a principal has a permission: by which grants, or what is in the way."""

    permission: Permission
    principal: str
    decided_for: str
    grants: tuple[Grant, ...] = ()
    misses: tuple[NearMiss, ...] = ()
    reason: str = ""

    @property
    def allowed(self) -> bool:
        """Whether it has."""
        return bool(self.grants)

    def to_json(self) -> dict[str, Any]:
        """The answer to ``-explain``."""
        return {
            "kind": "explanation",
            "permission": self.permission.value,
            "principalLink": self.principal,
            "decidedFor": self.decided_for,
            "allowed": self.allowed,
            "grants": [grant.to_json() for grant in self.grants],
            "reason": self.reason,
            "nearMisses": [{"policy": miss.policy, "reason": miss.reason} for miss in self.misses],
            "links": [],
        }


@dataclass(frozen=True, slots=True)
class AccessReport:
    """For each permission of a resource's kind, by name, who is given it."""

    kind: Kind
    grants: dict[Permission, tuple[Grant, ...]] = field(default_factory=dict)

    def to_json(self, created: datetime) -> dict[str, Any]:
        """The answer to ``-accessreport``, as of ``created``."""
        return {
            "kind": "accessreport",
            "created": format_instant(created),
            "permissions": [
                {
                    "name": info.permission.value,
                    "description": info.description,
                    "bindings": [grant.to_json() for grant in self.grants.get(info.permission, ())],
                }
                for info in permissions_of(self.kind)
            ],
            "links": [],
        }


def access_report(
    resource: Resource, policies: Iterable[Policy], *, identity_pull: bool = False
) -> AccessReport:
    """Who may do what on ``resource``: each binding under every permission that it yields. Groups are shown
    as groups; all identities of the organisation, where they may pull, as one entry with asterisks.
    """
    held = [policy for policy in policies if policy.selection(resource)]
    grants: dict[Permission, tuple[Grant, ...]] = {}
    for info in permissions_of(resource.kind):
        given = [
            grant
            for policy in held
            for binding in policy.bindings
            for grant in _grants(info.permission, resource, policy, binding, sorted(binding.principals))
        ]
        if identity_pull and _identities_may(info.permission, resource):
            given.append(_identity_grant(info.permission, resource, _any_identity(resource.org)))
        grants[info.permission] = tuple(dict.fromkeys(given))
    return AccessReport(resource.kind, grants)


def explain(
    permission: Permission,
    resource: Resource,
    principal: str,
    groups: Iterable[str],
    policies: Iterable[Policy],
    *,
    identity_pull: bool = False,
) -> Explanation:
    """Whether ``principal``, which is in ``groups``, has ``permission`` on ``resource``, and why or why not.

    ``pull`` and ``create`` on an image are decided for its repository, as the registry does it.
    """
    asked = _as_decided(permission, resource)
    names = [principal, *sorted(groups)]
    decided_for = "repository" if asked.repository and not asked.links else asked.kind.value
    grants: list[Grant] = []
    misses: list[NearMiss] = []
    if identity_pull and _identities_may(permission, asked) and is_identity(principal, asked.org):
        grants.append(_identity_grant(permission, asked, principal))
    budget = ExpressionBudget()
    for policy in policies:
        if (policy.kind, policy.org) != (asked.kind, asked.org):
            continue
        gives = policy.binding(permission, frozenset(names)) is not None
        if gives and not budget.admits(policy.target.expressions):
            misses.append(not_looked_at(policy.name, permission))
            continue
        for binding in policy.bindings:
            through = [name for name in names if name in binding.principals]
            found = list(_grants(permission, asked, policy, binding, through))
            grants += found
            if through and not found:
                given = expand(policy.kind, binding.permissions)
                misses.append(near_miss(policy.name, policy.target, given, permission, asked))
    ordered = tuple(sorted(set(misses)))
    reason = "" if grants else refusal(permission, asked, ordered)
    return Explanation(permission, principal, decided_for, tuple(grants), () if grants else ordered, reason)


def _as_decided(permission: Permission, resource: Resource) -> Resource:
    if permission in REPOSITORY_PERMISSIONS and resource.repository is not None:
        return Resource.of_repository(resource.repository)
    return resource


def _grants(
    permission: Permission, resource: Resource, policy: Policy, binding: Binding, principals: Sequence[str]
) -> Iterable[Grant]:
    """What ``binding`` gives ``principals``, of those that it names."""
    selection = policy.selection(resource)
    if selection is None or permission not in expand(policy.kind, binding.permissions):
        return
    registry = None
    if resource.repository is not None and permission in _REGISTRY_PERMISSIONS:
        registry = policy.selection(Resource.of_repository(resource.repository)) is not None
    for principal in principals:
        yield Grant(principal, policy.link, tuple(sorted(binding.permissions)), selection, registry)


def _identities_may(permission: Permission, resource: Resource) -> bool:
    return resource.kind is Kind.IMAGE and permission in expand(Kind.IMAGE, IDENTITY_PERMISSIONS)


def _identity_grant(permission: Permission, resource: Resource, principal: str) -> Grant:
    registry = True if permission in _REGISTRY_PERMISSIONS else None
    setting = link_of(Kind.ORG, resource.org, resource.org)
    return Grant(principal, setting, tuple(IDENTITY_PERMISSIONS), Selection.ALL, registry)


def _any_identity(org: str) -> str:
    return f"/org/{org}/gvc/*/identity/*"
