"""Who is a member of a group."""

from __future__ import annotations

from moorage.domain.queries import ExpressionBudget, Query
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource


def is_member(
    group: ResourceRecord, principal: str, user: ResourceRecord | None, budget: ExpressionBudget | None = None
) -> bool:
    """Whether a stored group has the principal of that link, which is of its own organisation, as a member.

    ``user`` is the record of the principal when it is a user: only users are chosen by ``memberQuery``.
    A query with regular expressions for which ``budget``, if given, has no more room chooses nobody.
    """
    if principal in group.spec.get("memberLinks", ()):
        return True
    query = group.spec.get("memberQuery")
    if query is None or user is None or user.kind is not Kind.USER or user.org != group.org:
        return False
    chosen = Query.parse(query, Kind.USER, "memberQuery")
    if budget is not None and not budget.admits(chosen.expressions):
        return False
    return chosen.selects(Resource.of_record(user).subject)
