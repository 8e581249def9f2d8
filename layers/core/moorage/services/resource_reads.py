"""Resources read one by one, in lists and by queries: only what the caller may see."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from moorage.domain.errors import InvalidInput
from moorage.domain.permissions import Permission
from moorage.domain.policies import built_in_record, is_built_in
from moorage.domain.principals import BUILT_IN_GROUPS
from moorage.domain.queries import Order, Query, Sort
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource
from moorage.ports import Resources
from moorage.ports.resources import ResourceName
from moorage.services.access import Access, Filter, absent
from moorage.services.authorization import EFFORT_MAX
from moorage.services.callers import Caller
from moorage.services.cursors import Cursors

PAGE = 50
"""Resources on a page of a list."""

_READ_AT_ONCE = 100
# A policy can have 350 KB, and an answer has a limit.
_PAGE_SIZE = 2_000_000
ROWS_PER_CALL = 1_000
"""Resources that one call looks at in the order of their names, however few it shows."""

SORTED_MAX = 10_000
"""Resources that are looked at to sort by something else than the name."""

_BUILT_IN_POLICIES = sorted(f"{group}-{kind}" for group in BUILT_IN_GROUPS for kind in Kind)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, perhaps short or empty though it goes on, and the cursor of what comes then; None at
    its end.
    """

    records: Sequence[ResourceRecord]
    next: str | None


class ResourceReads:
    """Finds resources for callers."""

    def __init__(self, resources: Resources, access: Access, cursors: Cursors) -> None:
        self._resources = resources
        self._access = access
        self._cursors = cursors

    def get(self, caller: Caller, name: ResourceName) -> ResourceRecord:
        """One resource.

        Raises:
            Denied: the caller may not see it, or it is not there and the caller could not see it either.
            NotFound: it is not there, and the caller could see it.
        """
        record = self.find(name)
        if record is None:
            raise self._access.absence(caller, Permission.VIEW, absent(name))
        # Everybody may see what is recorded of them.
        if not self._access.is_own(caller, record.link):
            self._access.require(caller, Permission.VIEW, Resource.of_record(record))
        return record

    def find(self, name: ResourceName) -> ResourceRecord | None:
        """The resource, whoever asks; built-in policies among them."""
        if name.kind is Kind.POLICY and is_built_in(name.name):
            organisation = self._resources.find(Kind.ORG, name.org, name.org)
            return organisation and built_in_record(name.org, name.name, organisation.created)
        return self._resources.find(*name)

    def page(
        self,
        caller: Caller,
        kind: Kind,
        org: str,
        cursor: str | None,
        *,
        query: Query | None = None,
        prefix: str = "",
    ) -> Page:
        """A page of the resources that the caller may see, that ``query`` selects if it is given, and whose
        names begin with ``prefix``: in the order of their names, or as the query says. In the order of names,
        a bounded number of resources is looked at, however few are shown.

        Raises:
            Denied: the organisation is another than the caller's, and gives it nothing on this kind.
            InvalidInput: there are too many to be sorted by something else than the name.
            QueryInvalid: the cursor is of another list.
        """
        listed = json.dumps([kind, prefix, query and query.to_json()], sort_keys=True)
        after = str(self._cursors.read(cursor, org, listed)[0]) if cursor else None
        look = _Look(self._access.filter(caller, Permission.VIEW, kind, org), query)
        sort = (query and query.sort) or Sort("name")
        by_name = sort == Sort("name")
        candidates = takewhile(
            lambda record: record.name.startswith(prefix),
            self._all(kind, org, (after if by_name else None) or prefix),
        )
        if by_name:
            page, following = _first(look.through(candidates))
            following = following or look.stopped_at
        else:
            page, following = _first(_behind(_sorted(look.through_all(candidates), sort), after))
        return Page(page, None if following is None else self._cursors.write(org, listed, [following]))

    def _all(self, kind: Kind, org: str, after: str) -> Iterator[ResourceRecord]:
        stored = self._stored(kind, org, after or None)
        if kind is not Kind.POLICY:
            return stored
        return heapq.merge(self._built_in(org, after), stored, key=lambda record: record.name)

    def _stored(self, kind: Kind, org: str, after: str | None) -> Iterator[ResourceRecord]:
        while page := self._resources.page(kind, org, after, _READ_AT_ONCE):
            yield from page
            if len(page) < _READ_AT_ONCE:
                return
            after = page[-1].name

    def _built_in(self, org: str, after: str) -> Iterator[ResourceRecord]:
        organisation = self._resources.find(Kind.ORG, org, org)
        if organisation is not None:
            for name in _BUILT_IN_POLICIES:
                record = built_in_record(org, name, organisation.created)
                if record is not None and name > after:
                    yield record


class _Look:
    """A look at resources one after the other, for those that a query selects and the caller may see."""

    def __init__(self, may_see: Filter, query: Query | None) -> None:
        self._may_see = may_see
        self._query = query
        self._rows = 0
        self.stopped_at: str | None = None

    def through(self, records: Iterable[ResourceRecord]) -> Iterator[ResourceRecord]:
        """Those of ``records``, as far as one call looks; where it stopped before the end is noted."""
        for record in records:
            if self._shows(Resource.of_record(record)):
                yield record
            if self._rows >= ROWS_PER_CALL or self._effort >= EFFORT_MAX:
                self.stopped_at = record.name
                return

    def through_all(self, records: Iterable[ResourceRecord]) -> Sequence[ResourceRecord]:
        """Those of ``records``.

        Raises:
            InvalidInput: one call cannot look at that many.
        """
        found: list[ResourceRecord] = []
        for record in records:
            if self._rows >= SORTED_MAX or self._effort >= EFFORT_MAX:
                raise InvalidInput(f"more than {SORTED_MAX:,} resources can be sorted by name only")
            if self._shows(Resource.of_record(record)):
                found.append(record)
        return found

    def _shows(self, resource: Resource) -> bool:
        self._rows += 1
        return (self._query is None or self._query.selects(resource.subject)) and self._may_see(resource)

    @property
    def _effort(self) -> int:
        return self._may_see.effort + (self._rows * self._query.effort if self._query else 0)


def _first(records: Iterable[ResourceRecord]) -> tuple[Sequence[ResourceRecord], str | None]:
    """The first page of ``records``, and the name after which they go on. One more is looked for, so that
    there is such a name only if something comes.
    """
    page: list[ResourceRecord] = []
    size = 0
    for record in records:
        size += len(json.dumps(record.spec))
        if page and (len(page) == PAGE or size > _PAGE_SIZE):
            return page, page[-1].name
        page.append(record)
    return page, None


def _sorted(records: Sequence[ResourceRecord], sort: Sort) -> list[ResourceRecord]:
    """``records`` by a property, those that lack it first, and those that share it by name."""

    def key(record: ResourceRecord) -> tuple[bool, float | str]:
        held = Resource.of_record(record).subject.properties.get(sort.by)
        if isinstance(held, datetime):
            return True, held.timestamp()
        return (True, held) if isinstance(held, int | float | str) else (False, "")

    by_name = sorted(records, key=lambda record: record.name)
    return sorted(by_name, key=key, reverse=sort.order is Order.DESCENDING)


def _behind(records: Sequence[ResourceRecord], after: str | None) -> Sequence[ResourceRecord]:
    """What comes behind the resource called ``after``; nothing if it is gone meanwhile."""
    names = [record.name for record in records]
    if after is None:
        return records
    return records[names.index(after) + 1 :] if after in names else []
