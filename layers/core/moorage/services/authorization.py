"""Who may do what: every question goes through here, to the one function that decides.

What is read for a decision is strongly consistent and as little as the answer needs: the organisations, the
principal and the two built-in groups with one request; only if the built-in policies do not allow it, the
other groups of the principal, then the policies that may name it or one of its groups, a hundred at a time,
until all that is asked is allowed. Nothing depends on how many policies, groups or principals an organisation
has.

The record of the principal costs no request of its own, and so it is read for every decision, though a key is
there only as long as its owner is: a bearer token outlives its principal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from moorage.domain.errors import InvalidInput
from moorage.domain.grants import REQUIRED_PERMISSION, Actions
from moorage.domain.groups import is_member
from moorage.domain.links import Link, parse_principal
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import (
    Allow,
    Decision,
    Deny,
    Policy,
    Search,
    built_in_policies,
    pulls_without_policy,
)
from moorage.domain.principals import BUILT_IN_GROUPS, organisation_of
from moorage.domain.queries import ExpressionBudget
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource
from moorage.ports import ResourceName, Resources

EFFORT_MAX = 1_000_000
"""How much work one call may be, in comparisons of two values: some seconds."""

_POLICIES_AT_ONCE = 100
_CAN_BE_MEMBERS = (Kind.USER, Kind.SERVICE_ACCOUNT)


class Authorization:
    """Decides for principals, by their groups and the organisation's policies, as of now.

    A principal whose record is gone may nothing, neither may anybody in an organisation that is gone or is
    being removed, and nobody of such an organisation may anything anywhere.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def allows(self, principal: str, permission: Permission, resource: Resource) -> bool:
        """Whether ``principal``, a full link, has ``permission`` on ``resource``."""
        return self.rights(principal, resource.kind, resource.org).allows(permission, resource)

    def decide(self, principal: str, permission: Permission, resource: Resource) -> Decision:
        """The same with the reason."""
        return self.rights(principal, resource.kind, resource.org).decide(permission, resource)

    def grant(
        self, principal: str, asked: Mapping[Repository, Actions]
    ) -> tuple[dict[Repository, Actions], dict[Repository, Actions]]:
        """Of the actions asked for, those that are granted and those that are refused.

        Raises:
            InvalidInput: so many repositories that deciding about them, by this principal's policies, would
                take too long.
        """
        granted: dict[Repository, Actions] = {}
        refused: dict[Repository, Actions] = {}
        if not asked:
            return granted, refused
        reading = self._read(principal, {each.org for each in asked})
        for repository, actions in asked.items():
            rights, resource = reading.rights(Kind.IMAGE, repository.org), Resource.of_repository(repository)
            granted[repository] = frozenset(
                action for action in actions if rights.allows(REQUIRED_PERMISSION[action], resource)
            )
            refused[repository] = actions - granted[repository]
            if reading.effort > EFFORT_MAX:
                raise InvalidInput(
                    "that many repositories take too long to decide about; ask for fewer at a time"
                )
        return granted, refused

    def knows(self, principal: str) -> bool:
        """Whether ``principal`` is there, in an organisation that is there and is not being removed."""
        return self._read(principal, ()).obstacle(organisation_of(principal)) is None

    def rights(self, principal: str, kind: Kind, org: str) -> Rights:
        """What ``principal`` may do with resources of one kind in one organisation, and why."""
        return self._read(principal, {org}).rights(kind, org)

    def _read(self, principal: str, orgs: Collection[str]) -> _Reading:
        return _Reading(self._resources, principal, orgs)


class Rights:
    """What a principal may do with resources of one kind in one organisation.

    What is found out for one question serves the next; for what has to hold at a later time, ask
    ``Authorization`` anew. ``effort`` counts what the questions have taken, in comparisons of two values.
    """

    def __init__(self, reading: _Reading, kind: Kind, org: str) -> None:
        self._reading = reading
        self._kind = kind
        self._org = org
        self._known: list[Sequence[Policy]] = []
        self._coming = self._read()
        self.effort = 0

    def allows(self, permission: Permission, resource: Resource) -> bool:
        """Whether the principal has ``permission`` on ``resource``, of that kind and organisation."""
        return isinstance(self._look(permission, resource), Allow)

    def decide(self, permission: Permission, resource: Resource) -> Decision:
        """The same with the reason."""
        found = self._look(permission, resource)
        return Deny(found.refusal()) if isinstance(found, Search) else found

    def _look(self, permission: Permission, resource: Resource) -> Allow | Deny | Search:
        """The decision; or a look for one that has come to nothing, and can tell why."""
        if obstacle := self._reading.obstacle(self._org):
            return Deny(obstacle)
        batches = self._batches()
        built_in = next(batches)
        allowed = self._search(permission, resource, self._reading.known_principals).among(built_in)
        if allowed:
            return allowed
        # The others are read only as far as they are asked; the built-in ones may be the reason of a refusal.
        search = self._search(permission, resource, self._reading.principals)
        allowed = search.among(chain(built_in, chain.from_iterable(batches)))
        self.effort += search.effort
        return allowed or search

    @property
    def principals(self) -> frozenset[str]:
        """The principal's own link and those of all its groups."""
        return self._reading.principals

    @property
    def policies(self) -> Sequence[Policy]:
        """All policies that name the principal or one of its groups, and the built-in ones; by name."""
        found = [policy for batch in self._batches() for policy in batch]
        return sorted(found, key=lambda policy: policy.name)

    def _search(self, permission: Permission, resource: Resource, principals: frozenset[str]) -> Search:
        return Search(permission, resource, principals, identity_pull=self._reading.identity_pull(self._org))

    def _batches(self) -> Iterator[Sequence[Policy]]:
        yield from tuple(self._known)
        for batch in self._coming:
            self._known.append(batch)
            yield batch

    def _read(self) -> Iterator[Sequence[Policy]]:
        if self._reading.obstacle(self._org) is not None:
            return
        yield built_in_policies(self._org, self._kind)
        yield from self._reading.policies(self._kind, self._org)


