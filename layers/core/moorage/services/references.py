"""Who names a principal: the groups that list it, and the policies whose bindings do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from moorage.domain.links import parse_link
from moorage.domain.principals import organisation_of
from moorage.domain.resources import Kind, ResourceRecord
from moorage.ports import ResourceName, Resources


class References:
    """Finds what names principals, in their own organisation."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def to(self, principal: str) -> Sequence[ResourceRecord]:
        """The groups and policies that name ``principal``, a full link; groups first."""
        return [*self._groups(principal), *self.policies(principal)]

    def policies(self, principal: str) -> Sequence[ResourceRecord]:
        """The policies, of all kinds."""
        org = organisation_of(principal)
        names = [
            ResourceName(Kind.POLICY, org, name)
            for kind in Kind
            for name in self._resources.policy_hints([principal], kind, org)
        ]
        return [record for record in self._found(names) if principal in principals_in(record)]

    def _groups(self, principal: str) -> Iterator[ResourceRecord]:
        links = (parse_link(link, "") for link in self._resources.group_hints(principal))
        names = [ResourceName(Kind.GROUP, link.org, link.name) for link in links]
        for record in self._found(names):
            if principal in record.spec["memberLinks"]:
                yield record

    def _found(self, names: Sequence[ResourceName]) -> Iterator[ResourceRecord]:
        distinct = list(dict.fromkeys(names))
        found = self._resources.find_many(distinct) if distinct else {}
        return (found[name] for name in distinct if name in found)


def principals_in(policy: ResourceRecord) -> set[str]:
    """The links that the bindings of a stored policy name."""
    return {link for binding in policy.spec["bindings"] for link in binding["principalLinks"]}
