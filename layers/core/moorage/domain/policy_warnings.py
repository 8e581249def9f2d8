"""What in a policy can never grant anything, in sentences for whoever has just written it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from moorage.domain.errors import InvalidInput
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import Policy
from moorage.domain.queries import Match, Query
from moorage.domain.query_terms import Scope, Term
from moorage.domain.resources import Kind
from moorage.domain.targets import UNKNOWN_BEFORE_CREATION

REPOSITORY_PERMISSIONS = frozenset({Permission.CREATE, Permission.PULL})
"""What is decided for a repository as a whole, wherever it is asked."""

NAMED_MAX = 20
"""Links that lead to nothing and are named one by one; of more only the number is told."""

_PROPERTY = "repository"
_WITHOUT_RESOURCES = (Kind.AUDIT_CONTEXT, Kind.QUOTA)
_CREATED_OTHERWISE = {
    Kind.ORG: "organisations are made with the bootstrap credential of the deployment",
    Kind.USER: "people are brought into the organisation by who has the permission invite",
}
_ANY_ORGANISATION = "aa"


def warnings_of(policy: Policy) -> tuple[str, ...]:
    """What of this policy looks as if it granted something and never does; nothing of it is an error."""
    found: list[str] = []
    if not policy.bindings:
        found.append("the policy has no bindings, so it grants nothing")
    if policy.target.everything and (policy.target.links or policy.target.query):
        found.append("target: all selects everything already; targetLinks and targetQuery add nothing to it")
    if policy.kind in _WITHOUT_RESOURCES:
        found.append(f"there are no resources of kind {policy.kind}, so the policy grants nothing")
    bound = frozenset().union(*(binding.permissions for binding in policy.bindings))
    if policy.kind in _CREATED_OTHERWISE and Permission.CREATE in bound:
        found.append(f"create on {policy.kind} lets nobody do anything: {_CREATED_OTHERWISE[policy.kind]}")
    if policy.kind is Kind.IMAGE and not policy.target.everything:
        found += _image_warnings(policy, bound)
    if policy.kind is not Kind.IMAGE and policy.target.query and not policy.target.everything:
        found += _query_warnings(policy.kind, policy.target.query, bound)
    return tuple(found)


def absent_principal(link: str) -> str:
    """The warning about a binding that names a principal which does not exist."""
    return f"there is no principal {link}; its binding grants nothing until there is one"


def absent_target(link: str) -> str:
    """The warning about a link to a resource which does not exist."""
    return f"there is no {link}; the link selects nothing until there is one"


def first_of(links: Sequence[str], say: Callable[[str], str]) -> Iterator[str]:
    """What ``say`` says of each of ``links``, or of the first twenty and how many more there are."""
    yield from map(say, links[:NAMED_MAX])
    if len(links) > NAMED_MAX:
        yield f"the same holds for {len(links) - NAMED_MAX:,} more links"


def selects_repositories(query: Query) -> bool:
    """Whether a query on images can select a repository, of which only the name is known."""
    return _can_select(query, lambda term: (term.scope, term.name) == (Scope.PROPERTY, _PROPERTY))


def _can_select(query: Query, is_known: Callable[[Term], bool]) -> bool:
    """Whether a query can select for certain what is not known but for some terms."""
    known = [is_known(term) for term in query.terms]
    return any(known) if query.match is Match.ANY and query.terms else all(known)


def _query_warnings(kind: Kind, query: Query, bound: frozenset[Permission]) -> Iterable[str]:
    """What a query on another kind than images never gives, since it asks too early."""
    creating = sorted(bound & {Permission.CREATE, Permission.MANAGE})
    if creating and kind not in _CREATED_OTHERWISE and not _can_select(query, _is_known_before_creation):
        yield (
            f"this targetQuery selects nothing that is not made yet, so {_listed(creating)} here lets nobody "
            f"make a {kind} by it: {', '.join(UNKNOWN_BEFORE_CREATION)} are set when it is made"
        )
    inviting = sorted(bound & {Permission.INVITE, Permission.MANAGE})
    if inviting and kind is Kind.USER and not _can_select(query, _is_name):
        yield (
            f"this targetQuery selects nobody who is not in the organisation yet, so {_listed(inviting)} "
            "here lets nobody invite people by it: only the property name is known of them"
        )


def _is_known_before_creation(term: Term) -> bool:
    return term.scope is not Scope.PROPERTY or term.name not in UNKNOWN_BEFORE_CREATION


def _is_name(term: Term) -> bool:
    return (term.scope, term.name) == (Scope.PROPERTY, "name")


def _image_warnings(policy: Policy, bound: frozenset[Permission]) -> Iterable[str]:
    wanted = sorted(bound & (REPOSITORY_PERMISSIONS | {Permission.MANAGE}))
    query = policy.target.query
    if wanted and policy.target.links:
        yield (
            f"targetLinks never authorise a push or a pull, so {_listed(wanted)} here lets nobody push or "
            "pull by them: both are decided for a whole repository, which only target: all or a targetQuery "
            "on the property repository selects"
        )
    if wanted and query and not selects_repositories(query):
        yield (
            f"this targetQuery never authorises a push or a pull, so {_listed(wanted)} here lets nobody push "
            "or pull by it: it asks for more than the property repository, and nothing else is known when "
            "they are decided"
        )
    if query:
        name = query.required(_PROPERTY)
        if name is not None and not _is_image_name(name):
            yield f"no repository can have the name {name!r}, so the targetQuery selects nothing"


def _is_image_name(text: str) -> bool:
    try:
        Repository.parse(f"{_ANY_ORGANISATION}/{text}")
    except InvalidInput:
        return False
    return True


def _listed(permissions: Iterable[Permission]) -> str:
    return " and ".join(permissions)