class _Reading:
    """What has been read about one principal, and what is read when it is needed."""

    def __init__(self, resources: Resources, principal: str, orgs: Collection[str]) -> None:
        self._resources = resources
        self._records: dict[ResourceName, ResourceRecord] = {}
        self._rights: dict[tuple[Kind, str], Rights] = {}
        self._all_groups = False
        self._budget = ExpressionBudget()
        self._principal = _parse(principal)
        self._groups: set[str] = set()
        if self._principal is not None:
            self._read(self._principal, orgs)

    def rights(self, kind: Kind, org: str) -> Rights:
        """The rights on a kind in one of the organisations."""
        return self._rights.setdefault((kind, org), Rights(self, kind, org))

    @property
    def effort(self) -> int:
        """What all questions have taken, in comparisons of two values."""
        return sum(rights.effort for rights in self._rights.values())

    def obstacle(self, org: str) -> str | None:
        """Why nothing is allowed in an organisation, if that is so."""
        principal = self._principal
        if principal is None or ResourceName(Kind.ORG, principal.org, principal.org) not in self._records:
            return "the principal's organisation does not exist"
        if ResourceName.of(principal) not in self._records:
            return "the principal does not exist"
        if ResourceName(Kind.ORG, org, org) not in self._records:
            return "the organisation does not exist"
        return None

    def identity_pull(self, org: str) -> bool:
        """Whether the identities of an organisation may pull its images."""
        return pulls_without_policy(self._records[ResourceName(Kind.ORG, org, org)])

    @property
    def known_principals(self) -> frozenset[str]:
        """The principal and those of its groups that are known by now."""
        return frozenset({str(self._principal), *self._groups})

    @property
    def principals(self) -> frozenset[str]:
        """The principal and all its groups."""
        if not self._all_groups and self._principal is not None and self._principal.kind in _CAN_BE_MEMBERS:
            self._read_groups(self._principal)
        self._all_groups = True
        return self.known_principals

    def policies(self, kind: Kind, org: str) -> Iterator[Sequence[Policy]]:
        """The stored policies that name one of the principals, a hundred at a time."""
        names = self._resources.policy_hints(self.principals, kind, org)
        for start in range(0, len(names), _POLICIES_AT_ONCE):
            wanted = [
                ResourceName(Kind.POLICY, org, name) for name in names[start : start + _POLICIES_AT_ONCE]
            ]
            found = self._resources.find_many(wanted)
            parsed = (Policy.parse(found[name]) for name in wanted if name in found)
            # A hint is not always right; and a policy of that name may be about another kind by now.
            yield [
                each
                for each in parsed
                if each.kind is kind and not each.principals.isdisjoint(self.principals)
            ]

    def _read(self, principal: Link, orgs: Collection[str]) -> None:
        """Everything that the first look at any question needs, with one request."""
        names = [ResourceName(Kind.ORG, org, org) for org in sorted({principal.org, *orgs})]
        names.append(ResourceName.of(principal))
        built_in: list[ResourceName] = []
        if principal.kind in _CAN_BE_MEMBERS:
            built_in = [ResourceName(Kind.GROUP, principal.org, name) for name in BUILT_IN_GROUPS]
        self._records.update(self._resources.find_many([*names, *built_in]))
        self._join(principal, built_in)

    def _read_groups(self, principal: Link) -> None:
        own = principal.org
        hinted = [_parse(link) for link in self._resources.group_hints(str(principal))]
        names = {
            ResourceName.of(link) for link in hinted if link and (link.kind, link.org) == (Kind.GROUP, own)
        }
        if principal.kind is Kind.USER:
            querying = self._resources.query_group_hints(own)
            names |= {ResourceName(Kind.GROUP, own, name) for name in querying}
        fresh = sorted(name for name in names if name not in self._records)
        if fresh:
            self._records.update(self._resources.find_many(fresh))
        self._join(principal, fresh)

    def _join(self, principal: Link, names: Iterable[ResourceName]) -> None:
        """Note which of these groups the principal is a member of."""
        for name in names:
            group = self._records.get(name)
            own = self._records.get(ResourceName.of(principal))
            if group is not None and is_member(group, str(principal), own, self._budget):
                self._groups.add(group.link)


def _parse(principal: str) -> Link | None:
    """The link of a principal, if it is one in canonical form."""
    try:
        link = parse_principal(principal, organisation_of(principal))
    except (InvalidInput, IndexError):
        return None
    return link if str(link) == principal else None
