"""Policies, and the one function that decides by them.

Additive only: no policy can take away what another gives, and nothing is allowed that no policy gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moorage.domain.names import Repository
from moorage.domain.permissions import Permission, expand
from moorage.domain.principals import SUPERUSERS, VIEWERS, group_link


@dataclass(frozen=True, slots=True)
class Binding:
    """These principals hold these permissions."""

    permissions: frozenset[Permission]
    principals: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Bindings for all images of an organisation."""

    name: str
    org: str
    bindings: tuple[Binding, ...]

    def selects(self, repository: Repository) -> bool:
        """Whether this policy speaks about ``repository``."""
        return repository.org == self.org


@dataclass(frozen=True, slots=True)
class Allow:
    """Permitted, by the policy of that name."""

    policy: str


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused; the reason is for logs and reports, not for the refused."""

    reason: str


Decision = Allow | Deny


def built_in_policies(org: str) -> tuple[Policy, ...]:
    """The locked policies that every organisation has for its images."""
    return (
        Policy(
            "superusers-image",
            org,
            (Binding(frozenset({Permission.MANAGE}), frozenset({group_link(org, SUPERUSERS)})),),
        ),
        Policy(
            "viewers-image",
            org,
            (Binding(frozenset({Permission.VIEW}), frozenset({group_link(org, VIEWERS)})),),
        ),
    )


def decide(
    permission: Permission, repository: Repository, principals: frozenset[str], policies: Iterable[Policy]
) -> Decision:
    """Whether a caller, known by its own link and its groups' links, has ``permission`` on ``repository``."""
    for policy in policies:
        if not policy.selects(repository):
            continue
        for binding in policy.bindings:
            if binding.principals & principals and permission in expand(binding.permissions):
                return Allow(policy.name)
    return Deny(f"no policy gives {permission}")
