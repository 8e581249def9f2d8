"""Why a policy that names somebody does not give what was asked: for logs, and for whoever asks why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from moorage.domain.permissions import Permission
from moorage.domain.queries import EXPRESSIONS_OF_A_DECISION
from moorage.domain.resources import Kind
from moorage.domain.targets import Resource, Target


class Obstacle(IntEnum):
    """What is in the way, beginning with what is nearest to a permission."""

    NOT_LOOKED_AT = 0
    """It gives the permission by a regular expression after more of them than a decision looks at."""
    ONLY_BY_LINK = 1
    """It selects single images of the repository, and the decision is about the repository."""
    ONLY_BY_RECORD = 2
    """Its query asks for what is not known of the resource as a whole."""
    NOT_GIVEN = 3
    """It selects the resource and gives other permissions."""
    NOT_SELECTED = 4
    """It gives the permission on other resources."""
    NEITHER = 5


@dataclass(frozen=True, slots=True, order=True)
class NearMiss:
    """A policy that names the caller and does not allow, and what is in the way."""

    obstacle: Obstacle
    policy: str
    reason: str


def near_miss(
    policy: str,
    target: Target,
    given: frozenset[Permission],
    permission: Permission,
    resource: Resource,
) -> NearMiss:
    """What is in the way of a policy that gives ``given`` (all that it implies) and does not allow."""
    what = resource.kind if resource.links or resource.repository is None else "repository"
    if permission not in given:
        held = f"gives {_enumerated(given)} but not {permission}"
        if target.selection(resource):
            return NearMiss(Obstacle.NOT_GIVEN, policy, f"policy {policy} selects this {what} and {held}")
        return NearMiss(Obstacle.NEITHER, policy, f"policy {policy} does not select this {what}, and {held}")
    if target.rests_on_record(resource):
        rests = (
            "of which the registry knows only the name when it decides: single images, their tags and "
            "digests have no say in that"
            if what == "repository"
            else "which is not made yet"
        )
        return NearMiss(
            Obstacle.ONLY_BY_RECORD,
            policy,
            f"policy {policy} gives {permission} by a query that asks for more of a {what}, {rests}",
        )
    if what == "repository" and resource.repository and target.names_image_of(resource.repository):
        return NearMiss(
            Obstacle.ONLY_BY_LINK,
            policy,
            f"policy {policy} gives {permission} only on images that its targetLinks name, and a link never "
            "selects a repository as a whole; use a targetQuery on the property repository",
        )
    others = "other images" if resource.kind is Kind.IMAGE else f"other resources of kind {resource.kind}"
    return NearMiss(
        Obstacle.NOT_SELECTED, policy, f"policy {policy} gives {permission}, but it selects {others}"
    )


def not_looked_at(policy: str, permission: Permission) -> NearMiss:
    """That a policy comes after too many others with regular expressions."""
    return NearMiss(
        Obstacle.NOT_LOOKED_AT,
        policy,
        f"policy {policy} gives {permission} by a regular expression, and comes by its name after policies "
        f"with {EXPRESSIONS_OF_A_DECISION} of them, which is as many as a decision looks at",
    )


def refusal(permission: Permission, resource: Resource, misses: Iterable[NearMiss]) -> str:
    """The reason of a refusal: what the nearest policy lacks, or that none names the caller."""
    nearest = min(misses, default=None)
    if nearest is None:
        return f"no policy on {resource.kind} that could give {permission} names the caller or a group of it"
    return nearest.reason


def _enumerated(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted(permissions))
