"""Policies, and the one function that decides by them.

Additive only: no policy can take away what another gives, and nothing is allowed that no policy gives.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from moorage.domain.errors import InvalidInput
from moorage.domain.links import parse_principal
from moorage.domain.permissions import Permission, expand, parse_permission
from moorage.domain.principals import SUPERUSERS, VIEWERS, group_link, is_identity
from moorage.domain.queries import ExpressionBudget
from moorage.domain.refusals import NearMiss, near_miss, not_looked_at, refusal
from moorage.domain.resources import Kind, Origin, ResourceRecord, link_of, reject_unknown
from moorage.domain.targets import (
    ALL,
    Resource,
    Selection,
    Target,
    parse_target_fields,
    read_target,
)

BINDINGS_MAX = 50
PRINCIPALS_MAX = 200
NEAR_MISSES_MAX = 20
"""Policies that are asked why they do not allow, when none does."""
SPEC_FIELDS = ("targetKind", "target", "targetLinks", "targetQuery", "bindings")
"""The fields of a policy beside those that every resource has."""

IDENTITY_PULL = "-identity-pull"
"""Stands for a policy's name in decisions that rest on the organisation's setting ``identityPull``; it begins
with a hyphen, as no policy does."""
IDENTITY_PERMISSIONS = frozenset({Permission.PULL})

_BUILT_IN = {SUPERUSERS: Permission.MANAGE, VIEWERS: Permission.VIEW}
_BUILT_IN_IDS = uuid.UUID("5d2f1d2e-6b0a-4f0e-8f63-0f5a0f6d3c11")


@dataclass(frozen=True, slots=True)
class Binding:
    """These principals, named by full links, hold these permissions."""

    permissions: frozenset[Permission]
    principals: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Bindings for what a target selects of the resources of one kind in one organisation."""

    org: str
    name: str
    kind: Kind
    target: Target
    bindings: tuple[Binding, ...]
    origin: Origin = Origin.DEFAULT
    description: str = ""

    @classmethod
    def parse(cls, record: ResourceRecord) -> Policy:
        """The policy in a stored record, whose ``spec`` is what ``validate_policy`` gave.

        Raises:
            ValueError, KeyError: it is not.
        """
        kind = Kind(record.spec["targetKind"])
        bindings = tuple(
            Binding(frozenset(map(Permission, each["permissions"])), frozenset(each["principalLinks"]))
            for each in record.spec["bindings"]
        )
        target = read_target(record.spec, kind)
        return cls(record.org, record.name, kind, target, bindings, record.origin, record.description)

    @property
    def link(self) -> str:
        """``/org/ORG/policy/NAME``."""
        return link_of(Kind.POLICY, self.org, self.name)

    @property
    def principals(self) -> frozenset[str]:
        """Everybody whom a binding names."""
        return frozenset().union(*(binding.principals for binding in self.bindings))

    def binding(self, permission: Permission, principals: frozenset[str]) -> int | None:
        """The index of the first binding that gives one of ``principals`` the permission, if any does."""
        for index, binding in enumerate(self.bindings):
            names = not binding.principals.isdisjoint(principals)
            if names and permission in expand(self.kind, binding.permissions):
                return index
        return None

    def given(self, principals: frozenset[str]) -> frozenset[Permission]:
        """All that the bindings for one of ``principals`` give, and what that implies."""
        held = (each.permissions for each in self.bindings if not each.principals.isdisjoint(principals))
        return expand(self.kind, frozenset().union(*held))

    def selection(self, resource: Resource) -> Selection | None:
        """How this policy selects ``resource``, or None."""
        if (resource.kind, resource.org) != (self.kind, self.org):
            return None
        return self.target.selection(resource)


