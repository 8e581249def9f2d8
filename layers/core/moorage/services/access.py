"""What a caller may do on the management side, and how a refusal sounds."""

from __future__ import annotations

from collections.abc import Iterable

from moorage.domain.errors import Denied, NotFound, RegistryError
from moorage.domain.permissions import Permission
from moorage.domain.query_terms import Subject
from moorage.domain.resources import Kind, ResourceRecord, link_of
from moorage.domain.targets import Resource
from moorage.ports.resources import ResourceName
from moorage.services.authorization import Authorization, Rights
from moorage.services.callers import Caller


class Access:
    """Asks for every call what the policies say now."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    def allows(self, caller: Caller, permission: Permission, resource: Resource) -> bool:
        """Whether ``caller`` has ``permission`` on ``resource``."""
        return self._authorization.allows(caller.principal, permission, resource)

    def is_own(self, caller: Caller, link: str) -> bool:
        """Whether what is at ``link`` is the caller's own record, which everybody may see; nobody may in an
        organisation that is being removed.
        """
        return caller.principal == link and self._authorization.knows(caller.principal)

    def require(self, caller: Caller, permission: Permission, resource: Resource) -> None:
        """Refuse unless ``caller`` has ``permission`` on ``resource``.

        Raises:
            Denied: it has not; the same whether the resource is there or not.
        """
        if not self.allows(caller, permission, resource):
            raise refusal(resource.kind, permission)

    def absence(self, caller: Caller, permission: Permission, resource: Resource) -> RegistryError:
        """What to raise because ``resource`` is not there: just that to who could see it, to others what they
        get where it is.
        """
        if self.allows(caller, Permission.VIEW, resource):
            return NotFound(f"there is no such {resource.kind}")
        return refusal(resource.kind, permission)

    def visible(self, caller: Caller, records: Iterable[ResourceRecord]) -> list[ResourceRecord]:
        """Those of ``records`` that ``caller`` may see, in their order."""
        rights: dict[tuple[Kind, str], Rights] = {}
        shown: list[ResourceRecord] = []
        for each in records:
            place = (each.kind, each.org)
            if place not in rights:
                rights[place] = self._authorization.rights(caller.principal, *place)
            if rights[place].allows(Permission.VIEW, Resource.of_record(each)):
                shown.append(each)
        return shown

    def filter(self, caller: Caller, permission: Permission, kind: Kind, org: str) -> Filter:
        """The question whether ``caller`` has ``permission``, for many resources of one kind and organisation
        from one reading of the policies.

        Raises:
            Denied: the organisation is another than the caller's, and none of its policies names it.
        """
        rights = self._authorization.rights(caller.principal, kind, org)
        if caller.organisation != org and all(
            policy.principals.isdisjoint(rights.principals) for policy in rights.policies
        ):
            raise refusal(kind, permission)
        return Filter(rights, permission)


class Filter:
    """The question whether a caller has a permission."""

    def __init__(self, rights: Rights, permission: Permission) -> None:
        self._rights = rights
        self._permission = permission

    def __call__(self, resource: Resource) -> bool:
        """Whether the caller has the permission on ``resource``."""
        return self._rights.allows(self._permission, resource)

    @property
    def effort(self) -> int:
        """What the answers have taken so far, in comparisons of two values; see ``EFFORT_MAX``."""
        return self._rights.effort


def absent(name: ResourceName) -> Resource:
    """A resource that is not there, as policies see it: only what it is called is known."""
    known = Subject({"name": name.own}, tags=None, rels=None, partial=True)
    return Resource(name.kind, name.org, known, frozenset({link_of(*name)}))


def refusal(kind: Kind, *permissions: Permission) -> Denied:
    """The answer to who lacks ``permissions``: it tells nothing about what is there."""
    return Denied(
        f"that takes the permission {' or '.join(permissions)} on the {kind}, which you do not have"
    )
