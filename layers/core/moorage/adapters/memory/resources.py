"""Organisations and what is managed in them, in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from moorage.adapters.references import group_members, policy_principals, uses_query
from moorage.domain.errors import AlreadyExists, InUse, InvalidInput, NotFound, WriteConflict
from moorage.domain.resources import Kind, ResourceRecord
from moorage.ports.resources import (
    POLICIES_OF_A_PRINCIPAL,
    QUERY_GROUPS_OF_AN_ORGANISATION,
    ResourceName,
)


class MemoryResources:
    """The ports ``Resources`` and ``OrganisationRemoval``. Its hints are exact."""

    def __init__(self) -> None:
        super().__init__()
        self._resources_lock = threading.RLock()
        self._records: dict[ResourceName, ResourceRecord] = {}
        self._removals: dict[str, datetime] = {}
        self._hints: dict[tuple[str, ...], set[ResourceName]] = {}

    def find(self, kind: Kind, org: str, name: str) -> ResourceRecord | None:
        """The resource, or None."""
        if kind is Kind.ORG and name in self._removals:
            return None
        return self._records.get(ResourceName(kind, org, name))

    def find_many(self, names: Collection[ResourceName]) -> Mapping[ResourceName, ResourceRecord]:
        """Those that exist."""
        with self._resources_lock:
            return {name: record for name in names if (record := self.find(*name))}

    def page(self, kind: Kind, org: str, after: str | None, limit: int) -> Sequence[ResourceRecord]:
        """Resources by name."""
        with self._resources_lock:
            found = sorted(
                name.name
                for name in self._records
                if name[:2] == (kind, org) and (after is None or name.name > after)
            )
            return [self._records[ResourceName(kind, org, name)] for name in found[: max(limit, 0)]]

    def create_organisation(self, organisation: ResourceRecord, contents: Sequence[ResourceRecord]) -> None:
        """Make an organisation and what is in it."""
        with self._resources_lock:
            if ResourceName.of(organisation) in self._records:
                raise AlreadyExists(f"the organisation {organisation.name} exists")
            for record in (organisation, *contents):
                self._put(record)

    def create(self, record: ResourceRecord) -> None:
        """Make a resource."""
        with self._resources_lock:
            self._check_creation(record)
            self._put(record)

    def replace(self, before: ResourceRecord, after: ResourceRecord) -> None:
        """Store a new version where the one that was read still stands."""
        with self._resources_lock:
            self._check_replacement(before, after)
            self._remove(before)
            self._put(after)

    def delete(self, record: ResourceRecord) -> None:
        """Remove a resource."""
        with self._resources_lock:
            self._check_deletion(record)
            self._remove(record)

    def check_write(self, before: ResourceRecord | None, after: ResourceRecord | None) -> None:
        """Refuse what a write would refuse."""
        with self._resources_lock:
            if before is None and after is not None:
                self._check_creation(after)
            if before is not None and after is not None:
                self._check_replacement(before, after)
            if before is not None and after is None:
                self._check_deletion(before)

    def is_in_use(self, record: ResourceRecord) -> bool:
        """Whether a group of workloads has identities."""
        prefix = f"{record.name}/"
        return record.kind is Kind.GVC and any(
            name[:2] == (Kind.IDENTITY, record.org) and name.name.startswith(prefix) for name in self._records
        )

    def organisation_stands(self, org: str) -> bool:
        """Whether an organisation is there and not being removed."""
        return self.find(Kind.ORG, org, org) is not None

    def group_hints(self, principal: str) -> Sequence[str]:
        """Groups that list a principal."""
        with self._resources_lock:
            return sorted(self._records[name].link for name in self._hints.get(("member", principal), ()))

    def query_group_hints(self, org: str) -> Sequence[str]:
        """Groups that choose members by a query."""
        with self._resources_lock:
            return sorted(name.name for name in self._hints.get(("query", org), ()))

    def policy_hints(self, principals: Collection[str], kind: Kind, org: str) -> Sequence[str]:
        """Policies that name one of many principals."""
        with self._resources_lock:
            found = [self._hints.get(("policy", each, kind, org), set()) for each in principals]
            return sorted({name.name for names in found for name in names})

    def begin_removal(self, org: str, now: datetime) -> datetime | None:
        """Mark an organisation, once."""
        with self._resources_lock:
            if ResourceName(Kind.ORG, org, org) not in self._records:
                return None
            return self._removals.setdefault(org, now)

    def end_removal(self, org: str) -> None:
        """Remove an organisation, if it is marked."""
        with self._resources_lock:
            if self._removals.pop(org, None) is not None:
                del self._records[ResourceName(Kind.ORG, org, org)]

    def _check_creation(self, record: ResourceRecord) -> None:
        if not self.organisation_stands(record.org):
            raise NotFound(f"there is no organisation {record.org}")
        if record.kind is Kind.IDENTITY and self.find(Kind.GVC, record.org, _gvc(record)) is None:
            raise NotFound(f"there is no gvc {_gvc(record)}")
        if ResourceName.of(record) in self._records:
            raise AlreadyExists(f"the {record.kind} {record.name} exists")
        self._check_room(record)

    def _check_replacement(self, before: ResourceRecord, after: ResourceRecord) -> None:
        self._check_unchanged(before)
        if not self.organisation_stands(before.org):
            raise WriteConflict("the organisation is being removed")
        self._check_room(after)

    def _check_deletion(self, record: ResourceRecord) -> None:
        self._check_unchanged(record)
        if self.is_in_use(record):
            raise InUse(f"the {record.kind} {record.name} is in use")

    def _check_unchanged(self, record: ResourceRecord) -> None:
        standing = self._records.get(ResourceName.of(record))
        if standing is None or (standing.id, standing.version) != (record.id, record.version):
            raise WriteConflict(f"the {record.kind} {record.name} is being changed by others")

    def _check_room(self, record: ResourceRecord) -> None:
        name = ResourceName.of(record)
        for place in _places(record):
            most = QUERY_GROUPS_OF_AN_ORGANISATION if place[0] == "query" else POLICIES_OF_A_PRINCIPAL
            others = self._hints.get(place, set()) - {name}
            if place[0] != "member" and len(others) >= most:
                raise InvalidInput(f"{place[1]} is named by as many as can be, {most}")

    def _put(self, record: ResourceRecord) -> None:
        self._records[ResourceName.of(record)] = record
        for place in _places(record):
            self._hints.setdefault(place, set()).add(ResourceName.of(record))

    def _remove(self, record: ResourceRecord) -> None:
        standing = self._records.pop(ResourceName.of(record))
        for place in _places(standing):
            self._hints[place].discard(ResourceName.of(record))


def _gvc(identity: ResourceRecord) -> str:
    return identity.name.partition("/")[0]


def _places(record: ResourceRecord) -> set[tuple[str, ...]]:
    """Under what a record is found from what it names."""
    match record.kind:
        case Kind.POLICY:
            target, principals = policy_principals(record)
            return {("policy", each, target, record.org) for each in principals}
        case Kind.GROUP:
            query = {("query", record.org)} if uses_query(record) else set()
            return query | {("member", each) for each in group_members(record)}
    return set()
