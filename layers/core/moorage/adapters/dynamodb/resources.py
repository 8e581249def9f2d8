"""Organisations and what is managed in them, in DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from moorage.adapters import keys
from moorage.adapters.dynamodb.hints import (
    Hints,
    changes,
    names_in,
    remove_the_rest,
    require_room,
    write_with_hints,
)
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, Write, check, delete, put, update
from moorage.domain.errors import AlreadyExists, InUse, NotFound, TooLarge, WriteConflict
from moorage.domain.resources import Kind, Origin, ResourceRecord
from moorage.ports.resources import ResourceName

STANDING = "attribute_exists(#pk) AND attribute_not_exists(#removal_begun)"
UNCHANGED = "#id = :id AND #version = :version"
UNCHANGED_AND_STANDING = f"{UNCHANGED} AND attribute_not_exists(#removal_begun)"
UNCHANGED_AND_UNUSED = (
    f"{UNCHANGED} AND attribute_not_exists(#key_names) "
    "AND (attribute_not_exists(#identities) OR #identities = :none)"
)
ENDING = "attribute_exists(#removal_begun)"

# A row has at most 400 KB.
_CONTENT_MAX = 350_000

# Where the parts of a transaction stand.
_RECORD, _ORGANISATION = 0, 1


class _Standing(NamedTuple):
    """The rows that a write of a resource rests on. The last is that of its gvc, if it is an identity."""

    record: Row | None
    organisation: Row | None
    gvc: Row | None


class DynamoResources:
    """The ports ``Resources`` and ``OrganisationRemoval``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, kind: Kind, org: str, name: str) -> ResourceRecord | None:
        """The resource, or None: one strong read."""
        found = self._table.get(keys.resource(kind, org, name))
        return _record(found) if found else None

    def find_many(self, names: Collection[ResourceName]) -> Mapping[ResourceName, ResourceRecord]:
        """Those that exist: one strong read for each hundred."""
        found = self._table.get_all(keys.resource(*name) for name in names)
        records = (record for each in found if (record := _record(each)))
        return {ResourceName.of(record): record for record in records}

    def page(self, kind: Kind, org: str, after: str | None, limit: int) -> Sequence[ResourceRecord]:
        """Resources by name, in as many queries as their sizes need."""
        first = keys.resources(kind, org)
        place = None if after is None else keys.resource(kind, org, after)
        found: list[ResourceRecord] = []
        while len(found) < limit:
            page = self._table.query(first, after=place, limit=limit - len(found))
            found += [record for each in page.rows if (record := _record(each))]
            if not page.more or not page.rows:
                break
            place = keys.Key(page.rows[-1]["pk"], page.rows[-1]["sk"])
        return found

    def create_organisation(self, organisation: ResourceRecord, contents: Sequence[ResourceRecord]) -> None:
        """Make an organisation and what is in it: one transaction."""
        writes = [put(_row(record), ABSENT) for record in (organisation, *contents)]
        writes += [write for record in contents for write in changes(None, record).added]
        try:
            self._table.transact(*writes)
        except ConditionFailed as failed:
            standing = failed.rows.get(_RECORD)
            if standing is not None and standing["id"] == organisation.id:
                return  # By this very write, whose answer was lost.
            ending = standing is not None and "removal_begun" in standing
            raise AlreadyExists(
                f"the organisation {organisation.name} {'is still being removed' if ending else 'exists'}"
            ) from None

    def create(self, record: ResourceRecord) -> None:
        """Make a resource, with its hints."""
        writes = [put(_row(record), ABSENT), check(keys.organisation(record.org), STANDING)]
        if record.kind is Kind.IDENTITY:
            writes.append(_count_identities(record, 1))
        try:
            write_with_hints(self._table, writes, changes(None, record), creates=record.id)
        except ConditionFailed as failed:
            standing = failed.rows.get(_RECORD)
            if standing is not None and standing["id"] == record.id:
                return  # By this very write, whose answer was lost.
            if _ORGANISATION in failed.rows:
                raise NotFound(f"there is no organisation {record.org}") from None
            if _RECORD not in failed.rows:
                raise NotFound(f"there is no gvc {_gvc(record)}") from None
            raise AlreadyExists(f"the {record.kind} {record.name} exists") from None

    def replace(self, before: ResourceRecord, after: ResourceRecord) -> None:
        """Store a new version where the one that was read still stands, with its hints."""
        stored = _row(after)
        key = keys.Key(stored.pop("pk"), stored.pop("sk"))
        change = "SET " + ", ".join(f"#{name} = :new_{name}" for name in stored)
        values = {f"new_{name}": value for name, value in stored.items()} | _version(before)
        if before.kind is Kind.ORG:
            writes = [update(key, change, UNCHANGED_AND_STANDING, **values)]
        else:
            writes = [
                update(key, change, UNCHANGED, **values),
                check(keys.organisation(before.org), STANDING),
            ]
        try:
            write_with_hints(self._table, writes, changes(before, after))
        except ConditionFailed:
            raise _changed(before) from None

    def delete(self, record: ResourceRecord) -> None:
        """Remove a resource, with its hints; those that do not fit beside it go after it."""
        key = keys.resource(record.kind, record.org, record.name)
        writes = [delete(key, UNCHANGED_AND_UNUSED, none=0, **_version(record))]
        if record.kind is Kind.IDENTITY:
            writes.append(_count_identities(record, -1))
        hints: Hints = changes(record, None)
        try:
            write_with_hints(self._table, writes, hints)
        except ConditionFailed as failed:
            standing = failed.rows.get(_RECORD) or {}
            if standing.get("version") == record.version and standing.get("identities"):
                raise _in_use(record) from None
            raise _changed(record) from None
        remove_the_rest(self._table, hints)

    def check_write(self, before: ResourceRecord | None, after: ResourceRecord | None) -> None:
        """Refuse what a write would refuse: one read, and one for each hundred hints that it would add."""
        record = after or before
        if record is None:
            return
        if after is not None:
            _row(after)
        standing = self._standing(record)
        if before is None:
            _check_creation(record, standing)
        else:
            _check_unchanged(before, standing, ends=after is None)
        require_room(self._table, changes(before, after))

    def group_hints(self, principal: str) -> Sequence[str]:
        """Groups that may have a principal as member: one query."""
        found = self._table.query_all(keys.group_hints(principal), "group")
        return sorted({each["group"] for each in found})

    def query_group_hints(self, org: str) -> Sequence[str]:
        """Groups that may choose members by a query: one strong read."""
        found = self._table.get(keys.query_groups(org), "names") or {}
        return names_in(found.get("names", ()))

    def policy_hints(self, principals: Collection[str], kind: Kind, org: str) -> Sequence[str]:
        """Policies that may name one of many principals: one strong read for each hundred."""
        found = self._table.get_all((keys.policy_hints(each, kind, org) for each in principals), "names")
        return names_in({name for each in found for name in each.get("names", ())})

    def _standing(self, record: ResourceRecord) -> _Standing:
        places = (
            keys.resource(record.kind, record.org, record.name),
            keys.organisation(record.org),
            keys.resource(Kind.GVC, record.org, _gvc(record)),
        )
        found = {keys.Key(each["pk"], each["sk"]): each for each in self._table.get_all(places)}
        return _Standing(*(found.get(each) for each in places))

    def begin_removal(self, org: str, now: datetime) -> datetime | None:
        """Mark an organisation, once."""
        key = keys.organisation(org)
        marking = "SET #removal_begun = if_not_exists(#removal_begun, :now)"
        try:
            self._table.write(update(key, marking, PRESENT, now=now.isoformat()))
        except ConditionFailed:
            return None
        found = self._table.get(key, "removal_begun")
        return datetime.fromisoformat(found["removal_begun"]) if found else None

    def end_removal(self, org: str) -> None:
        """Remove the row of an organisation, if it is marked."""
        try:
            self._table.transact(delete(keys.organisation(org), ENDING), delete(keys.query_groups(org)))
        except ConditionFailed:
            return  # Gone, by somebody who was at it at the same time.