@dataclass(frozen=True, slots=True)
class Allow:
    """Permitted, by that policy and its binding of that index; by ``IDENTITY_PULL``, which has none."""

    policy: str
    binding: int | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused; the reason is for logs and reports, not for the refused."""

    reason: str


Decision = Allow | Deny


def validate_policy(org: str, fields: Mapping[str, Any], current_kind: Kind | None = None) -> dict[str, Any]:
    """The ``spec`` of a policy in canonical form, from the JSON of a request to ``org``: full links, each
    once, and defaults of the query written out. ``fields`` may hold what all resources have, which is passed
    over.

    Raises:
        InvalidInput: malformed, over a limit (200 targetLinks, 50 bindings, 1 to 200 principals in each),
            with a permission that the kind does not have, without a target, or of another kind than it had
            before (``current_kind``).
    """
    kind = Kind.parse(fields.get("targetKind"), "targetKind")
    if current_kind is not None and kind is not current_kind:
        raise InvalidInput(f"targetKind stays {current_kind}; make another policy for {kind}")
    _, target = parse_target_fields(fields, kind, org)
    bindings = fields.get("bindings")
    if bindings is None:
        bindings = []
    if not isinstance(bindings, list | tuple):
        raise InvalidInput("bindings is a list")
    if len(bindings) > BINDINGS_MAX:
        raise InvalidInput(f"a policy has at most {BINDINGS_MAX} bindings")
    canonical = [_binding(each, kind, org, f"bindings[{index}]") for index, each in enumerate(bindings)]
    return {"targetKind": kind.value, **target, "bindings": canonical}


def _binding(value: Any, kind: Kind, org: str, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where} is an object")
    reject_unknown(value, ("permissions", "principalLinks"), where)
    permissions = value.get("permissions")
    if not isinstance(permissions, list | tuple) or not permissions:
        raise InvalidInput(f"{where}.permissions is a list of at least one permission")
    links = value.get("principalLinks")
    if not isinstance(links, list | tuple) or not 1 <= len(links) <= PRINCIPALS_MAX:
        raise InvalidInput(f"{where}.principalLinks is a list of 1 to {PRINCIPALS_MAX} links")
    return {
        "permissions": list(
            dict.fromkeys(
                parse_permission(kind, each, f"{where}.permissions[{index}]").value
                for index, each in enumerate(permissions)
            )
        ),
        "principalLinks": list(
            dict.fromkeys(
                _principal(each, org, f"{where}.principalLinks[{index}]") for index, each in enumerate(links)
            )
        ),
    }


def _principal(value: Any, org: str, where: str) -> str:
    try:
        return str(parse_principal(value, org))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}") from None


def built_in_policies(org: str, kind: Kind) -> tuple[Policy, ...]:
    """The locked policies that every organisation has for its resources of ``kind``; they are not stored."""
    return tuple(
        Policy(
            org,
            f"{group}-{kind}",
            kind,
            Target(everything=True),
            (Binding(frozenset({permission}), frozenset({group_link(org, group)})),),
            Origin.BUILT_IN,
            f"The group {group} has {permission} on every resource of kind {kind}",
        )
        for group, permission in _BUILT_IN.items()
    )


def is_built_in(name: str) -> bool:
    """Whether a policy of that name is made by the registry, so that nobody may make or change it."""
    group, _, kind = name.partition("-")
    return group in _BUILT_IN and kind in [each.value for each in Kind]


def built_in_record(org: str, name: str, created: datetime) -> ResourceRecord | None:
    """The built-in policy of that name as a record, for answers; ``created`` is the organisation's time."""
    if not is_built_in(name):
        return None
    kind = Kind(name.partition("-")[2])
    policy = next(each for each in built_in_policies(org, kind) if each.name == name)
    spec = {
        "targetKind": kind.value,
        "targetLinks": [],
        "target": ALL,
        "bindings": [
            {"permissions": sorted(each.permissions), "principalLinks": sorted(each.principals)}
            for each in policy.bindings
        ],
    }
    return ResourceRecord(
        kind=Kind.POLICY,
        org=org,
        name=name,
        id=str(uuid.uuid5(_BUILT_IN_IDS, policy.link)),
        version=1,
        created=created,
        last_modified=created,
        description=policy.description,
        origin=Origin.BUILT_IN,
        spec=spec,
    )


def pulls_without_policy(organisation: ResourceRecord) -> bool:
    """Whether an organisation lets its machine identities pull its images: its setting ``identityPull``."""
    return bool(organisation.spec.get("identityPull", True))


def decide(
    permission: Permission,
    resource: Resource,
    principals: frozenset[str],
    policies: Iterable[Policy],
    *,
    identity_pull: bool = False,
) -> Decision:
    """Whether a caller, known by its own link and its groups' links, has ``permission`` on ``resource``.

    Args:
        permission: what it wants to do.
        resource: on what; for pushes, pulls and deletes through ``/v2``, ``Resource.of_repository``.
        principals: full links in canonical form.
        policies: any; those of other kinds and organisations have no say. Of those that give the permission
            by regular expressions, the first ones with 100 of them are looked at, and no further ones.
        identity_pull: whether the organisation lets all its machine identities pull its images.
    """
    search = Search(permission, resource, principals, identity_pull=identity_pull)
    return search.among(policies) or Deny(search.refusal())


class Search:
    """The look for a policy that allows something, and for the reason, if it is asked for, why none does.

    ``effort`` counts what the look has been, in comparisons of two values, as if each had been made.
    """

    def __init__(
        self,
        permission: Permission,
        resource: Resource,
        principals: frozenset[str],
        *,
        identity_pull: bool = False,
    ) -> None:
        """The arguments are those of ``decide``."""
        self._permission = permission
        self._resource = resource
        self._principals = principals
        self._identity_pull = identity_pull
        self._budget = ExpressionBudget()
        self._naming: list[Policy] = []
        self._passed_over: list[Policy] = []
        self.effort = 0

    def among(self, policies: Iterable[Policy]) -> Allow | None:
        """The first of ``policies`` that allows it, None if none does."""
        if self._identity_pull and _pulls_as_identity(self._permission, self._resource, self._principals):
            return Allow(IDENTITY_PULL)
        for policy in policies:
            if (policy.kind, policy.org) != (self._resource.kind, self._resource.org):
                continue
            self.effort += 1
            index = policy.binding(self._permission, self._principals)
            if index is not None and self._selects(policy):
                return Allow(policy.name, index)
            self._naming.append(policy)
        return None

    def refusal(self) -> str:
        """Why none of them does."""
        return refusal(self._permission, self._resource, self._misses())

    def _selects(self, policy: Policy) -> bool:
        if not self._budget.admits(policy.target.expressions):
            self._passed_over.append(policy)
            return False
        self.effort += policy.target.effort
        return policy.target.selection(self._resource) is not None

    def _misses(self) -> Iterator[NearMiss]:
        if self._passed_over:
            yield not_looked_at(self._passed_over[0].name, self._permission)
            return
        naming = (each for each in self._naming if not each.principals.isdisjoint(self._principals))
        for policy in islice(naming, NEAR_MISSES_MAX):
            given = policy.given(self._principals)
            yield near_miss(policy.name, policy.target, given, self._permission, self._resource)


def _pulls_as_identity(permission: Permission, resource: Resource, principals: frozenset[str]) -> bool:
    return (
        resource.kind is Kind.IMAGE
        and permission in expand(Kind.IMAGE, IDENTITY_PERMISSIONS)
        and any(is_identity(link, resource.org) for link in principals)
    )
