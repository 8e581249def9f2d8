"""Which other resources a stored record names, as far as they have to be found from there."""

from __future__ import annotations

from moorage.domain.resources import ResourceRecord


def policy_principals(policy: ResourceRecord) -> tuple[str, frozenset[str]]:
    """The kind that a policy is about, and the links of the principals that its bindings name."""
    bindings = policy.spec.get("bindings", ())
    named = frozenset(link for binding in bindings for link in binding["principalLinks"])
    return str(policy.spec["targetKind"]), named


def group_members(group: ResourceRecord) -> frozenset[str]:
    """The links of the members that a group lists."""
    return frozenset(group.spec.get("memberLinks", ()))


def uses_query(group: ResourceRecord) -> bool:
    """Whether a group chooses members by a query."""
    return group.spec.get("memberQuery") is not None