def _check_creation(record: ResourceRecord, standing: _Standing) -> None:
    if standing.organisation is None or "removal_begun" in standing.organisation:
        raise NotFound(f"there is no organisation {record.org}")
    if record.kind is Kind.IDENTITY and standing.gvc is None:
        raise NotFound(f"there is no gvc {_gvc(record)}")
    if standing.record is not None:
        raise AlreadyExists(f"the {record.kind} {record.name} exists")


def _check_unchanged(record: ResourceRecord, standing: _Standing, *, ends: bool) -> None:
    """Refuse to write where another state stands; to what ``ends``, its organisation does not matter."""
    row, organisation = standing.record, standing.organisation
    if row is None or (row["id"], row["version"]) != (record.id, record.version):
        raise _changed(record)
    if ends and row.get("identities"):
        raise _in_use(record)
    if not ends and (organisation is None or "removal_begun" in organisation):
        raise _changed(record)


def _in_use(gvc: ResourceRecord) -> InUse:
    return InUse(f"there are identities in the gvc {gvc.name}; delete them first")


def _version(record: ResourceRecord) -> dict[str, Any]:
    return {"id": record.id, "version": record.version}


def _changed(record: ResourceRecord) -> WriteConflict:
    return WriteConflict(f"the {record.kind} {record.name} is being changed by others; try again in a moment")


def _gvc(identity: ResourceRecord) -> str:
    return identity.name.partition("/")[0]


def _count_identities(identity: ResourceRecord, by: int) -> Write:
    key = keys.resource(Kind.GVC, identity.org, _gvc(identity))
    return update(key, "ADD #identities :by", PRESENT, by=by)


def _row(record: ResourceRecord) -> Row:
    # JSON as text: what somebody wrote there need not be what DynamoDB takes as a map.
    tags, spec = json.dumps(dict(record.tags)), json.dumps(dict(record.spec))
    if len(tags) + len(spec) > _CONTENT_MAX:
        raise TooLarge(f"the {record.kind} {record.name} says more than can be stored; make several of it")
    attributes = {
        "org": record.org,
        "name": record.name,
        "id": record.id,
        "version": record.version,
        "created": record.created.isoformat(),
        "last_modified": record.last_modified.isoformat(),
        "description": record.description,
        "tags": tags,
        "origin": str(record.origin),
        "spec": spec,
    }
    return row(keys.resource(record.kind, record.org, record.name), str(record.kind), attributes)


def _record(found: Row) -> ResourceRecord | None:
    """The resource in a row; None for an organisation that is being removed."""
    if "removal_begun" in found:
        return None
    return ResourceRecord(
        kind=Kind(found["type"]),
        org=found["org"],
        name=found["name"],
        id=found["id"],
        version=found["version"],
        created=datetime.fromisoformat(found["created"]),
        last_modified=datetime.fromisoformat(found["last_modified"]),
        description=found["description"],
        tags=json.loads(found["tags"]),
        origin=Origin(found["origin"]),
        spec=json.loads(found["spec"]),
    )
